"""Runs fits under the backend of KERAS_BACKEND and prints what a FitMonitor found, as JSON.

Run as a program: `python fits.py FOLDER`. One process runs all, because Keras takes its backend
from the environment, and importing it takes seconds.
"""

import functools
import hashlib
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

import keras
import numpy as np

from feedbench import FitMonitor
from feedbench.bench.trials_file import read_trials

BACKEND = keras.backend.backend()
SLEEP_S = 0.15
BATCH = 8
random = np.random.default_rng(0)
X, Y = random.random((160, 6), np.float32), random.integers(0, 3, 160)


def batches(count, sleep_s=0.0, wrong_at=None, error=ValueError):
    for number in range(count):
        if number == wrong_at:
            raise error("this batch is broken")
        time.sleep(sleep_s)
        begin = number * BATCH % len(X)
        yield X[begin : begin + BATCH], Y[begin : begin + BATCH]


class Data(keras.utils.PyDataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        return X[index * BATCH :][:BATCH], Y[index * BATCH :][:BATCH]


class Own(keras.Model):
    """A model with its own train_step, which takes SLEEP_S if it runs eagerly."""

    def __init__(self):
        super().__init__(name="own")
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, *arguments):
        if self.run_eagerly:
            time.sleep(SLEEP_S)
        return super().train_step(*arguments)


def network(own=False, **compiled):
    keras.utils.set_random_seed(5)
    layers = [
        keras.layers.Input((6,)),
        keras.layers.Dense(8),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(3),
    ]
    model = Own() if own else keras.Sequential(layers, name="small")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], **compiled)
    return model


@functools.cache
def used():
    """A network for all fits that need no new one: its functions are traced once, in a second."""
    return network()


def state(model):
    """A digest of all weights, statistics, seeds and of the optimizer."""
    digest = hashlib.sha256()
    for variable in [*model.variables, *model.optimizer.variables]:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable.value)).tobytes())
    return digest.hexdigest()


class Losses(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(logs["loss"])


def monitor(out, **options):
    return FitMonitor(**{"steps": 8, "warm_up": 4, "out": out, **options})


def found(result):
    """What a test needs of one result."""
    trials = read_trials(result.folder)
    return {
        "record": result.record.model_dump(),
        "figures": result.figures and result.figures.model_dump(),
        "blocks": [[block.model_dump() for block in trial.blocks] for trial in trials],
        "folder": str(result.folder),
    }


def fit_once(out, data, model=None, fit=None, **options):
    one = monitor(out, **options)
    (model or used()).fit(data, verbose=0, callbacks=[one], **(fit or {}))
    return found(one.results[-1])


def slow_data(out):
    return fit_once(out, batches(14, SLEEP_S), network())


def slow_step(out):
    return fit_once(
        out, X[:96], network(own=True, run_eagerly=True), fit={"y": Y[:96], "batch_size": BATCH}
    )


def ceiling(out):
    return fit_once(out, batches(14, SLEEP_S), ceiling=True)


def same_training(out):
    """Losses of each batch and the state at the end, with and without a monitor."""
    curves = {}
    for name, options in (("none", None), ("monitor", {}), ("ceiling", {"ceiling": True})):
        model, losses = network(), Losses()
        one = [] if options is None else [monitor(out / name, **options)]
        model.fit(Data(workers=1), epochs=2, verbose=0, shuffle=False, callbacks=[losses, *one])
        curves[name] = [losses.values, state(model)]
        if options:
            assert one[0].results[0].figures.stall is not None
    return curves


def kinds_of_data(out):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)
    kinds = {
        "arrays": fit_once(out / "a", X, fit={"y": Y, "batch_size": BATCH}),
        "PyDataset": fit_once(out / "p", Data(workers=1)),
        "tf.data.Dataset": fit_once(out / "t", dataset.repeat(), fit={"steps_per_epoch": 15}),
        "generator": fit_once(out / "g", batches(20)),
    }
    return {name: [one["record"]["data"], one["figures"]["batches"]] for name, one in kinds.items()}


def compiled_in_other_ways(out):
    ways = {"eager": {"run_eagerly": True}, "jit": {"jit_compile": True}, "own": {"own": True}}
    if BACKEND == "torch":
        del ways["jit"]  # torch.compile needs a C++ compiler
    else:
        ways["steps"] = {"steps_per_execution": 3}  # 20 batches: the last execution has only two
    results = {}
    for name, options in ways.items():
        plain = network(**options)
        plain.fit(Data(workers=1), epochs=2, verbose=0, shuffle=False)
        model = network(**options)  # it sets the seed of Torch, from which its dropout draws
        fit = {"epochs": 2, "shuffle": False}
        one = fit_once(out / name, Data(workers=1), model, fit=fit, ceiling=True)
        counted = one["figures"]["batches"]
        results[name] = [counted, one["figures"]["stall"] is not None, state(plain) == state(model)]
    return results


