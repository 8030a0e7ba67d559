"""Writes FFCV's files of both kinds before anything is measured.

Usage: python prepare.py PHOTOS FOLDER
"""

from __future__ import annotations

import sys

from feedbench.loaders import BatchSpec, open_loader, scan


def main(photos: str, folder: str) -> None:
    """Open the loader once with each write mode: it writes the file that it does not find."""
    manifest = scan(photos).only("train")
    for mode in ("raw", "jpg"):
        settings = {"pack_dir": folder, "write_mode": mode}
        open_loader("ffcv", manifest, BatchSpec(), settings, epochs=1).close()


if __name__ == "__main__":
    main(*sys.argv[1:])
