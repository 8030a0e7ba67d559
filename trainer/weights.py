"""Initial weights, of all layers but the head: of ImageNet, a saved model, or a weights file."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import BaseHandler, Request, build_opener, getproxies, install_opener
from warnings import catch_warnings, simplefilter

import numpy as np

from feedbench.trainer.errors import WeightsError
from feedbench.trainer.model import build_network, construct, preprocessing
from feedbench.trainer.recipe import Recipe
from feedbench.trainer.saved_model import load_model, read_facts

IMAGENET_WEIGHTS = "imagenet"
_TIMEOUT_S = 5.0  # for a connection, and for each read of a download


def load_into(network: Any, recipe: Recipe, image_size: int) -> None:
    """Load the weights that the recipe names into a fresh network, except those of its head.

    Raises:
        WeightsError: they cannot be loaded, or belong to another network.
    """
    if recipe.from_scratch:
        return
    if recipe.weights == IMAGENET_WEIGHTS:
        donor = _of_imagenet(recipe, image_size)
    elif recipe.weights.endswith(".keras"):
        donor = _network_within(load_model(_existing(recipe.weights)))
    elif recipe.weights.endswith(".h5"):
        donor = _of_file(_existing(recipe.weights), network, recipe, image_size)
    else:
        raise WeightsError(
            f"weights: must be none, imagenet, or a .keras or .weights.h5 file, "
            f"got {recipe.weights!r}"
        )
    _copy(donor, network, recipe)


def warnings(
    recipe: Recipe, value_range: Any, scale: Sequence[float], offset: Sequence[float]
) -> list[str]:
    """One line if the weights were trained on images in another value range.

    Raises:
        WeightsError: no such file.
    """
    if recipe.weights == IMAGENET_WEIGHTS:
        return _imagenet_warnings(recipe, value_range, scale, offset)
    if not recipe.weights.endswith(".keras"):
        return []
    theirs = (read_facts(_existing(recipe.weights)) or {}).get("value_range")
    ours = _as_json(value_range)
    if theirs in (None, ours):
        return []
    return [f"{recipe.weights} was trained with value_range {theirs}, this run has {ours}"]


def _imagenet_warnings(
    recipe: Recipe, value_range: Any, scale: Sequence[float], offset: Sequence[float]
) -> list[str]:
    """Compare with what the network's own `preprocess_input` makes of black and white."""
    pixels = np.array([[[[0.0] * 3, [255.0] * 3]]], np.float32)
    ours = pixels * np.array(scale) + np.array(offset)
    theirs = np.asarray(preprocessing(recipe)(pixels.copy()))
    if np.allclose(ours, theirs, atol=1e-3):
        return []
    black, white = (", ".join(f"{level:g}" for level in theirs[0, 0, at]) for at in (0, 1))
    return [
        f"the ImageNet weights of {recipe.network} were trained with black at ({black}) and white "
        f"at ({white}); this run has value_range {_as_json(value_range)}"
    ]


def _as_json(value_range: Any) -> Any:
    return value_range if isinstance(value_range, str) else list(value_range)


