"""Compares the gains that `diagnose` predicts for the mistakes of two examples with measured ones.

python tests/micro/predicted_gains.py DATA [CONSUMER]

Mistakes that `--try` can undo are measured in the rounds of the diagnosis itself. `from_generator`
is undone by hand: the same images and changes by TensorFlow's own operations, in a bench beside the
example.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from feedbench.bench.diagnose.record import RECORD, read_diagnosis
from feedbench.bench.diagnose.tf_graph.derive import Mistake, mistakes_in

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZES = ("--image-size", "160", "--batch-size", "32")
FIXED = """
import sys

import tensorflow as tf

sys.path.insert(1, {examples!r})
from loaders import photographs


def make_dataset(data, split, batch_size, image_size, seed):
    paths, labels = photographs(data, split)

    def load(path, label):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.resize(image, (image_size, image_size), "nearest")
        image = tf.image.random_flip_left_right(image)
        reach = image_size // 10
        image = tf.roll(image, tf.random.uniform((), -reach, reach + 1, tf.int32), 1)
        image = tf.cast(image, tf.float32) * tf.random.uniform((), 0.8, 1.2)
        return tf.clip_by_value(image, 0, 255), label

    rows = tf.data.Dataset.from_tensor_slices((paths, labels)).shuffle(len(paths), seed).repeat()
    return rows.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)
"""


def feedbench(*words: object) -> None:
    """Run a command; a diagnosis without a verdict, which exits with 1, is a failure too."""
    subprocess.run([sys.executable, "-m", "feedbench.bench.cli", *map(str, words)], check=True)


def diagnosed(data: str, example: str, consumer: str, out: Path) -> list[Mistake]:
    """Return the mistakes of an example, with what undoing them gains."""
    name = f"{EXAMPLES / example}.py:make_dataset"
    feedbench(
        "diagnose", data, "--loader", name, "--consumer", consumer, *SIZES, "--try", "--out", out
    )
    return [one for one in mistakes_in(read_diagnosis(out / RECORD)) if not one.advice]


def without_generator(data: str, consumer: str, out: Path) -> float:
    """Return the rate of `load_img_generator.py` without its generator ÷ its own."""
    out.mkdir()
    fixed = out / "fixed.py"
    fixed.write_text(FIXED.format(examples=str(EXAMPLES)))
    names = [f"{EXAMPLES / 'load_img_generator.py'}:make_dataset", f"{fixed}:make_dataset"]
    loaders = [word for name in names for word in ("--loader", name)]
    feedbench("bench", data, *loaders, "--consumer", consumer, *SIZES, "--out", out / "bench")
    trials = json.loads((out / "bench" / "summary.json").read_text())["trials"]
    rates = {one["loader"]: one["images_per_second"]["median"] for one in trials}
    return rates[names[1]] / rates[names[0]]


def main(data: str, consumer: str = "emulated:a100") -> None:
    """Print, for each mistake, the predicted and the measured gain, and how far they are apart."""
    with tempfile.TemporaryDirectory() as folder:
        for example in ("directory_augment", "load_img_generator"):
            for one in diagnosed(data, example, consumer, Path(folder, example)):
                measured = None if one.tried is None else one.tried.value
                if one.name == "from_generator":
                    measured = without_generator(data, consumer, Path(folder, "fixed"))
                sys.stdout.write(f"{example}: {one.name}: {_text(one.gain, measured)}\n")


def _text(gain: float | None, measured: float | None) -> str:
    if gain is None or measured is None:
        return "not compared"
    return (
        f"predicted {gain:+.0%}, measured {measured - 1:+.0%}: the predicted rate is "
        f"{(1 + gain) / measured - 1:+.1%} off"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
