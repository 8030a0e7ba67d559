"""TensorFlow sees no GPU where another backend trains."""

import keras
import pytest
import tensorflow as tf

from feedbench.trainer import leave_gpu_to_backend


@pytest.mark.parametrize(("backend", "hidden"), [("tensorflow", []), ("jax", [([], "GPU")])])
def test_gpus_are_hidden_from_tensorflow_if_another_backend_trains(monkeypatch, backend, hidden):
    calls = []
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *device: calls.append(device))
    leave_gpu_to_backend()
    assert calls == hidden
