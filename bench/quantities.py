"""Numbers of things in words."""

from __future__ import annotations


def quantity(count: int, noun: str) -> str:
    """Return a number with its noun, such as `1 block` or `1,200 images`.

    Args:
        noun: in the singular, without an irregular plural.
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"
