"""The table of commands: what `feedbench --help` lists, and where each command is."""

from __future__ import annotations

from typing import NamedTuple

START, DATA, MEASURE, TRAIN, REFERENCE = "Start here", "Data", "Measure", "Train", "Reference"


class Entry(NamedTuple):
    """A command as `feedbench --help` lists it; its module is imported only when it is used.

    Attributes:
        module: module in `feedbench.bench.commands` that has the command as a function.
        panel: heading under which the help lists the command.
        summary: one sentence for the list of commands.
        example: arguments of an example call.
    """

    module: str
    panel: str
    summary: str
    example: str


COMMANDS = {
    "quickstart": Entry(
        "quickstart",
        START,
        "Try Feedbench on generated photos: time the loaders, and train with the best.",
        "--out first-try",
    ),
    "scan": Entry(
        "scan",
        DATA,
        "Check every image with every decoder and report what cannot be read.",
        "photos/ --bad > blacklist.csv",
    ),
    "make-data": Entry(
        "make_data",
        DATA,
        "Generate photos to experiment with, in train, validation and test.",
        "photos/ --images 1000 --preset web",
    ),
    "pack": Entry(
        "pack",
        DATA,
        "Prepare all images once for the loader packed, or check a finished pack.",
        "photos/ packed/ --as arrays --image-size 224",
    ),
    "pixels": Entry(
        "pixels",
        DATA,
        "Compare the pixels of several loaders, image by image.",
        "photos/ --loader keras_pil --loader tf_data --set tf_data.decode=image,jpeg,scaled "
        "--sheet worst.png",
    ),
    "bench": Entry(
        "bench",
        MEASURE,
        "Measure how fast each loader feeds the trainer, and choose the best.",
        "photos/ --suite quick --alpha 0.35 --image-size 96 --batch-size 64",
    ),
    "tune": Entry(
        "tune",
        MEASURE,
        "Search for the best loader and settings within a time budget.",
        "photos/ --consumer emulated:a100 --budget 5m --max-memory 8",
    ),
    "diagnose": Entry(
        "diagnose",
        MEASURE,
        "Find the bottleneck by measuring each part alone, and predict what would remove it.",
        "photos/ --loader keras_pil --consumer emulated:a100",
    ),
    "limits": Entry(
        "limits",
        MEASURE,
        "Measure the limits of decoding, copying and the disk, and each loader's share of them.",
        "photos/ --set packed.pack=packed/",
    ),
    "plan": Entry(
        "plan",
        MEASURE,
        "Predict what a larger target needs: cores, storage, network, memory and shards.",
        "photos/ --accelerator a100:8 --cores 64 --storage 2000",
    ),
    "batch-size": Entry(
        "batch_size",
        MEASURE,
        "Find the largest batch size that fits into memory and the smallest that is fast.",
        "photos/ --image-size 224 --max 1024",
    ),
    "calibrate": Entry(
        "calibrate",
        MEASURE,
        "Measure this machine's accelerator and save it as a profile to emulate.",
        "my-gpu --batch-size 192 --image-size 224",
    ),
    "selftest": Entry(
        "selftest",
        MEASURE,
        "Check the measurements against known delays, counts and injected bottlenecks.",
        "--short",
    ),
    "show": Entry(
        "show",
        MEASURE,
        "Show the tables of an earlier result again, and draw one trial over time.",
        "results/bench-20260101-120000",
    ),
    "compare": Entry(
        "compare",
        MEASURE,
        "Compare two or more runs: which rates are faster or slower, and with what certainty.",
        "results/before results/after --fail-if-slower 5%",
    ),
    "report": Entry(
        "report",
        MEASURE,
        "Write earlier results as one HTML page with charts, to read or to send.",
        "results/bench-20260101-120000 --out report.html",
    ),
    "train": Entry(
        "train",
        TRAIN,
        "Train from scratch or fine-tune, and compare the rate with the predicted one.",
        "photos/ --loader best.toml --epochs 20",
    ),
    "export": Entry(
        "export",
        TRAIN,
        "Write the loader of a best.toml as Python code for your own training.",
        "best.toml --out input_pipeline.py",
    ),
    "study": Entry(
        "study",
        TRAIN,
        "Train one recipe over a grid with several seeds, and test which differences are real.",
        "ranges.toml --out results/ranges",
    ),
    "predict": Entry(
        "predict",
        TRAIN,
        "Print the class that a saved model predicts for each image.",
        "results/run/model.keras one.jpg two.webp",
    ),
    "serve": Entry(
        "serve",
        TRAIN,
        "Start a dispatcher or a worker of the tf.data service, for the loader tf_data_service.",
        "--worker 10.0.0.2:5051 --of 10.0.0.1:5050",
    ),
    "recipe": Entry(
        "recipe",
        REFERENCE,
        "Print a recipe file with every field, its default and what it does.",
        "> recipe.toml",
    ),
    "loaders": Entry(
        "loaders",
        REFERENCE,
        "List the loaders and their settings: allowed values, defaults and costs.",
        "",
    ),
    "accelerators": Entry(
        "accelerators",
        REFERENCE,
        "List the accelerators that can be emulated, and the sources of their rates.",
        "",
    ),
}
