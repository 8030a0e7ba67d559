"""Devices that train together: each takes a part of every batch, and gradients are summed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from feedbench.trainer.base import BatchLike, images_in
from feedbench.trainer.errors import DevicesError, RecipeError
from feedbench.trainer.recipe import Recipe

ALL = "all"
ONE = "1"
_FORM = re.compile(r"(cpu:)?([1-9]\d*)")
_SEED = "seed_generator_state"  # how Keras names the state of dropout and other random layers


@dataclass(frozen=True)
class Replicas:
    """The devices of one process that train together.

    Attributes:
        devices: logical names, such as "GPU:0" or "CPU:1"; empty if nothing was chosen.
        strategy: a `tf.distribute.Strategy`, which may span other processes too; None where Keras
            does not use TensorFlow.
        first: number of the first of these devices among those of all processes.
    """

    devices: tuple[str, ...] = ()
    strategy: Any = None
    first: int = 0

    @property
    def total(self) -> int:
        """Number of devices in all processes."""
        return 1 if self.strategy is None else int(self.strategy.num_replicas_in_sync)

    def global_batch(self, batch: int) -> int:
        """Images that all processes train on in a step in which this one has `batch`."""
        return batch * self.total // max(1, len(self.devices))

    @property
    def in_several_processes(self) -> bool:
        """Whether other processes have devices too; each of them then has one."""
        return self.total > max(1, len(self.devices))

    def scope(self) -> AbstractContextManager[Any]:
        """Create variables inside for all devices."""
        return nullcontext() if self.strategy is None else self.strategy.scope()

    def check(self, batch: int) -> None:
        """Check that a batch can be divided equally, so that each image counts the same.

        Raises:
            DevicesError: it cannot.
        """
        check_divisible(batch, max(1, len(self.devices)))

    def each(self, function: Callable[..., Any], *arrays: Any) -> tuple[Any, ...]:
        """Call a function on each device with its part of the arrays, and return all results.

        To be called in a TensorFlow graph. Of a batch that cannot be divided equally, some devices
        take one image more; there must be one for each, for TensorFlow fails without any.
        """
        parts = [self._divided(array) for array in arrays]
        return tuple(self.strategy.experimental_local_results(self.strategy.run(function, parts)))

    def _divided(self, array: Any) -> Any:
        import tensorflow as tf

        with tf.device("CPU"):  # each device copies its own part alone
            images, count = tf.shape(array)[0], len(self.devices)
            bounds = [images * number // count for number in range(count + 1)]
            parts = iter([array[begin:end] for begin, end in pairwise(bounds)])
        return self.strategy.experimental_distribute_values_from_function(lambda _: next(parts))

    def joined(self, batches: Iterable[BatchLike]) -> Iterator[BatchLike]:
        """Join batches of fewer images than devices to the one before, for an evaluation.

        Images that are too few altogether are repeated, which leaves every mean as it is.
        """
        held: BatchLike | None = None
        for batch in batches:
            if held is not None and images_in(batch) < len(self.devices):
                batch, held = _concatenated([held, batch]), None
            if held is not None:
                yield held
            held = batch
        if held is not None:
            yield self.filled(held)

    def filled(self, batch: BatchLike) -> BatchLike:
        """The batch, its images repeated as often as there are devices if it has fewer images."""
        count = len(self.devices)
        return _concatenated([batch] * count) if images_in(batch) < count else batch

    def sum_first(self, optimizer: Any) -> None:
        """Have an optimizer sum the gradients of all devices before anything else.

        Keras sums them last. So it clips the gradients of each device alone, and with float16 it
        looks for an overflow on the first device alone.
        """
        if self.total == 1:
            return
        import tensorflow as tf

        apply = optimizer.apply

        def summed(gradients: Iterable[Any], variables: Any = None) -> None:
            context, all_of_them = tf.distribute.get_replica_context(), list(gradients)
            known = [one for one in all_of_them if one is not None]
            sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, known))
            apply([None if one is None else next(sums) for one in all_of_them], variables)

        optimizer.apply = summed
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        inner._all_reduce_sum_gradients = list  # noqa: SLF001  it would sum them once more

    def spread_counts(self, variables: Iterable[Any]) -> None:
        """Have each process hold an equal part of what all have counted.

        So one process alone can read it, as for a checkpoint: to add up what several have counted,
        all of them would have to ask at the same time. To be called in a TensorFlow graph.
        """
        import tensorflow as tf

        if self.in_several_processes:
            for variable in variables:
                self.write(variable, tf.convert_to_tensor(variable.value))

    def read(self, variable: Any) -> Any:
        """The value of a variable, also in one of several processes alone."""
        own = self.strategy.experimental_local_results(variable.value)[0].read_value()
        return own * self.total if _is_counter(variable) else own

    def write(self, variable: Any, value: Any) -> None:
        """Give a variable a value, also in one of several processes alone."""
        import tensorflow as tf

        own = self.strategy.experimental_local_results(variable.value)[0]
        value = tf.cast(value, own.dtype)
        own.assign(value / self.total if _is_counter(variable) else value)

    def vary_seeds(self, variables: Iterable[Any]) -> None:
        """Have each device draw other numbers for dropout; the first draws those of one device.

        Args:
            variables: of a model; all devices hold the same values.
        """
        if self.total == 1:
            return
        for variable in variables:
            if variable.path.endswith(_SEED):
                states = self.strategy.experimental_local_results(variable.value)
                for number, state in enumerate(states, self.first):
                    state.assign_add([number, 0])


def _is_counter(variable: Any) -> bool:
    """Whether each device counts for itself, as metrics do."""
    import tensorflow as tf

    return bool(variable.value.synchronization == tf.VariableSynchronization.ON_READ)


class _Joined(NamedTuple):
    images: Any
    labels: Any


def _concatenated(batches: Sequence[BatchLike]) -> BatchLike:
    images, labels = ([getattr(one, name) for one in batches] for name in _Joined._fields)
    return _Joined(np.concatenate(images), np.concatenate(labels))


def find_replicas(devices: int | str) -> Replicas:
    """The devices that a training uses.

    This starts TensorFlow; `divide_cpu` must have been called before anything else does.

    Args:
        devices: number of GPUs; "all" for all that TensorFlow finds; or "cpu:N" for N logical
            devices of the CPU.

    Raises:
        DevicesError: there are fewer, or Keras does not use TensorFlow.
    """
    import keras

    text = str(devices)
    if keras.backend.backend() != "tensorflow":
        if text in (ONE, ALL):
            return Replicas()
        raise DevicesError(
            f"--devices {text}: several devices need Keras' TensorFlow backend, and KERAS_BACKEND "
            f"is {keras.backend.backend()}; leave out --devices"
        )
    import tensorflow as tf

    names = _logical_cpus(text) if is_of_cpu(text) else _found(text)
    if len(names) == 1:
        return Replicas(names, tf.distribute.get_strategy())
    return Replicas(names, tf.distribute.MirroredStrategy([f"/device:{name}" for name in names]))


def is_of_cpu(devices: str) -> bool:
    """Whether the devices are logical ones of the CPU."""
    return devices.startswith("cpu:")


def device_count(devices: str) -> int:
    """The number of devices in the text of `--devices`; "all" has none.

    Raises:
        DevicesError: the text has no number.
    """
    match = _FORM.fullmatch(devices)
    if match is None:
        raise DevicesError(
            "must be a number of GPUs, all, or cpu:N for N logical devices of the CPU, such as "
            f"cpu:2, got {devices!r}"
        )
    return int(match[2])


def check_count(devices: str, gpus: int) -> None:
    """Check that there are enough GPUs for a training.

    Raises:
        DevicesError: there are fewer.
    """
    count = device_count(devices)
    if is_of_cpu(devices) or count <= max(1, gpus):
        return
    if not gpus:
        raise DevicesError(
            f"--devices {devices}: there is no GPU here; use cpu:{devices} to try {devices} "
            "logical devices of the CPU, which share its cores"
        )
    plural = "s" if gpus > 1 else ""
    raise DevicesError(
        f"--devices {devices}: there {'are' if plural else 'is'} {gpus} GPU{plural} here; use "
        f"--devices {gpus} or all: the loss curve does not depend on the number"
    )


def check_devices(count: int, batch_size: int, recipe: Recipe) -> None:
    """Check that several devices can train a recipe.

    Args:
        count: number of devices.
        batch_size: images of a step, on all devices together.

    Raises:
        DevicesError: a batch cannot be divided equally over them.
        RecipeError: the recipe is for one device alone.
    """
    if count > 1 and recipe.jit_compile:
        raise RecipeError(
            "jit_compile: XLA compiles the step of one device alone; set it to false, or leave out "
            "--devices"
        )
    if count > 1 and recipe.own_model:
        raise RecipeError(
            f"{recipe.network}: a model of your own trains on one device; leave out --devices, or "
            "train a network of keras.applications"
        )
    check_divisible(batch_size, count)


def check_divisible(
    batch: int, count: int, parts: str = "devices", *, is_resumed: bool = False
) -> None:
    """Check that a batch can be divided equally over devices, or over workers on several machines.

    Args:
        parts: what takes them, for the message.
        is_resumed: whether the batch belongs to a training that resumes, which cannot change it.

    Raises:
        DevicesError: it cannot.
    """
    if batch % count == 0:
        return
    lower, higher = batch // count * count, -(-batch // count) * count
    sizes = " or ".join(str(size) for size in (lower, higher) if size)
    other_batch = "" if is_resumed else f"--batch-size {sizes}, or "
    fewer = max(number for number in range(1, count) if batch % number == 0)
    raise DevicesError(
        f"a batch of {batch:,} images cannot be divided equally over {count} {parts}; use "
        f"{other_batch}{fewer} {parts if fewer > 1 else parts.removesuffix('s')}"
    )


def _found(text: str) -> tuple[str, ...]:
    """The names of the GPUs to use, or of the CPU if there is none and one device is enough."""
    import tensorflow as tf

    gpus = len(tf.config.list_logical_devices("GPU"))
    if text == ALL:
        text = str(max(1, gpus))
    check_count(text, gpus)
    return tuple(f"{'GPU' if gpus else 'CPU'}:{number}" for number in range(device_count(text)))


def divide_cpu(devices: str) -> None:
    """Divide the CPU into the logical devices of `cpu:N`, and hide all GPUs from TensorFlow.

    To be called before a loader opens: TensorFlow cannot do this after it has started. Other
    devices need no setup, so TensorFlow need not be started before a loader forks processes.

    Raises:
        DevicesError: TensorFlow has started with fewer.
    """
    if not is_of_cpu(devices):
        return
    import tensorflow as tf

    count = device_count(devices)
    one = tf.config.LogicalDeviceConfiguration()
    try:
        tf.config.set_visible_devices([], "GPU")
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [one] * count)
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise DevicesError(
                f"--devices {devices}: TensorFlow has already started in this process"
            ) from error


def _logical_cpus(devices: str) -> tuple[str, ...]:
    divide_cpu(devices)
    return tuple(f"CPU:{number}" for number in range(device_count(devices)))
