"""Classes and splits from the folders in the names of members, as in a source of folders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from feedbench.loaders.splits import SPLIT_NAMES


class Place(NamedTuple):
    """The class that a folder stands for; and its split, None if none of the folders has one."""

    label: str
    split: int | None


def places_of(folders: list[str]) -> dict[str, Place]:
    """The place of each folder; files outside of folders have none.

    A folder around all others is ignored, as in an archive of a folder.
    """
    parts = {folder: folder.split("/") for folder in folders if folder}
    while parts and _has_wrapper(list(parts.values())):
        parts = {folder: names[1:] for folder, names in parts.items() if len(names) > 1}
    has_splits = _are_splits([names[0] for names in parts.values()])
    if not has_splits:
        return {folder: Place(names[0], None) for folder, names in parts.items()}
    inner = {folder: names for folder, names in parts.items() if len(names) > 1}
    return {folder: Place(names[1], SPLIT_NAMES[names[0]]) for folder, names in inner.items()}


def _has_wrapper(parts: list[list[str]]) -> bool:
    outer = {names[0] for names in parts}
    return len(outer) == 1 and any(len(names) > 1 for names in parts) and not _are_splits(outer)


def _are_splits(names: Iterable[str]) -> bool:
    found = set(names)
    return found <= SPLIT_NAMES.keys() and any(SPLIT_NAMES[name] == 0 for name in found)