def averaging():
    model = network()
    model.compile(keras.optimizers.SGD(0.01, use_ema=True), model.loss)
    return model


def ending_with_averages(out):
    """The repeated batch is timed after `fit` has set the weights to their moving averages."""
    plain = averaging()
    plain.fit(Data(workers=1), verbose=0, shuffle=False)
    model, fit = averaging(), {"shuffle": False}
    one = fit_once(out, Data(workers=1), model, fit=fit, steps=40, ceiling=True)
    return [one["figures"]["stall"] is not None, state(plain) == state(model)]


def too_short(out):
    return fit_once(out, batches(3), warm_up=20)


def short_epochs(out):
    return fit_once(out, Data(workers=1), warm_up=0, fit={"epochs": 3, "steps_per_epoch": 1})


def several_fits(out):
    one = monitor(out)
    for _ in range(2):
        used().fit(X, Y, batch_size=BATCH, verbose=0, callbacks=[one])
    return [found(result)["folder"] for result in one.results]


class Spans(keras.callbacks.Callback):
    """When each validation began and ended."""

    def __init__(self):
        super().__init__()
        self.spans = []

    def on_test_begin(self, logs=None):
        self.spans.append([time.perf_counter()])

    def on_test_end(self, logs=None):
        self.spans[-1].append(time.perf_counter())


def validation(out):
    spans = Spans()
    one = monitor(out, steps=24)
    used().fit(
        X, Y, batch_size=BATCH, epochs=3, steps_per_epoch=12, validation_data=(X, Y), verbose=0,
        callbacks=[spans, one],
    )  # fmt: skip
    return [found(one.results[0])["blocks"][0], spans.spans]


def samplers():
    return sum(
        "_run" in thread.name or "Sampler" in thread.name for thread in threading.enumerate()
    )


def broken(out):
    """What each error becomes without and with a monitor, and the threads that are left.

    Each error is kept with its traceback, as a notebook keeps the last one.
    """
    kept = []

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 7:
                raise KeyboardInterrupt

    def error_of(data, callbacks):
        try:
            used().fit(data, verbose=0, callbacks=callbacks)
        except BaseException as error:
            kept.append(error)
            seen = [type(error).__name__, "this batch is broken" in str(error)]
        used().fit(X, Y, batch_size=BATCH, verbose=0)  # the model can still be trained
        return seen

    before, one = threading.active_count(), monitor(out / "one", steps=100)
    results = []
    for data, others in ((lambda: batches(20, wrong_at=9), []), (lambda: batches(20), [Stop()])):
        results.append([error_of(data(), others), error_of(data(), [*others, one])])
    deadline = time.monotonic() + 60
    while samplers() and time.monotonic() < deadline:
        time.sleep(0.05)
    used().fit(batches(20), verbose=0, callbacks=[one])
    assert any(at_fit(error) for error in kept)
    return {"errors": results, "samplers": samplers(), "later": len(one.results), "before": before}


def at_fit(error):
    """Whether the traceback of an error has the frame of Keras' `fit`."""
    frames = traceback.walk_tb(error.__traceback__)
    return any("epoch_iterator" in frame.f_locals for frame, _ in frames)


def failing_monitor(out):
    """A monitor whose own code fails."""
    one = monitor(out)
    one._options["steps"] = None  # a number is needed
    history = used().fit(X, Y, batch_size=BATCH, verbose=0, callbacks=[one])
    return [len(history.history["loss"]), len(one.results)]


def two_devices(out):
    """Only TensorFlow: a strategy is not measured."""
    if BACKEND != "tensorflow":
        return None
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = network()
    one = monitor(out)
    model.fit(X, Y, batch_size=BATCH, verbose=0, callbacks=[one])
    return len(one.results)


SCENARIOS = (
    slow_data, slow_step, ceiling, same_training, kinds_of_data, compiled_in_other_ways,
    ending_with_averages, too_short, short_epochs, several_fits, validation, broken,
    failing_monitor, two_devices,
)  # fmt: skip


def main(folder):
    results = {}
    for scenario in SCENARIOS:
        if os.environ.get("ONLY", scenario.__name__) == scenario.__name__:
            sys.stderr.write(f"--- {scenario.__name__}\n")
            results[scenario.__name__] = scenario(folder / scenario.__name__)
    (folder / "found.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
