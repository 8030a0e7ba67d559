"""The built-in suites: which loaders with which settings people should compare first."""

from __future__ import annotations

from bench.plan import Choice
from loaders import Manifest


def _choice(loader: str, **settings: object) -> Choice:
    return Choice(loader=loader, settings=settings)


QUICK = (
    _choice("keras_pil"),
    _choice("keras_directory"),
    _choice("tf_data", num_parallel_calls=1, prefetch=0),
    _choice("tf_data"),
    _choice("tf_data", cache="decoded"),
)
STANDARD = (
    _choice("keras_pil"),
    _choice("keras_pil", workers=[2, 4]),
    _choice("keras_pil", workers=2, use_multiprocessing=True),
    _choice("keras_directory"),
    _choice("tf_data", num_parallel_calls=1, prefetch=0),
    _choice("tf_data", num_parallel_calls=1),
    _choice("tf_data", prefetch=0),
    _choice("tf_data", prefetch=["autotune", 4]),
    _choice("tf_data", decode="jpeg"),
    _choice("tf_data", output="float32"),
    _choice("tf_data", private_threads=2),
    _choice("tf_data", cache=["encoded", "decoded", "disk"]),
)
SUITES = {"quick": QUICK, "standard": STANDARD}


def suited(choices: tuple[Choice, ...], manifest: Manifest) -> tuple[Choice, ...]:
    """Those of a built-in suite that can read this kind of source."""
    if manifest.layout != "csv":
        return choices
    return tuple(choice for choice in choices if choice.loader != "keras_directory")
