"""Weights to begin with: of ImageNet, of a saved model, or of a weights file; never the head."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies
from warnings import catch_warnings, simplefilter

import numpy as np

from feedbench.trainer.errors import WeightsError
from feedbench.trainer.model import build_network, construct, preprocessing
from feedbench.trainer.recipe import Recipe
from feedbench.trainer.saved_model import load_model, read_facts

IMAGENET_WEIGHTS = "imagenet"
_PATIENCE_S = 5.0  # for a connection, and for silence in a download


def load_into(network: Any, recipe: Recipe, image_size: int) -> None:
    """Bring the weights that the recipe names into a fresh network, all but its head.

    Raises:
        WeightsError: they cannot be had, or belong to another network.
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
    """One line where the weights were trained on images in another range.

    Raises:
        WeightsError: no such file.
    """
    if recipe.weights == IMAGENET_WEIGHTS:
        return _other_than_imagenet(recipe, value_range, scale, offset)
    if not recipe.weights.endswith(".keras"):
        return []
    there = (read_facts(_existing(recipe.weights)) or {}).get("value_range")
    here = _told(value_range)
    if there in (None, here):
        return []
    return [f"{recipe.weights} was trained with value_range {there}, this run has {here}"]


def _other_than_imagenet(
    recipe: Recipe, value_range: Any, scale: Sequence[float], offset: Sequence[float]
) -> list[str]:
    """Held against what the network's own `preprocess_input` makes of black and white."""
    pixels = np.array([[[[0.0] * 3, [255.0] * 3]]], np.float32)
    ours = pixels * np.array(scale) + np.array(offset)
    theirs = np.asarray(preprocessing(recipe)(pixels.copy()))
    if np.allclose(ours, theirs, atol=1e-3):
        return []
    black, white = (", ".join(f"{level:g}" for level in theirs[0, 0, at]) for at in (0, 1))
    return [
        f"the ImageNet weights of {recipe.network} were trained with black at ({black}) and white "
        f"at ({white}); this run has value_range {_told(value_range)}"
    ]


def _told(value_range: Any) -> Any:
    return value_range if isinstance(value_range, str) else list(value_range)


def _existing(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise WeightsError(f"weights {path}: no such file; give a .keras or .weights.h5 file")
    return path


def _network_within(model: Any) -> Any:
    """The network itself of a model that holds it behind a value range."""
    import keras

    inner = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return inner[-1] if inner else model


def _of_imagenet(recipe: Recipe, image_size: int) -> Any:
    with _impatient(), catch_warnings():
        simplefilter("ignore")  # of an image size for which there are no weights of its own
        try:
            return construct(recipe, image_size, weights=IMAGENET_WEIGHTS, include_top=False)
        except WeightsError:
            raise
        except Exception as error:  # Keras raises a plain Exception where a download fails
            reason = str(error).strip().partition("\n")[0]
            raise WeightsError(
                f"weights imagenet: {reason}; give a file by --weights FILE"
            ) from error


@contextmanager
def _impatient() -> Iterator[None]:
    """Keras may fetch a file that is not in its cache, but must not hang where it cannot."""
    from keras.src.utils import file_utils

    fetch, patience = file_utils.get_file, socket.getdefaulttimeout()

    def cached_or_fetched(fname: str, origin: str, **values: Any) -> Any:
        cached = Path(keras_home()) / values.get("cache_subdir", "datasets") / fname
        if not cached.exists() and not _is_reachable(origin):
            raise WeightsError(
                f"weights imagenet: {cached} is not there and the network is not reachable; give "
                f"a file by --weights FILE, or put {fname} there"
            )
        return fetch(fname, origin, **values)

    file_utils.get_file = cached_or_fetched
    socket.setdefaulttimeout(_PATIENCE_S)
    try:
        yield
    finally:
        file_utils.get_file = fetch
        socket.setdefaulttimeout(patience)


def keras_home() -> str:
    """Where Keras keeps what it has fetched."""
    from keras.src.backend import config

    return str(config.keras_home())


def _is_reachable(origin: str) -> bool:
    """Whether the file's host answers soon; behind a proxy only the download itself can tell."""
    import threading

    if getproxies():
        return True
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((urlsplit(origin).hostname, 443), _PATIENCE_S).close()
            answered.set()
        except OSError:
            pass

    # Looking a name up heeds no time limit, so it is left behind on a thread.
    asking = threading.Thread(target=connect, daemon=True)
    asking.start()
    asking.join(_PATIENCE_S)
    return answered.is_set()


def _of_file(path: Path, network: Any, recipe: Recipe, image_size: int) -> Any:
    """The recipe's network with the file's own number of classes and all of its weights."""
    try:
        donor = build_network(recipe, image_size, _classes(path, network))
        with catch_warnings():
            simplefilter("error")  # Keras only warns of layers that the file has no weights for
            donor.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError, UserWarning) as error:
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"weights {path}: not of {recipe.network} with alpha {recipe.alpha}: {reason}"
        ) from error
    return donor


def _classes(path: Path, network: Any) -> int:
    """Classes of the head in a .weights.h5 file, found by the name that Keras gives it there."""
    import h5py
    from keras.src.utils.naming import to_snake_case

    head = network.layers[-1]
    alike = [layer for layer in network.layers if type(layer) is type(head)]
    name = to_snake_case(type(head).__name__)
    name = name if len(alike) == 1 else f"{name}_{len(alike) - 1}"
    with h5py.File(path) as file:
        return int(file[f"layers/{name}/vars/0"].shape[-1])


def _copy(donor: Any, network: Any, recipe: Recipe) -> None:
    """Each layer's weights but the head's, by the layers' names.

    Raises:
        WeightsError: a layer is missing or of another shape.
    """
    given = {layer.name: layer for layer in donor.layers if layer.weights}
    for layer in [layer for layer in network.layers if layer.weights][:-1]:
        there = given.get(layer.name)
        if there is None:
            raise WeightsError(
                f"weights {recipe.weights}: no layer {layer.name}, so not of {recipe.network}; "
                "set network to theirs"
            )
        shapes = [[tuple(w.shape) for w in one.weights] for one in (there, layer)]
        if shapes[0] != shapes[1]:
            raise WeightsError(
                f"weights {recipe.weights}: layer {layer.name} has shapes {shapes[0]}, not "
                f"{shapes[1]}; set network and alpha to theirs"
            )
        layer.set_weights(there.get_weights())
