"""What stands in the script elements of a page, and the policy that forbids all other code."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from feedbench.bench.report.terminal import harmless


def data(value: Any) -> str:
    """Return JSON that can stand in a script element, whatever texts are in it.

    An HTML parser ends the element at `</script`, and reads on differently after `<!--`. Numbers
    that JSON lacks become null, and control characters `�`, as in the text of the page.
    """
    text = json.dumps(_printable(value), separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    if isinstance(value, str):
        return harmless(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def code(text: str) -> str:
    """Return JavaScript that can stand in a script element.

    The two signs of HTML are escaped as they may stand in literals, the only place for them.
    """
    text = text.replace("\r\n", "\n")
    return text.replace("</script", r"<\/script").replace("<!--", r"\x3c!--")


def policy(scripts: Iterable[str]) -> str:
    """Return a Content-Security-Policy: these scripts run, and nothing is requested."""
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(script: str) -> str:
    return b64encode(sha256(script.encode()).digest()).decode()
