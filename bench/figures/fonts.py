"""Fonts for names in any script, and which names can be drawn with those that are installed."""

from __future__ import annotations

from functools import cache
from typing import Any

DEFAULT = "DejaVu Sans"  # comes with matplotlib; Latin, Greek, Cyrillic, Arabic, Armenian, Georgian
# Common families for other scripts on Linux, macOS and Windows; the installed ones are used.
_OTHERS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR"),
    *(
        "Droid Sans Fallback",
        "WenQuanYi Zen Hei",
        "WenQuanYi Micro Hei",
        "IPAGothic",
        "NanumGothic",
    ),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai"),
    *("Noto Sans Hebrew", "Noto Sans Arabic", "FreeSans", "Lohit Devanagari", "Noto Emoji"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Leelawadee UI"),
)


@cache
def families() -> list[str]:
    """Return the default family and the installed ones that complete it."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [DEFAULT, *(name for name in _OTHERS if name in installed)]


def is_drawable(text: str) -> bool:
    """Whether the installed fonts have each of the characters."""
    return all(any(ord(char) in font for font in _characters()) for char in text)


@cache
def _characters() -> list[Any]:
    """Return the code points of each family."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return [get_font(findfont(FontProperties(family=[name]))).get_charmap() for name in families()]
