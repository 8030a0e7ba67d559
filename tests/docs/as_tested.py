"""What a test does otherwise than a page says, all in one place.

A page is followed in a new folder, block by block: files are saved, commands run, Python executed.
"""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path

SIZES = ("--batch-size", "8", "--image-size", "32")
SHORT = ("--blocks", "1", "--block-seconds", "0.1")
# Options put behind those of a page, by command: of an option given twice, the last value counts.
SHORTER = {
    "make-data": ("--images", "60", "--preset", "small"),
    "bench": (*SIZES, *SHORT, "--warm-up-seconds", "0.1"),
    "tune": (*SIZES, "--budget", "10s"),
    "diagnose": (*SIZES, "--seconds", "1"),
    "limits": (*SIZES, *SHORT),
    "batch-size": ("--min", "8", "--max", "8", "--seconds", "0.1", "--image-size", "32"),
    "calibrate": (*SIZES, "--blocks", "1"),
    "pixels": SIZES,
    "train": ("--epochs", "1"),
}
# What else a command is given where a page gives it neither this option nor a model.
INSTEAD_OF_A_TRAINING = {
    "bench": ("--consumer", "drain"),
    "diagnose": ("--consumer", "emulated:a100"),
    "tune": ("--consumer", "drain"),
}
# Instead of the built-in network, whose step takes long to build, where a training names no model.
NETWORK = """
from keras import Input, Sequential, layers


def build(image_size, classes):
    images = Input((image_size, image_size, 3))
    return Sequential([images, layers.GlobalAveragePooling2D(), layers.Dense(classes, "softmax")])
"""
# Instead of the built-in suite, where a bench names no loader: two trials of this one.
LOADER = "turbo"  # which needs no TensorFlow
LOADERS = {"docs/export.md": "tf_data"}  # whose code the page is about
PAGE = "FEEDBENCH_TESTED_PAGE"
SUITE = """
pixels = {{ images = 0 }}

[[trial]]
loader = "{loader}"
settings = {{ prefetch = [1, 2] }}
"""

LEFT_OUT = ("--try",)  # takes as long as all other commands of a page
# Exit code 1: a search so short ends without a choice, a diagnosis of a busy machine without a
# verdict; some of the compared pixels differ.
ALSO_RIGHT = {"tune": 1, "diagnose": 1, "pixels": 1}

# Commands that cannot run in a test, by their first words, and why.
NOT_RUN = {
    "feedbench scan s3://": "needs a bucket; tests/loaders/remote has one",
    "feedbench bench s3://": "needs a bucket; tests/loaders/remote has one",
    "make": "installs an environment, or runs the tests",
    ".venv/bin/feedbench report": "shows the run of make quickstart; docs/results.md reports one",
    "pip": "needs a network",
    "feedbench bench photos/ --suite peers": "starts a process for each of many loaders; "
    "tests/bench/plan/test_peers.py checks which",
    "feedbench bench photos/ --loader torch": "needs an optional package",
    "python3 -m venv": "its packages need a network",
    "source": "activates an environment",
    "docker": "needs a Docker daemon",
    "nvidia-smi": "needs a GPU",
    "git worktree": "needs a repository",
    "feedbench train photos/ --recipe recipe.toml --batch-size 64 --cluster": "waits for another "
    "host; tests/test_hosts_pages.py starts two",
    "feedbench train photos/ --resume out/run --cluster": "waits for another host, too",
    "ip": "needs root; tests/test_hosts_pages.py makes these hosts",
    "feedbench tune photos/ --resume": "the search before it is too short to have timed anything; "
    "tests/bench/tune resumes searches",
    "python tests/": "runs in the repository, and is a test itself",
}

# A diagnosis takes a minute, so each kind runs once: by page, the commands that another page runs
# too, with other sizes.
OWN_DIAGNOSED = "feedbench diagnose photos/ --loader pipeline.py:make_dataset"
RUN_BY: dict[str, dict[str, str]] = {
    "docs/diagnose.md": {f"{OWN_DIAGNOSED} --consumer emulated:a100": "docs/own-pipeline.md"},
    "docs/monitor.md": {OWN_DIAGNOSED: "docs/own-pipeline.md"},
    "docs/tutorial.md": {f"{OWN_DIAGNOSED} --model model.py:build": "docs/model.md"},
}

