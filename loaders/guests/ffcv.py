"""ffcv: FFCV's Loader over a .beton file, which is written when it is opened for the first time.

Written as FFCV's guide recommends: `os_cache` where the file fits into memory, one worker per core,
its own compiled decoders. Without `ToTensor` its batches are NumPy arrays of the same memory.
Source: https://docs.ffcv.io, "Making dataloaders" and "Tuning guide".

Pixels: a centre crop or the whole image, always resized with OpenCV's INTER_AREA, whatever filter
the spec names; and before that shrunk to `max_resolution` in the file. Original files are decoded
as by `turbo`, from whose pixels these differ by 1 to 5 levels on average (docs/guests.md).
"""

from __future__ import annotations

from pathlib import Path

from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.contract import Loader, Request, Stream
from feedbench.loaders.cores import thread_counts
from feedbench.loaders.errors import SpecError
from feedbench.loaders.guests.beton import opened
from feedbench.loaders.guests.ffcv_batches import Batches, Ffcv, about_of
from feedbench.loaders.guests.ffcv_stages import ffcv_stages
from feedbench.loaders.guests.importing import importing
from feedbench.loaders.guests.package import Package
from feedbench.loaders.images.libjpeg_turbo import READABLE_BY

PACKAGE = Package(
    "ffcv", ("ffcv", "torch"), system="libopencv-dev libturbojpeg0-dev pkg-config g++"
)


def open_stream(request: Request, settings: Ffcv) -> Stream:
    """Batches in the seeded order, which FFCV takes as indices, some batches at a time.

    Raises:
        SpecError: the spec pads images: FFCV has no such decoder.
        SettingsError: the folder cannot be used, or original files have changed since.
        LoaderError: FFCV or its libraries cannot be imported.
    """
    if request.spec.resize == "pad":
        raise SpecError("ffcv cannot pad; set resize to stretch or crop, or use another loader")
    with importing("ffcv", PACKAGE):
        from numba import config

        if config.NUMBA_NUM_THREADS == 1:
            # Nothing is done in parallel then, and TBB, which FFCV starts as it is imported, would
            # wait forever as a process ends that has written the file by others.
            config.THREADING_LAYER = "workqueue"
        import ffcv.loader  # noqa: F401
    about = about_of(request.manifest, request.spec, settings)
    beton = opened(Path(str(settings.pack_dir)), about, request.manifest, request.spec)
    batches = Batches(beton, request, settings)
    reused = settings.output == "uint8" and not settings.copy_batches
    return Stream(batches.batches(), batches.close, request.faults, reuses_memory=reused)


def _upper_bound(settings: Ffcv) -> UpperBound:
    return UpperBound("copy" if settings.write_mode == "raw" else "decode")


LOADER = Loader(
    name="ffcv",
    summary="FFCV: compiled decoders over a file that it has written before",
    turns_by_scan=True,
    settings=Ffcv,
    open=open_stream,
    readable_by=READABLE_BY,
    space={
        "num_workers": lambda cores: (None, *(n for n in thread_counts(cores) if n < cores)),
        "batches_ahead": (3, 1, 6),
        "os_cache": (True, False),
        "output": ("uint8", "float32"),
    },
    suites={
        "peers": ({"write_mode": ["raw", "jpg"], "copy_batches": False},),
    },
    upper_bound=_upper_bound,
    stages=ffcv_stages,
    package=PACKAGE,
)
