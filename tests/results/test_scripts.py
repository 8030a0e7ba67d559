"""Every script beside published records can be loaded: what it imports is there."""

import runpy
import sys
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "results"
SCRIPTS = sorted(str(path.relative_to(RESULTS)) for path in RESULTS.rglob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS)
def test_a_script_can_be_loaded(path, monkeypatch):
    monkeypatch.syspath_prepend(str((RESULTS / path).parent))
    before = set(sys.modules)
    runpy.run_path(str(RESULTS / path), run_name="loaded")
    for name in set(sys.modules) - before:  # scripts that it imports
        if RESULTS in Path(getattr(sys.modules[name], "__file__", None) or "").parents:
            del sys.modules[name]