def _existing(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise WeightsError(f"weights {path}: no such file; name a .keras or .weights.h5 file")
    return path


def _network_within(model: Any) -> Any:
    """The network inside a model that applies a value range first."""
    import keras

    inner = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return inner[-1] if inner else model


def _of_imagenet(recipe: Recipe, image_size: int) -> Any:
    with _failing_fast(), catch_warnings():
        simplefilter("ignore")  # about image sizes without weights of their own
        try:
            return construct(recipe, image_size, weights=IMAGENET_WEIGHTS, include_top=False)
        except WeightsError:
            raise
        except Exception as error:  # Keras raises a plain Exception if a download fails
            reason = str(error).strip().partition("\n")[0]
            raise WeightsError(
                f"weights imagenet: {reason}; give a file with --weights FILE"
            ) from error


@contextmanager
def _failing_fast() -> Iterator[None]:
    """Let Keras download weights that are not in its cache, but not hang without a network.

    Keras downloads with urllib, which has a public hook for that: the installed opener.
    """
    install_opener(build_opener(_FailFast()))
    try:
        yield
    finally:
        install_opener(build_opener())  # as urllib itself does it


class _FailFast(BaseHandler):
    """Gives every download a time limit, and refuses it if its server cannot be reached."""

    def default_open(self, request: Request) -> None:
        """Before the connection; behind a proxy only the download itself can show more."""
        request.timeout = _TIMEOUT_S
        if getproxies() or _is_reachable(request.host):
            return
        name = Path(urlsplit(request.full_url).path).name
        raise WeightsError(
            f"weights imagenet: {name} is not in {keras_home() / 'models'} and {request.host} is "
            "not reachable; copy that folder from a machine where Keras has downloaded it, or give "
            "a file with --weights FILE"
        )


def keras_home() -> Path:
    """The folder where Keras caches downloads."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def _is_reachable(host: str) -> bool:
    """Whether a host accepts a connection within the time limit."""
    connected = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, 443), _TIMEOUT_S).close()
            connected.set()
        except OSError:
            pass

    # A name look-up has no time limit, so it may be left behind on a thread.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_TIMEOUT_S)
    return connected.is_set()


def _of_file(path: Path, network: Any, recipe: Recipe, image_size: int) -> Any:
    """The recipe's network with the file's number of classes and all of its weights."""
    try:
        donor = build_network(recipe, image_size, _classes(path, network))
        with catch_warnings():
            simplefilter("error")  # Keras only warns about layers without weights in the file
            donor.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError, UserWarning) as error:
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"weights {path}: not of {recipe.network} with alpha {recipe.alpha}: {reason}"
        ) from error
    return donor


def _classes(path: Path, network: Any) -> int:
    """Number of classes of the head in a .weights.h5 file.

    Keras names layers there by their class, and numbers those of one class: dense, dense_1.
    """
    import h5py

    head = network.layers[-1]
    same_class = [layer for layer in network.layers if type(layer) is type(head)]
    name = type(head).__name__.lower()  # of one word in all of keras.applications
    name = name if len(same_class) == 1 else f"{name}_{len(same_class) - 1}"
    with h5py.File(path) as file:
        return int(file[f"layers/{name}/vars/0"].shape[-1])


def _copy(donor: Any, network: Any, recipe: Recipe) -> None:
    """Copy the weights of each layer of the donor but the head.

    Raises:
        WeightsError: a layer is missing or has another shape.
    """
    theirs = _with_weights(donor)
    if recipe.weights != IMAGENET_WEIGHTS:  # these come without a head
        theirs.pop()
    for source, layer in _pairs(theirs, _with_weights(network)[:-1], recipe):
        shapes = _shapes(source), _shapes(layer)
        if shapes[0] != shapes[1]:
            raise WeightsError(
                f"weights {recipe.weights}: layer {layer.name} has shapes {shapes[0]}, not "
                f"{shapes[1]}; set network and alpha to those of the weights"
            )
        layer.set_weights(source.get_weights())


def _pairs(theirs: list[Any], ours: list[Any], recipe: Recipe) -> list[tuple[Any, Any]]:
    """The layers that correspond to each other: by their names, or else by their order.

    Keras names a layer that its network does not name by how many there were before in the
    process, such as conv2d_4: these names differ between two copies of one network.
    """
    by_name = {layer.name: layer for layer in theirs}
    missing = [layer.name for layer in ours if layer.name not in by_name]
    if not missing:
        return [(by_name[layer.name], layer) for layer in ours]
    pairs = list(zip(theirs, ours, strict=False))  # without a head, more layers may be left out
    if len(pairs) < len(theirs) or any(_kind(one) != _kind(other) for one, other in pairs):
        raise WeightsError(
            f"weights {recipe.weights}: no layer {missing[0]}, so not of {recipe.network}; "
            "set network to that of the weights"
        )
    return pairs


def _with_weights(network: Any) -> list[Any]:
    return [layer for layer in network.layers if layer.weights]


def _kind(layer: Any) -> tuple[type, list[tuple[int, ...]]]:
    return type(layer), _shapes(layer)


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
