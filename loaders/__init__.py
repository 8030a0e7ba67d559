"""Loaders: interchangeable ways to turn image files into batches.

>>> from feedbench.loaders import BatchSpec, open_loader, scan
>>> manifest = scan("photos/")
>>> with open_loader("tf_data", manifest, BatchSpec(), {"prefetch": 4}, epochs=1) as batches:
...     for images, labels, rows in batches: ...
"""

from __future__ import annotations

from feedbench.loaders.address import extent_of, file_of, is_remote, stamp_of
from feedbench.loaders.amounts import amount
from feedbench.loaders.augment.draws import UNCHANGED, Augment
from feedbench.loaders.balance import images_per_epoch
from feedbench.loaders.cache_folder import cache_folder
from feedbench.loaders.capabilities import AuditColumn, LibraryCall, SuiteName, UpperBound
from feedbench.loaders.checks import check_objects, check_orientation, check_regions, check_share
from feedbench.loaders.code import CODE_LAYOUTS, Code, CodeRequest, stream_code
from feedbench.loaders.contract import (
    Autotuning,
    Batch,
    Dtype,
    Loader,
    Request,
    Settings,
    Stream,
    arrays_in,
    images_in,
    parse_settings,
    size_of_images,
)
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import (
    BudgetError,
    ImageError,
    LoaderError,
    SettingsError,
    SourceError,
    SourceWarning,
    SpecError,
    UnknownLoader,
    WorkerError,
    printable,
)
from feedbench.loaders.faults import BUDGET, Faults, tolerance
from feedbench.loaders.file_stamps import file_sizes, unscanned_rows, without_stale_facts
from feedbench.loaders.files import open_regular, openable, read_file
from feedbench.loaders.guests.package import install_command
from feedbench.loaders.manifest import LAYOUTS, SCHEMA, SPLITS, Layout, Manifest, Split
from feedbench.loaders.memory import available_memory
from feedbench.loaders.opening import open_loader
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.originals import Originals
from feedbench.loaders.own.call import forget, own_calls_within
from feedbench.loaders.own.errors import OwnError
from feedbench.loaders.own.find import installed, is_own, short_name
from feedbench.loaders.own.function import OwnFunction
from feedbench.loaders.remote.cache import object_cache_bytes
from feedbench.loaders.remote.fetched import fetched_bytes
from feedbench.loaders.remote.path import source_path
from feedbench.loaders.remote.read import always_fetch, drop_cached, read_into_cache
from feedbench.loaders.sampling import Sampling
from feedbench.loaders.selection import bad_rows, blacklist_of, by_reason, usable, with_blacklist
from feedbench.loaders.source import scan
from feedbench.loaders.spec import BatchSpec, parse_spec
from feedbench.loaders.table import BASELINE, DEFAULT_LOADER, LOADERS, check_package, find_loader
from feedbench.loaders.validation import allowed, alternatives, bounds, explain

__all__ = [
    "BASELINE",
    "BUDGET",
    "CODE_LAYOUTS",
    "DEFAULT_LOADER",
    "LAYOUTS",
    "LOADERS",
    "SCHEMA",
    "SPLITS",
    "UNCHANGED",
    "AuditColumn",
    "Augment",
    "Autotuning",
    "Batch",
    "BatchSpec",
    "BudgetError",
    "Code",
    "CodeRequest",
    "Dtype",
    "Faults",
    "ImageError",
    "Layout",
    "LibraryCall",
    "Loader",
    "LoaderError",
    "Manifest",
    "Order",
    "Originals",
    "OwnError",
    "OwnFunction",
    "Request",
    "Rows",
    "Sampling",
    "Settings",
    "SettingsError",
    "SourceError",
    "SourceWarning",
    "SpecError",
    "Split",
    "Stream",
    "SuiteName",
    "UnknownLoader",
    "UpperBound",
    "WorkerError",
    "allowed",
    "alternatives",
    "always_fetch",
    "amount",
    "arrays_in",
    "available_memory",
    "bad_rows",
    "blacklist_of",
    "bounds",
    "by_reason",
    "cache_folder",
    "check_objects",
    "check_orientation",
    "check_package",
    "check_regions",
    "check_share",
    "drop_cached",
    "explain",
    "extent_of",
    "fetched_bytes",
    "file_of",
    "file_sizes",
    "find_loader",
    "forget",
    "images_in",
    "images_per_epoch",
    "install_command",
    "installed",
    "is_own",
    "is_remote",
    "object_cache_bytes",
    "open_loader",
    "open_regular",
    "openable",
    "own_calls_within",
    "parse_settings",
    "parse_spec",
    "printable",
    "read_file",
    "read_into_cache",
    "scan",
    "short_name",
    "size_of_images",
    "source_path",
    "stamp_of",
    "stream_code",
    "tolerance",
    "unscanned_rows",
    "usable",
    "usable_cores",
    "with_blacklist",
    "without_stale_facts",
]
