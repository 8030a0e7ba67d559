""".npy files of a known dtype and size: their headers are compared, and never parsed.

NumPy's parser fails on a damaged header in many ways.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.replacing import replacing


def npy_header(dtype: Any, shape: tuple[int, ...]) -> bytes:
    """The header of a file that `numpy.load` can read."""
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    values = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, values)
    return header.getvalue()


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write an array of one dimension; the file appears whole or not at all.

    Raises:
        OSError: the disk is full, or another error of the system; NumPy's own has no number.
    """
    with replacing(path) as beside, beside.open("wb") as file:
        file.write(npy_header(array.dtype, array.shape))
        file.write(np.ascontiguousarray(array).view(np.uint8).data)


def open_npy(path: Path, dtype: Any, rows: int) -> np.memmap[Any, Any]:
    """The array of a file of this dtype and number of rows, mapped: to be copied at once.

    Raises:
        ValueError: it is another file; the message names it.
        OSError: it cannot be opened.
    """
    dtype, header = np.dtype(dtype), npy_header(dtype, (rows,))
    with path.open("rb") as file:
        is_same = file.read(len(header)) == header
    if not is_same or path.stat().st_size != len(header) + rows * dtype.itemsize:
        raise ValueError(f"{path.name} is damaged")
    if not rows:
        raise ValueError(f"{path.name} has no rows")
    return np.memmap(path, dtype, "r", len(header), (rows,))
