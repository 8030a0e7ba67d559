"""The target of a plan: its accelerators, and what it has."""

from __future__ import annotations

import re
from math import ceil

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.errors import PlanError

_TARGET = re.compile(r"(?P<name>[^:]+)(?::(?P<count>[0-9]{1,6}))?")


class Target(BaseModel):
    """What is planned for; a resource that is None is not limited.

    Attributes:
        accelerator: name, as in its profile.
        count: number of accelerators.
        rate: images per second of one of them.
        images: of the training data.
        bytes_per_image: mean size of their files.
        hosts: machines that share the accelerators.
        cores: of each host.
        core_speed: of each core, relative to one of the machine that was measured.
        memory_bytes: of each host.
        storage_bytes_per_s: of all hosts together.
        network_bits_per_s: of each host.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accelerator: str
    count: PositiveInt
    rate: PositiveFloat
    images: PositiveInt
    bytes_per_image: PositiveFloat
    hosts: PositiveInt = 1
    cores: PositiveInt | None = None
    core_speed: PositiveFloat = 1.0
    memory_bytes: PositiveFloat | None = None
    storage_bytes_per_s: PositiveFloat | None = None
    network_bits_per_s: PositiveFloat | None = None

    @property
    def images_per_second(self) -> float:
        """What all accelerators take together."""
        return self.count * self.rate

    @property
    def most_per_host(self) -> int:
        """Accelerators of the host that has most of them."""
        return ceil(self.count / self.hosts)

    @property
    def full_hosts(self) -> float:
        """Hosts like the one with most accelerators that would have all of them.

        The others wait for its steps, so that more cores there help nobody.
        """
        return self.count / self.most_per_host


def parse_accelerator(text: str) -> tuple[str, int]:
    """Return name and number of the accelerators of `NAME` or `NAME:COUNT`.

    Raises:
        PlanError: the text has another form.
    """
    found = _TARGET.fullmatch(text)
    count = int(found["count"] or 1) if found else 0
    if found is None or count < 1:
        raise PlanError(f"--accelerator {text}: must be NAME or NAME:COUNT, such as a100:8")
    return found["name"], count


def rate_assumptions(profile: Accelerator, image_size: int) -> list[str]:
    """Return what is assumed of the rate of an accelerator."""
    texts = [
        f"{profile.device}: {profile.images_per_second:,.0f} images/s with "
        f"{profile.network_text()} at batch {profile.batch_size}, precision "
        f"{profile.precision}; {profile.source}."
    ]
    if image_size != profile.image_size:
        texts.append(
            f"Assumed: step time is proportional to pixels, measured at {profile.image_size} px "
            f"and applied to {image_size} px."
        )
    return texts