# What stands in a page, and what a test puts there.
REPLACED = {
    # XLA needs minutes to compile it on a processor.
    """keras.applications.MobileNetV2(
        input_shape=(image_size, image_size, 3), weights=None, classes=classes
    )""": "keras.Sequential([keras.layers.GlobalAveragePooling2D(), "
    'keras.layers.Dense(classes, "softmax")])',
    "epochs=10": "epochs=1",
    "batch_size=64, image_size=224": "batch_size=8, image_size=32",
    "build(image_size=224": "build(image_size=32",
    "epochs = 20": "epochs = 1",
    "seeds = 3": "seeds = 1",
    "FitMonitor()": "FitMonitor(steps=6, warm_up=3)",
}

# The pages that name files without having them written: where each comes from. It is the file of
# that name that another page has its reader save, a folder of the repository, or one of these:
PHOTO = "an image of photos/"
LIST = "a CSV of the images in photos/"
GIVEN: dict[str, dict[str, str]] = {
    "docs/ci.md": {"pipeline.py": "docs/own-pipeline.md"},
    "docs/diagnose.md": {"pipeline.py": "docs/own-pipeline.md", "photos.csv": LIST},
    "docs/loaders.md": {"pipeline.py": "docs/own-pipeline.md"},
    "docs/model.md": {"examples": "examples"},
    "docs/monitor.md": {"pipeline.py": "docs/own-pipeline.md"},
    "docs/several-machines.md": {"out/run": "results/clothing-training/tuned"},
    "docs/training.md": {
        "one.jpg": PHOTO,
        "a.jpg": PHOTO,
        "b.webp": PHOTO,
        "c.tif": PHOTO,
        "out/scratch": "results/clothing-training/scratch",
        "out/tuned": "results/clothing-training/tuned",
    },
}

# What a Python block takes for granted: data and a model of the reader's own.
_MODEL = """
import keras
model = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
"""
BEFORE: dict[str, str] = {
    "docs/export.md": _MODEL,
    "docs/monitor.md": _MODEL
    + """
import numpy, tensorflow
images, labels = numpy.zeros((300, 8, 8, 3)), numpy.zeros(300)
dataset = tensorflow.data.Dataset.from_tensor_slices((images, labels)).batch(1)
""",
}


def words(given: list[str], folder: Path) -> list[str]:
    """The words of a command of a page, as a test runs it."""
    command, *rest = (word for word in given if word not in LEFT_OUT)
    if "--resume" in rest:  # goes on as it began
        _unfinish(folder / rest[rest.index("--resume") + 1])
        return [command, *rest]
    if command == "train" and not _result_in(rest):  # which has the sizes
        rest += SIZES
    if command == "pack" and "arrays" in rest:
        rest += SIZES[2:]
    if command == "train" and "--model" not in rest:
        rest += ["--model", f"{_saved(folder / 'network_as_tested.py', NETWORK)}:build"]
    if command == "bench" and not {"--loader", "--suite"} & set(rest):
        suite = SUITE.format(loader=LOADERS.get(os.environ[PAGE], LOADER))
        rest += ["--suite", _saved(folder / "suite_as_tested.toml", suite)]
    if not {"--consumer", "--model"} & set(rest):
        rest += INSTEAD_OF_A_TRAINING.get(command, ())
    return [command, *rest, *SHORTER.get(command, ())]


def shorten_limits() -> None:
    """Shorten the warm-ups and reads of `limits`, for which it has no options."""
    from feedbench.bench.commands import limits as command
    from feedbench.bench.limits import limits

    command._TIMING["warm_up_seconds"] = 0.1
    limits._DISK_S = 0.02


def _unfinish(result: Path) -> None:
    """Leave a training as if it had been killed before its last file was written."""
    (result / "training.json").unlink(missing_ok=True)


def _saved(file: Path, text: str) -> str:
    file.write_text(text)
    return str(file)


def _result_in(words: list[str]) -> bool:
    """Whether the loader is that of an earlier result."""
    loaders = [value for option, value in pairwise(words) if option == "--loader"]
    return any("/" in loader or loader.endswith(".toml") for loader in loaders)


if __name__ == "__main__":
    from feedbench.bench.cli import main

    sys.argv = ["feedbench", *words(sys.argv[1:], Path.cwd())]
    if sys.argv[1] == "limits":
        shorten_limits()
    try:
        main()
    except SystemExit as end:
        sys.exit(0 if end.code and end.code == ALSO_RIGHT.get(sys.argv[1]) else end.code)
