"""How the batches of a training came: bytes over the network, rows that repeat, what was lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from feedbench.bench.loader_facts import losses_of
from feedbench.bench.record import Losses
from feedbench.loaders import Stream

if TYPE_CHECKING:
    from feedbench.trainer import Epoch


def delivery_record(stream: Stream, epochs: Sequence[Epoch], workers: int) -> dict[str, Any]:
    """Return it as training.json has it; `network` is None if that is not used, or unknown.

    Args:
        stream: of the training's batches, since its first one.
        epochs: that were trained with it.
        workers: of several machines, whose gradients would be counted too.
    """
    lost = losses_of(stream)
    return {
        "network": None if workers > 1 else _network(stream, epochs),
        "losses": None if lost is None else lost.model_dump(),
    }


def _network(stream: Stream, epochs: Sequence[Epoch]) -> dict[str, int] | None:
    crossed = stream.traffic()
    images = sum(epoch.images for epoch in epochs)
    if crossed is None or not images:
        return None
    return {"received_bytes": crossed.received, "sent_bytes": crossed.sent, "images": images}


def delivery_sentences(result: dict[str, Any]) -> Iterator[str]:
    """Yield what is to be said of it; nothing for a loader without a service.

    Args:
        result: the contents of training.json.
    """
    if network := result.get("network"):
        received, sent = (
            network[name] / network["images"] for name in ("received_bytes", "sent_bytes")
        )
        yield f"Network, per image: {received / 1e3:,.1f} kB received, {sent:,.0f} bytes sent."
    if reason := result.get("why_not_once"):
        yield f"{result['loader']}: {reason}."
    if lost := result.get("losses"):
        yield from (
            f"{result['loader']}: {text}." for text in Losses.model_validate(lost).sentences()
        )
