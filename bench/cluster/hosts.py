"""The workers of a training on several machines, from a file or from TF_CONFIG."""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
from pydantic import BaseModel, ConfigDict, Field

from feedbench.bench.cluster.tf_config import TF_CONFIG, workers_in
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.bench.quantities import quantity

_LEAST = 2  # workers
_LONGEST_S = 86_400.0  # sockets refuse to wait for centuries, and a thread would end
_EXAMPLE = 'list the workers in it, such as workers = ["10.0.0.1:4711", "10.0.0.2:4711"]'
_PORTS = range(1, 2**16)
_ADDRESS = re.compile(r"[^\s/]+:([0-9]{1,5})")


class Waits(BaseModel):
    """How long a worker waits for the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    join_s: float = Field(
        300.0, gt=0, le=_LONGEST_S, description="Seconds until all workers must have been started."
    )
    silence_s: float = Field(
        30.0,
        ge=1,
        le=_LONGEST_S,
        description="Seconds without a heartbeat from a worker after which the others end; a "
        "killed worker is noticed immediately.",
    )


class HostsFile(Waits):
    """The file that --cluster names, the same on every machine."""

    workers: Annotated[list[str], Field(min_length=_LEAST)] = Field(
        description="Address of each worker, HOST:PORT; the first is the chief."
    )


@dataclass(frozen=True)
class Cluster:
    """The workers that train together, and which of them this process is.

    Attributes:
        addresses: HOST:PORT of each worker; the first is the chief.
        worker: this process, from 0.
        waits: how long it waits for the others.
        origin: what names the addresses, for messages.
    """

    addresses: tuple[str, ...]
    worker: int
    waits: Waits
    origin: str

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process validates, and writes checkpoints and the record."""
        return self.worker == 0

    @property
    def share(self) -> tuple[int, int]:
        """This worker and the number of all, which divide each batch."""
        return self.worker, self.workers

    def name(self, worker: int) -> str:
        """Return a worker as messages name it."""
        role = "the chief" if worker == 0 else f"worker {worker}"
        return f"{role} ({self.addresses[worker]})"


def cluster_of(path: Path | None, worker: int | None) -> Cluster | None:
    """Return the cluster of this process; None if it trains alone.

    Args:
        path: the file of --cluster; without it, TF_CONFIG is read if it is set.
        worker: the value of --worker.

    Raises:
        PlanError: the file or TF_CONFIG is not valid, or does not say which worker this is.
    """
    if path is not None:
        return _from_file(path, worker)
    if worker is not None:
        raise PlanError("--worker: needs --cluster, the file that lists the workers")
    text = os.environ.get(TF_CONFIG)
    return _from_tf_config(text) if text else None


def _from_file(path: Path, worker: int | None) -> Cluster:
    file = parse_model(HostsFile, read_toml(path, _EXAMPLE), str(path))
    _check_addresses(file.workers, f"{path}: workers")
    if worker is None:
        worker = _this_machine(file.workers, path)
    if worker >= len(file.workers):
        raise PlanError(
            f"--worker {worker}: {path} lists {quantity(len(file.workers), 'worker')}, "
            "counted from 0"
        )
    waits = Waits(join_s=file.join_s, silence_s=file.silence_s)
    return Cluster(tuple(file.workers), worker, waits, str(path))


def _this_machine(addresses: list[str], path: Path) -> int:
    """Return the only worker whose host is an address of this machine."""
    local = {one.address for each in psutil.net_if_addrs().values() for one in each}
    here = [number for number, one in enumerate(addresses) if _ips(split(one)[0]) & local]
    if len(here) == 1:
        return here[0]
    found = f"{len(here)} of its workers have" if here else "none of its workers has"
    raise PlanError(
        f"{path}: {found} an address of this machine; say which one this is with --worker, from 0"
    )


def _ips(host: str) -> set[str]:
    with suppress(OSError):
        return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    return set()


def split(address: str) -> tuple[str, int]:
    """Return host and port of a valid address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _check_addresses(addresses: list[str], where: str) -> None:
    for address in addresses:
        match = _ADDRESS.fullmatch(address)
        if match is None or int(match[1]) not in _PORTS:
            raise PlanError(f"{where}: {address!r} must be HOST:PORT, such as 10.0.0.1:4711")
        if addresses.count(address) > 1:
            raise PlanError(f"{where}: {address} is listed twice; each worker needs its own")


def _from_tf_config(text: str) -> Cluster | None:
    """Return the cluster of TF_CONFIG; None if it names this process alone."""
    addresses, worker = workers_in(text)
    _check_addresses(addresses, f"{TF_CONFIG}: cluster")
    if len(addresses) < _LEAST:
        return None
    return Cluster(tuple(addresses), worker, Waits(), TF_CONFIG)
