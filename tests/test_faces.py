"""The public faces of loaders and trainer hold all that bench needs, and load nothing heavy."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import feedbench

FACES = [
    "feedbench.loaders",
    "feedbench.loaders.audit",
    "feedbench.loaders.images",
    "feedbench.loaders.own",
    "feedbench.loaders.pack",
    "feedbench.loaders.service",
    "feedbench.loaders.stages",
    "feedbench.trainer",
]


@pytest.mark.parametrize("face", FACES)
def test_a_face_loads_nothing_heavy(face):
    code = f"import sys, {face}; assert not {{'tensorflow', 'keras'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("face", FACES)
def test_a_face_has_what_it_promises(face):
    module = importlib.import_module(face)
    assert all(hasattr(module, name) for name in module.__all__)


def imported_by_bench():
    """Every name that bench imports from loaders and trainer, with its module."""
    for file in (Path(feedbench.__file__).parent / "bench").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            module = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and module.startswith(
                ("feedbench.loaders", "feedbench.trainer")
            ):
                yield from ((file.name, module, one.name) for one in node.names)


def test_all_that_bench_needs_is_on_a_face():
    modules = [importlib.import_module(face) for face in FACES]
    exported = {id(getattr(module, name)) for module in modules for name in module.__all__}
    needed = list(imported_by_bench())
    assert len(needed) > 100
    for file, module, name in needed:
        assert not name.startswith("_"), (file, module, name)
        found = getattr(sys.modules[module], name)
        assert id(found) in exported, (file, module, name)
