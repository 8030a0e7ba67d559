"""serve: a dispatcher or a worker of the tf.data service, for the loader tf_data_service."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.output import console
from feedbench.bench.errors import InterruptedRun, PlanError

if TYPE_CHECKING:
    from feedbench.loaders.service import Address

_FIND_S = 30.0  # for which a worker waits for its dispatcher to start
_LOOK_S = 1.0  # between two looks at the connections that were opened


def serve(
    dispatcher: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Start a dispatcher, which trainers and workers reach at this address; port 0 "
            "chooses a free one.",
        ),
    ] = None,
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Start a worker, which trainers reach at this address; port 0 chooses a free one.",
        ),
    ] = None,
    of: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The dispatcher that the worker works for; default: the one started with it.",
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for the state of the dispatcher, which continues if it is started again "
            "with it. Workers on other machines need the folder under the same path.",
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Check that a dispatcher answers, print its workers, and exit.",
        ),
    ] = None,
) -> None:
    """Ctrl-C or SIGTERM stops it.

    There is no authentication: keep its port inside a trusted network.
    """
    if check is not None:
        _refuse("check", dispatcher, worker, of, journal)
        _check(check)
        return
    if dispatcher is None and worker is None:
        raise PlanError("serve: give --dispatcher HOST:PORT, --worker HOST:PORT, or both")
    if dispatcher is None and journal is not None:
        raise PlanError("--journal: only a dispatcher has one; leave it out")
    if worker is not None and (of is None) == (dispatcher is None):
        raise PlanError("--of: name the dispatcher of the worker, unless --dispatcher starts it")
    if worker is None and of is not None:
        raise PlanError("--of: only a worker has a dispatcher; leave it out")
    _serve(
        _address(dispatcher, "--dispatcher"),
        _address(worker, "--worker"),
        _address(of, "--of"),
        journal,
    )


def _address(text: str | None, option: str) -> Address | None:
    from feedbench.loaders.service import Address

    return None if text is None else Address.parse(text, option)


def _refuse(option: str, *others: object) -> None:
    if any(other is not None for other in others):
        raise PlanError(f"--{option}: it starts nothing; leave out the other options")


def _check(text: str) -> None:
    from feedbench.loaders.service import Address, workers_of

    address = Address.parse(text, "--check")
    workers = workers_of(address)
    listed = f": {', '.join(workers)}" if workers else ""
    _say(f"dispatcher {address} answers; registered workers: {len(workers)}{listed}")


def _serve(
    dispatcher: Address | None, worker: Address | None, of: Address | None, journal: Path | None
) -> None:
    """Start what was asked for, and serve until a signal comes."""
    from feedbench.loaders.service import (
        limit_silence,
        start_dispatcher,
        start_worker,
        wait_for_dispatcher,
    )

    with ExitStack() as servers:
        try:
            if dispatcher is not None:
                started = servers.enter_context(start_dispatcher(dispatcher, journal))
                of = started.address
                _say(f"dispatcher: {started.address}")
            if worker is not None and of is not None:
                if dispatcher is None:
                    wait_for_dispatcher(of, _FIND_S)
                started = servers.enter_context(start_worker(worker, of))
                _say(f"worker: {started.address}, of the dispatcher {of}")
            while True:
                limit_silence()
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            raise InterruptedRun("stopped") from None


def _say(text: str) -> None:
    console().print(text, highlight=False, markup=False, soft_wrap=True)
