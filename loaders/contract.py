"""What all loaders share: settings, request, and a loader's entry; batches and spec beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from feedbench.loaders.augment.draws import Draws
from feedbench.loaders.capabilities import (
    WITH_DEFAULTS,
    AuditColumn,
    LibraryCall,
    Role,
    Suites,
    UpperBound,
)
from feedbench.loaders.code.request import Code, CodeRequest
from feedbench.loaders.code.stream import stream_code
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import SettingsError
from feedbench.loaders.faults import Faults
from feedbench.loaders.guests.package import Package
from feedbench.loaders.manifest import LAYOUTS, Layout, Manifest
from feedbench.loaders.spec import BatchSpec as BatchSpec
from feedbench.loaders.spec import Frozen as Frozen
from feedbench.loaders.stream import Batch as Batch
from feedbench.loaders.stream import Opening as Opening
from feedbench.loaders.stream import Stream as Stream
from feedbench.loaders.stream import arrays_in as arrays_in
from feedbench.loaders.stream import images_in as images_in
from feedbench.loaders.stream import size_of_images as size_of_images
from feedbench.loaders.validation import explain

if TYPE_CHECKING:
    from feedbench.loaders.order import Order
    from feedbench.loaders.own.function import OwnFunction
    from feedbench.loaders.stages.stage import Stages

Dtype = Literal["uint8", "float32"]
Values = tuple[Any, ...]  # of one setting; the default first


class Settings(Frozen):
    """The settings of one loader, under the library's own names."""

    @property
    def image_dtype(self) -> Dtype:
        """The dtype of the batches' images."""
        return "float32"

    @property
    def fills_cache(self) -> bool:
        """Whether the first epoch is slower than later ones because it fills a cache."""
        return False


@dataclass(frozen=True)
class Request:
    """The batches requested from a loader.

    Attributes:
        manifest: the images.
        spec: size, pixels and order of every batch.
        order: the rows of each batch, and the step to start at.
        faults: takes the images that fail; by default the first one ends the run.
    """

    manifest: Manifest
    spec: BatchSpec
    order: Order
    faults: Faults = field(default_factory=Faults)

    def batch(self, images: Any, rows: NDArray[np.int64], draws: Draws) -> Batch:
        """The batch of these rows, with their labels and the device's part of the draws."""
        device_draws = self.spec.augment.for_device(draws, self.spec.image_size)
        return Batch(images, self.manifest.labels[rows], rows, device_draws)


@dataclass(frozen=True)
class Autotuning:
    """The choices that a loader leaves to tf.data's AUTOTUNE, to be inspected and replaced.

    Attributes:
        dataset: opens the tf.data.Dataset behind the batches of these settings.
        fixed: settings to merge into these so that nothing is left to AUTOTUNE, for a number of
            cores, one dict per alternative, the most obvious first; empty where nothing is left.
    """

    dataset: Callable[[Request, Any], AbstractContextManager[Any]]
    fixed: Callable[[Any, int], list[dict[str, Any]]]


@dataclass(frozen=True)
class Loader:
    """One way to turn files into batches, and all that the rest of Feedbench knows about it.

    Only the first four attributes have no default: a loader that declares no more takes part in
    every command.

    Attributes:
        name: its key in `LOADERS`, or the name of a user's function.
        summary: one sentence that helps to choose a loader.
        settings: the class of its settings.
        open: starts the stream; may raise any `LoaderError`. An error in `next` of its batches,
            also Ctrl-C, ends the stream: asked again, it raises a LoaderError.
        role: "loader" for one that people may train with; "baseline" for made-up batches, with
            which a consumer's own rate is measured (its settings have `output`); "upper bound"
            and "self-test" for what only the bench itself uses.
        is_default: whether commands use it if no loader is named, and whether a training reads
            held-out images with it (its settings have `output`).
        layouts: the source layouts that it can read.
        readable_by: columns of the audit, of which one must call a row readable; empty where it
            opens none of the manifest's files.
        follows_order: False if a library's own shuffle decides the order within an epoch.
        space: values of its settings to try, the setting that usually gains most first; a
            function returns the values for a number of usable cores.
        suites: the settings with which it takes part in each built-in suite; a list among the
            values expands into a grid.
        upper_bound: the kind of work that limits its rate with these settings.
        stages: its parts, each to be measured alone; None if they cannot be separated.
            Building them must be cheap: files are read when the first one is prepared.
        autotuning: what it leaves to tf.data's AUTOTUNE; None if it does not use it.
        library_call: what the library's own call does with audited files; None if the loader
            corresponds to no such call.
        code: writes Python code that gives its batches; by default a few lines that open it.
        own: the user's function that it calls; None for the loaders in `LOADERS`.
        package: a package that it needs and Feedbench does not install; None if there is none.
        reads_objects: whether it can read images in object storage.
        object_settings: names of settings that have no effect if images are files on a disk.
        turns_by_scan: whether it turns photos upright by what a scan has found, and so needs one.
        cannot_share: why several workers cannot divide its batches with these settings; None if
            they can.
        cuts_no_regions: why it cannot cut random-resized crops out of the images with these
            settings, before it resizes them; None if it can.
        why_not_once: why rows may come more or less often than once per epoch with these settings;
            None if each comes once.
    """

    name: str
    summary: str
    settings: type[Settings]
    open: Callable[[Request, Any], Stream]
    role: Role = "loader"
    is_default: bool = False
    layouts: tuple[Layout, ...] = LAYOUTS
    readable_by: tuple[AuditColumn, ...] = ("pillow",)
    follows_order: bool = True
    space: Mapping[str, Values | Callable[[int], Values]] = field(default_factory=dict)
    suites: Suites = field(default_factory=lambda: WITH_DEFAULTS)
    upper_bound: Callable[[Any], UpperBound] = lambda settings: UpperBound("decode")
    stages: Callable[[Manifest, BatchSpec, Any], Stages] | None = None
    autotuning: Autotuning | None = None
    library_call: Callable[[Manifest], LibraryCall] | None = None
    code: Callable[[CodeRequest], Code] = stream_code
    own: OwnFunction | None = None
    package: Package | None = None
    reads_objects: bool = True
    object_settings: tuple[str, ...] = ()
    turns_by_scan: bool = False
    cannot_share: Callable[[Any], str | None] = lambda settings: None
    cuts_no_regions: Callable[[Any], str | None] = lambda settings: "it resizes whole images"
    why_not_once: Callable[[Any], str | None] = lambda settings: None

    def values(self, setting: str) -> Values:
        """Return the values of a setting to try on the usable cores."""
        values = self.space.get(setting, ())
        return values(usable_cores()) if callable(values) else values

    def can_read(self, manifest: Manifest) -> bool:
        """Whether it can read a source of this kind and location."""
        return manifest.layout in self.layouts and (self.reads_objects or not manifest.is_remote)

    @property
    def is_guest(self) -> bool:
        """Whether it is another library's loader, which is used only if it is named."""
        return self.package is not None

    @property
    def is_choice(self) -> bool:
        """Whether users may choose it: it gives the images of the files."""
        return self.role == "loader"

    @property
    def opens_by_default(self) -> bool:
        """Whether it can be opened without any setting given."""
        try:
            self.settings()
        except ValidationError:
            return False
        return True


def parse_settings(loader: Loader, values: dict[str, Any]) -> Settings:
    """Validate plain values as settings of a loader.

    Raises:
        SettingsError: a setting is unknown or its value is not allowed.
    """
    try:
        return loader.settings.model_validate(values)
    except ValidationError as error:
        fault = explain(error, loader.settings)
        raise SettingsError(f"settings of {loader.name}: {fault}") from error
