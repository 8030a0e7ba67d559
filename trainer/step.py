"""One training step of a recipe, the same in the bench and in a full training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.trainer.augment import DeviceAugment, check_device_augment
from feedbench.trainer.backend import only_gpu
from feedbench.trainer.base import BatchLike, TrainerBase, images_in, plain, value_of
from feedbench.trainer.compiled import compiled_steps
from feedbench.trainer.functions import Augmentation, prediction_function, step_functions
from feedbench.trainer.launcher import Launcher, Logs
from feedbench.trainer.model import build_network, check_range, in_range, set_trainable, with_range
from feedbench.trainer.optimizer import compile_for
from feedbench.trainer.recipe import Recipe
from feedbench.trainer.replicas import Replicas, check_devices
from feedbench.trainer.saved_model import save_model
from feedbench.trainer.statistics import synchronize
from feedbench.trainer.tensors import placed_on
from feedbench.trainer.weights import load_into

_NO_AUGMENT = DeviceAugment()
_ONE_DEVICE = Replicas()


@dataclass(frozen=True)
class _Placed:
    """A batch whose images are in the memory of a GPU."""

    images: Any
    labels: Any
    device_draws: Any


class Trainer(TrainerBase):
    """Trains the network of a recipe."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        image_size: int,
        batch_size: int,
        classes: int,
        images: int,
        scale: Sequence[float],
        offset: Sequence[float],
        image_dtype: str,
        device_augment: DeviceAugment = _NO_AUGMENT,
        class_weights: Sequence[float] | None = None,
        load_initial_weights: bool = True,
        replicas: Replicas = _ONE_DEVICE,
    ) -> None:
        """Build the network, with fresh weights or those that the recipe names.

        Args:
            batch_size: images of a step, on all devices together.
            images: images per epoch; with the recipe's epochs, it sets the schedule's length.
            scale: factor from pixels to the value range, per channel.
            offset: added after the multiplication, per channel.
            image_dtype: "uint8" for pixels, whose range is then applied on the device, or
                "float32" for images already in range.
            device_augment: the device's part of the augmentation, by the batches' `device_draws`.
            class_weights: weight of an image of each class in the loss; None for equal weights.
            load_initial_weights: False if `restore` follows, which replaces the recipe's weights.
            replicas: the devices, each of which takes an equal part of a batch.

        Raises:
            TrainerError: the network cannot be built, the weights do not match, or a batch cannot
                be divided equally over the devices.
        """
        super().__init__()
        check_device_augment(recipe, device_augment)
        check_devices(replicas.total, batch_size, recipe)
        self._recipe = recipe
        self._replicas = replicas
        self._sizes = (batch_size, images)
        self._range = (scale, offset)
        self._image_dtype = image_dtype
        self._device_augment = device_augment
        self._class_weights = class_weights
        with replicas.scope():
            self._build(image_size, classes, load_initial_weights)
        self._copy: Any = None
        self._predict: Callable[[Any], Any] | None = None
        self._gpu = only_gpu() if replicas.total == 1 else None
        self._launcher = Launcher(self._place, self._train_on, plain) if self._gpu else None
        self._enter(0)

    def _build(self, image_size: int, classes: int, load_initial_weights: bool) -> None:
        self._network = build_network(self._recipe, image_size, classes)
        check_range(self._network, self._recipe, *self._range)
        if load_initial_weights:
            load_into(self._network, self._recipe, image_size)
        if self._replicas.total > 1:
            synchronize(self._network)
        # The network itself is never compiled: a saved one must not contain an optimizer.
        if self._image_dtype == "uint8":
            dtype = "float32" if self._device_augment else "uint8"
            self._model = with_range(self._network, *self._range, dtype)
        else:
            self._model = in_range(self._network)
        self._replicas.vary_seeds(self._network.variables)

    def phase_at(self, epoch: int) -> int:
        """Index of the recipe's phase that contains an epoch, counted from 1."""
        started = [phase.before < epoch for phase in self._recipe.phases]
        return sum(started) - 1

    def enter(self, phase: int) -> None:
        """Continue with the optimizer, schedule and trainable layers of a phase."""
        if phase != self.phase:
            self.finish()
            self._settle()
            self._enter(phase)

    def _enter(self, phase: int) -> None:
        self.phase = phase
        self._steps = 0
        self._is_traced = False
        set_trainable(self._network, self._recipe, self._recipe.phases[phase])
        with self._replicas.scope():
            compile_for(self._model, self._recipe, self._recipe.phases[phase], *self._sizes)
        self._replicas.sum_first(self._model.optimizer)
        self._run = compiled_steps(self._model)
        self._train, self._test = step_functions(
            self._model,
            self._image_dtype,
            self._class_weights,
            self._augmentation,
            self._run,
            self._replicas,
        )

    @property
    def _augmentation(self) -> Augmentation | None:
        if not self._device_augment:
            return None
        scale, offset = self._range
        if self._image_dtype == "uint8":
            low, high = [0.0] * 3, [255.0] * 3
        else:
            low = list(offset)
            high = [255 * factor + start for factor, start in zip(scale, offset, strict=True)]
        return lambda images, draws: self._device_augment.apply(images, draws, low, high)

    def _start(self, batch: BatchLike) -> Future[Logs]:
        if self._launcher is not None and self._is_traced:
            return self._launcher.submit(batch)
        self._is_traced = True  # here: Keras keeps some of its state by thread
        return super()._start(batch)

    def _place(self, batch: BatchLike) -> BatchLike:
        """The batch with its images in the memory of the GPU."""
        draws = getattr(batch, "device_draws", None)
        return _Placed(placed_on(self._gpu, batch.images), batch.labels, draws)

    def _train_on(self, batch: BatchLike) -> Any:
        self._replicas.check(images_in(batch))
        draws = (batch.device_draws,) if self._device_augment else ()  # type: ignore[attr-defined]
        return self._train(batch.images, batch.labels, *draws)

    def _rate_at(self, step: int) -> float:
        return float(np.asarray(self._schedule(step)))

    def _settle(self) -> None:
        """Wait for steps that are not launched yet, and bring the variables up to date."""
        if self._launcher is not None:
            self.finish()
        self._run.settle()

    def start_epoch(self) -> None:
        """Reset the running loss and accuracy."""
        self._settle()
        if not self._replicas.in_several_processes:
            self._model.reset_metrics()
            return
        for variable in self._model.metrics_variables:
            self._replicas.write(variable, 0)

    def evaluate(self, batches: Iterable[BatchLike]) -> Logs:
        """Loss and accuracy on some batches; resets the running ones."""
        self.start_epoch()
        logs: Any = {}
        for batch in self._replicas.joined(batches):
            logs = self._test(batch.images, batch.labels)
        evaluated = plain(logs)
        self.start_epoch()
        return evaluated

    def probabilities(
        self, batches: Iterable[BatchLike]
    ) -> Iterator[tuple[BatchLike, NDArray[np.float32]]]:
        """Each batch with the class probabilities of its images, float32 `[batch, classes]`."""
        if self._predict is None:
            self._predict = prediction_function(self._model, self._image_dtype, self._replicas)
        for batch in batches:
            self._settle()
            predicted = self._predict(self._replicas.filled(batch).images)
            yield batch, np.asarray(predicted, np.float32)[: images_in(batch)]

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, by the optimizer's count; waits for the device.

        With float16 it does not count steps whose gradients overflow.
        """
        self._settle()
        return float(np.asarray(self._schedule(self._optimizer.iterations)))

    @property
    def _schedule(self) -> Any:
        return self._optimizer._learning_rate

    @property
    def _optimizer(self) -> Any:
        """The optimizer itself, without the loss scaling of float16 around it."""
        optimizer = self._model.optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)

    @property
    def variables(self) -> list[Any]:
        """What a step changes: weights, statistics, optimizer, metrics, and seeds of dropout."""
        self._settle()
        variables = (
            *self._model.variables,
            *self._model.metrics_variables,
            *self._model.optimizer.variables,
        )
        return list({id(variable): variable for variable in variables}.values())

    def _value(self, variable: Any) -> Any:
        if self._replicas.in_several_processes:
            return self._replicas.read(variable)
        return value_of(variable)

    def _set_value(self, variable: Any, value: Any) -> None:
        if self._replicas.in_several_processes:
            self._replicas.write(variable, value)
        else:
            variable.assign(value)

    def restore(self, phase: int, steps: int, values: Sequence[NDArray[Any]]) -> None:
        """Return to the values of a `capture`, taken after `steps` steps of a phase.

        Raises:
            ValueError: the values belong to another network or optimizer.
        """
        self.enter(phase)
        self._assign(values)
        self._replicas.vary_seeds(self._network.variables)
        self._steps = steps
        self._logs = plain(self._model.get_metrics_result())

    def network_values(self, captured: Sequence[Any]) -> list[Any]:
        """The values of the network's weights among those of a `capture`."""
        by_variable = dict(zip(map(id, self.variables), captured, strict=True))
        return [by_variable[id(weight)] for weight in self._network.weights]

    def on_pixels(self) -> Any:
        """The network for pixels of 0 to 255, its range inside; it shares the trainer's weights."""
        self._settle()
        return with_range(self._network, *self._range, "float32")

    def end_training(self) -> None:
        """Nothing changes: a recipe's optimizers do not average weights."""

    def save(self, path: Path, facts: dict[str, Any] | None = None) -> None:
        """Write `on_pixels` with all facts that inference needs, atomically."""
        save_model(self.on_pixels(), path, facts or {})

    def saving(
        self, values: Sequence[Any], path: Path, facts: dict[str, Any]
    ) -> Callable[[], None]:
        """What saves the network with the weights of a `capture`, while the training continues."""
        weights = self.network_values(values)

        def save() -> None:
            import keras

            if self._copy is None:
                self._copy = keras.models.clone_model(self.on_pixels())
            self._copy.set_weights(weights)
            save_model(self._copy, path, facts)

        return save
