"""The profile of an accelerator: its measured training rate, and the conditions of that."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

from feedbench.loaders import BatchSpec
from feedbench.trainer import Recipe


class Accelerator(BaseModel):
    """Measured training rate of one accelerator, and the conditions of the measurement.

    Attributes:
        images_per_second: rate of one accelerator that never waits for data.
        batch_size: images per step in the measurement.
        image_size: image height and width in pixels in the measurement.
        precision: as stated by the source.
        source: who measured the rate, and how.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    images_per_second: PositiveFloat
    batch_size: PositiveInt
    image_size: PositiveInt
    network: str
    alpha: PositiveFloat | None = None
    precision: str
    source: str

    def seconds_per_image(self, image_size: int) -> float:
        """Return the step time per image, assumed proportional to the number of pixels."""
        return (image_size / self.image_size) ** 2 / self.images_per_second

    def network_text(self) -> str:
        """Return the network with its alpha, if it has one."""
        return _network_text(self.network, self.alpha)

    def assumptions(self, spec: BatchSpec, recipe: Recipe) -> list[str]:
        """Return what must be assumed to apply the rate to these batches and this network."""
        texts = []
        alpha = None if recipe.own_model else recipe.alpha
        network = _network_text(recipe.network, alpha)
        if network != self.network_text():
            texts.append(
                f"assumed: {network} is as fast as {self.network_text()}, of which the rate was "
                "measured; a real one may take far more or fewer images per second"
            )
        if spec.image_size != self.image_size:
            texts.append(
                f"assumed: step time is proportional to pixels, measured at {self.image_size} px "
                f"and applied to {spec.image_size} px"
            )
        if spec.batch_size != self.batch_size:
            texts.append(
                f"assumed: the rate at batch size {spec.batch_size} is that measured at "
                f"{self.batch_size}"
            )
        return texts


def _network_text(name: str, alpha: float | None) -> str:
    return f"{name}, alpha {alpha:g}" if alpha is not None else name
