"""The table of loaders, and how one is found by its name."""

from __future__ import annotations

from feedbench.loaders import (
    keras_directory,
    keras_pil,
    packed,
    synthetic,
    tf_data,
    tf_data_service,
    turbo,
)
from feedbench.loaders.contract import Loader
from feedbench.loaders.errors import UnknownLoader
from feedbench.loaders.guests import dali, ffcv, grain, hf_datasets, spdl, torch, webdataset
from feedbench.loaders.guests.package import check_installed
from feedbench.loaders.own.find import installed, is_own
from feedbench.loaders.own.resolve import own_loader
from feedbench.loaders.validation import alternatives

LOADERS: dict[str, Loader] = {
    "keras_pil": keras_pil.LOADER,
    "keras_directory": keras_directory.LOADER,
    "tf_data": tf_data.LOADER,
    "tf_data_service": tf_data_service.LOADER,
    "turbo": turbo.LOADER,
    "packed": packed.LOADER,
    "synthetic": synthetic.LOADER,
    "torch": torch.LOADER,
    "webdataset": webdataset.LOADER,
    "hf_datasets": hf_datasets.LOADER,
    "dali": dali.LOADER,
    "grain": grain.LOADER,
    "spdl": spdl.LOADER,
    "ffcv": ffcv.LOADER,
}

BASELINE = next(name for name, one in LOADERS.items() if one.role == "baseline")
DEFAULT_LOADER = next(name for name, one in LOADERS.items() if one.is_default)


def find_loader(name: str) -> Loader:
    """The loader of this name: a key of `LOADERS`, a user's function, or an installed one.

    Raises:
        UnknownLoader: there is none; the message lists the names that exist.
        LoaderError: the file of the function is not valid.
    """
    if name in LOADERS:
        return LOADERS[name]
    if is_own(name):
        return own_loader(name)
    if where := installed().get(name):
        return own_loader(name, where)
    if name.endswith(".py"):
        raise UnknownLoader(f"{name}: name one of its functions too, such as {name}:make_dataset")
    there = alternatives(name, [*LOADERS, *installed()])
    raise UnknownLoader(
        f"no loader {name!r}; {there}; a function of yours is named FILE.py:FUNCTION"
    )


def check_package(name: str) -> None:
    """Check that what a loader needs is installed, before anything starts.

    Raises:
        LoaderError: it is not, or there is no such loader.
    """
    check_installed(name, find_loader(name).package)
