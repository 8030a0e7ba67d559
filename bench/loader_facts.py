"""What a loader and its stream say of themselves, as parts of a record."""

from __future__ import annotations

from feedbench.bench.record import Dropped, Losses, Own
from feedbench.loaders import Stream, find_loader, printable


def own_of(loader: str) -> Own | None:
    """Return the function behind a loader; None for one that is not the user's."""
    own = find_loader(loader).own
    if own is None:
        return None
    return Own(file=printable(str(own.file)), function=own.function, digest=own.digest)


def own_digest(loader: str) -> str | None:
    """Return the SHA-256 digest of the user's file behind a loader; None if there is none."""
    own = own_of(loader)
    return None if own is None else own.digest


def losses_of(stream: Stream) -> Losses | None:
    """Return what a stream has lost so far; None for loaders that cannot lose anything."""
    lost = stream.losses()
    return None if lost is None else Losses.model_validate(lost._asdict())


def dropped_by(stream: Stream) -> list[Dropped]:
    """Return the images that a stream has dropped so far."""
    return [
        Dropped(
            path=printable(fault.path), row=fault.row, reason=f"{fault.decoder}: {fault.reason}"
        )
        for fault in stream.dropped
    ]
