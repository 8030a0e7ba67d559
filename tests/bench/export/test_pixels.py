"""Exported code gives the images of the loader, in its order."""

import importlib.util
import shutil
import subprocess
import sys
from datetime import date

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.analysis.best import Best
from feedbench.bench.export.module import exported, module_text
from feedbench.loaders import BatchSpec, Faults, open_loader, scan
from feedbench.loaders.pack import Sharding, write_shards

SPEC = {"batch_size": 10, "image_size": 32, "seed": 3}
FLIP = {"augment": {"horizontal_flip": True}}
ALL = {
    "horizontal_flip": True,
    "rotation": 20,
    "zoom": (0.8, 1.2),
    "crop": 0.7,
    "brightness": 0.2,
    "contrast": 0.2,
    "jpeg_quality": (50, 90),
}
SPECS = [
    {},
    {"resize": "crop", "interpolation": "bilinear"},
    {"resize": "pad", "value_range": (-1, 1)},
    {"resize": "pad", "interpolation": "bilinear", "value_range": (0, 255)},
    {"interpolation": "bilinear", "antialias": True, "value_range": "imagenet"},
    {"value_range": (-1, 2.5), **FLIP},
    {"augment": ALL, "interpolation": "bilinear"},
]
ORDERS = [{}, {"balance": 0.7}, {"balance": 1.0, "shuffle": False}, {"shuffle": False}]
SETTINGS = [
    {},
    {"output": "float32", "decode": "jpeg"},
    {"cache": "decoded"},
    {"cache": "disk", "output": "float32", "prefetch": 0, "num_parallel_calls": 2},
    {"cache": "encoded", "decode": "scaled", "private_threads": 2, "prefetch": 3},
    {"deterministic": False, "num_parallel_calls": 1, "prefetch": 2},
]
today = date(2026, 1, 2)


def code_of(name, settings, spec, manifest=None):
    best = Best(loader=name, settings=settings, spec={**SPEC, **spec})
    return module_text(exported("best.toml", best), manifest, "pipeline.py", today)


def module_of(code, tmp_path):
    path = tmp_path / f"pipeline_{len(list(tmp_path.iterdir()))}.py"
    path.write_text(code)
    found = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def opened(tmp_path):
    """Returns the exported module of a choice."""
    return lambda *choice: module_of(code_of(*choice), tmp_path)


def batches_of(name, settings, manifest, spec, epochs):
    with open_loader(name, manifest, spec, settings, epochs=epochs) as stream:
        return [(np.asarray(batch.images), batch.labels) for batch in stream]


def assert_same(dataset, theirs):
    ours = [(np.asarray(images), np.asarray(labels)) for images, labels in dataset]
    assert [len(labels) for _, labels in ours] == [len(labels) for _, labels in theirs]
    for (images, labels), (other_images, other_labels) in zip(ours, theirs, strict=True):
        assert (images.dtype, labels.dtype) == (other_images.dtype, other_labels.dtype)
        assert labels.tolist() == other_labels.tolist()
        assert np.array_equal(images, other_images)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize(
    ("name", "settings"),
    [("tf_data", {}), ("tf_data", SETTINGS[1]), ("keras_directory", {})],
    ids=str,
)
def test_evaluation_has_the_pixels_of_the_loader(splits_folder, opened, name, settings, spec):
    if spec.get("antialias") and name == "keras_directory":
        spec = {**spec, "antialias": False}
    evaluation = BatchSpec(**SPEC, **spec).for_evaluation()
    manifest = scan(splits_folder).only("train")
    module = opened(name, settings, spec)
    module.list_images = lambda data, split: listed(manifest)  # more images than are held out
    dataset = module.make_dataset(splits_folder, "validation", epochs=1)
    assert_same(dataset, batches_of(name, settings, manifest, evaluation, 1))


def listed(manifest):
    return [manifest.path(row) for row in range(len(manifest))], manifest.labels


@pytest.mark.parametrize(
    "spec", [{"value_range": (-1, 1), "resize": "crop"}, {"value_range": (0, 255)}, {}], ids=str
)
def test_load_img_in_a_py_dataset_gives_the_batches_of_keras_pil(splits_folder, opened, spec):
    manifest = scan(splits_folder).only("train")
    module = opened("keras_pil", {}, spec)
    dataset = module.make_dataset(splits_folder, epochs=3)
    theirs = batches_of("keras_pil", {}, manifest, BatchSpec(**SPEC, **spec), 3)
    assert_same([dataset[number] for number in range(dataset.num_batches)], theirs)
    few = module.make_dataset(splits_folder, "validation", epochs=1)
    evaluation = BatchSpec(**SPEC, **spec).for_evaluation()
    held_out = batches_of("keras_pil", {}, scan(splits_folder).only("validation"), evaluation, 1)
    assert_same([few[number] for number in range(few.num_batches)], held_out)


def test_a_py_dataset_mirrors_training_images_at_random_and_no_others(splits_folder, opened):
    plain, mirrored = (opened("keras_pil", {}, spec) for spec in ({}, FLIP))
    pairs = [
        [module.make_dataset(splits_folder)[number] for module in (plain, mirrored)]
        for number in range(3)
    ]
    flips = [
        not np.array_equal(image, other)
        for (images, _), (others, _) in pairs
        for image, other in zip(images, others, strict=True)
        if np.array_equal(image[:, ::-1], other) or np.array_equal(image, other)
    ]
    assert len(flips) == 30
    assert 0 < sum(flips) < 30


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("order", ORDERS[:2], ids=str)
def test_training_has_the_order_of_the_loader(splits_folder, opened, settings, order):
    manifest = scan(splits_folder).only("train")
    few = manifest.where(np.arange(len(manifest)) % 4 < (1 + manifest.labels))
    module = opened("tf_data", settings, order)
    module.list_images = lambda data, split: listed(few)
    dataset = module.make_dataset(splits_folder, epochs=3)
    theirs = batches_of("tf_data", settings, few, BatchSpec(**SPEC, **order), 3)
    if settings.get("deterministic", True):
        assert_same(dataset, theirs)
    else:
        ours = np.concatenate([labels.numpy() for _, labels in dataset])
        assert sorted(ours) == sorted(np.concatenate([labels for _, labels in theirs]))
    steps = module.steps_per_epoch(splits_folder)
    assert steps == -(-sum(len(labels) for _, labels in theirs) // 3 // 10)


@pytest.mark.parametrize("order", ORDERS[2:], ids=str)
def test_without_shuffle_the_order_is_that_of_the_loader(splits_folder, opened, order):
    manifest = scan(splits_folder).only("train")
    dataset = opened("tf_data", {"cache": "decoded"}, order).make_dataset(splits_folder, epochs=2)
    theirs = batches_of("tf_data", {}, manifest, BatchSpec(**SPEC, **order), 2)
    assert_same(dataset, theirs)


@pytest.mark.parametrize("order", [{}, {"shuffle": False}], ids=str)
def test_keras_shuffles_as_in_the_loader(splits_folder, opened, order):
    manifest = scan(splits_folder).only("train")
    module = opened("keras_directory", {}, order)
    assert_same(
        module.make_dataset(splits_folder, epochs=2),
        batches_of("keras_directory", {}, manifest, BatchSpec(**SPEC, **order), 2),
    )
    assert module.steps_per_epoch(splits_folder) == 5


@pytest.mark.parametrize(
    ("name", "settings"),
    [("tf_data", {}), ("tf_data", {"cache": "decoded"}), ("keras_directory", {})],
    ids=str,
)
def test_flips_mirror_half_of_the_images_and_others_in_each_epoch(
    splits_folder, opened, name, settings
):
    manifest = scan(splits_folder).only("train")
    dataset = opened(name, settings, FLIP).make_dataset(splits_folder, epochs=2)
    ours = np.concatenate([images.numpy() for images, _ in dataset])
    plain = batches_of(name, settings, manifest, BatchSpec(**SPEC), 2)
    plain = np.concatenate([images for images, _ in plain])
    flipped = (ours == plain[:, :, ::-1]).all((1, 2, 3))
    assert (flipped | (ours == plain).all((1, 2, 3))).all()
    assert 0.25 < flipped.mean() < 0.75


@pytest.mark.parametrize("name", [*ALL, "all"])
def test_each_augmentation_changes_training_images_within_their_range(splits_folder, opened, name):
    augment = ALL if name == "all" else {name: ALL[name]}
    spec = {"augment": augment, "shuffle": False}
    module = opened("tf_data", {"output": "float32"}, spec)
    first, again = (
        np.concatenate([images.numpy() for images, _ in module.make_dataset(splits_folder)
                        .take(4)]) for _ in range(2)
    )  # fmt: skip
    assert np.array_equal(first, again)
    manifest = scan(splits_folder).only("train")
    plain = batches_of("tf_data", {"output": "float32"}, manifest, BatchSpec(**SPEC), 1)
    plain = batches_of(
        "tf_data", {"output": "float32"}, manifest, BatchSpec(**SPEC, shuffle=False), 1
    )
    difference = np.abs(first - np.concatenate([images for images, _ in plain])[: len(first)])
    assert 0.003 < difference.mean() < 0.35
    assert first.min() >= 0
    assert first.max() <= 1


def test_photos_are_turned_upright_where_the_loader_does_it(tmp_path, opened, with_facts):
    folder = tmp_path / "photos"
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        for turn in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = turn
            random = np.random.default_rng(turn).integers(0, 256, (4, 6, 3), np.uint8)
            image = Image.fromarray(random).resize((60, 40))
            image.save(folder / name / f"{turn}.jpg", exif=exif, subsampling=0)
    spec = {"orientation": "apply"}
    manifest = with_facts(scan(folder)).only("train")
    module = opened("tf_data", {}, spec)
    theirs = batches_of("tf_data", {}, manifest, BatchSpec(**SPEC, **spec), 1)
    assert_same(module.make_dataset(folder, epochs=1), theirs)


@pytest.mark.parametrize("settings", [{}, {"output": "float32", "cache": "decoded"}], ids=str)
def test_code_on_our_own_loaders_opens_a_stream(splits_folder, opened, settings):
    module = opened("turbo", settings, FLIP)
    manifest = scan(splits_folder)
    with module.make_dataset(splits_folder, epochs=1) as stream:
        ours = [(np.asarray(images), labels) for images, labels, _ in stream]
    theirs = batches_of("turbo", settings, manifest.only("train"), BatchSpec(**SPEC, **FLIP), 1)
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(ours, theirs, strict=True))
    with module.make_dataset(splits_folder, "test", epochs=1) as stream:
        assert [batch.rows.tolist() for batch in stream] == [list(range(6))]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_images_of_each_kind_of_source_are_listed_as_in_a_scan(
    splits_folder, class_folder, table, tmp_path, opened, split
):
    undivided = tmp_path / "undivided.csv"
    rows = [line.rsplit(",", 1)[0] for line in table.read_text().splitlines()]
    folder = shutil.copytree(splits_folder, tmp_path / "copy")
    undivided = folder / "undivided.csv"
    undivided.write_text("\n".join(rows) + "\n")
    (folder / "train" / "ant" / ".hidden").touch()
    (folder / "train" / "ant" / "Thumbs.db").touch()
    inner = folder / "train" / "ant" / "0-inner"
    shutil.copytree(folder / "train" / "bee", inner)
    for source in (folder, folder / "train", table, undivided):
        manifest = scan(source)
        expected, labels = listed(manifest.only(split))
        choices = [manifest] if source.suffix else [manifest, None]
        for one in choices:
            module = opened("tf_data", {}, {}, one)
            paths, ours = module.list_images(str(source), split)
            assert [str(path) for path in paths] == expected
            assert ours.tolist() == labels.tolist()


def test_files_that_a_scan_could_not_read_are_left_out(class_folder, tmp_path, opened, with_facts):
    folder = shutil.copytree(class_folder, tmp_path / "photos")
    (folder / "ant" / "03.jpg").write_bytes(b"not a photograph")
    manifest = with_facts(scan(folder))
    for name in ("tf_data", "keras_directory"):
        module = opened(name, {}, {}, manifest)
        assert len(list(module.make_dataset(folder, epochs=1))) > 3
        listed_paths = list(module.list_images(folder, "train")[0])
        assert str(folder / "ant" / "03.jpg") not in map(str, listed_paths)


def test_exported_code_is_formatted_and_has_no_dead_line(splits_folder, class_folder, tmp_path):
    sources = [None, scan(splits_folder), scan(class_folder)]
    codes = [
        code_of(name, settings, {**spec, **order}, source)
        for name, choices in (
            ("tf_data", SETTINGS),
            ("keras_directory", [{}]),
            ("keras_pil", [{}, {"workers": 2}]),
            ("turbo", [{}, {"cache": "decoded", "num_threads": 2}]),
        )
        for settings in choices
        for spec in [*SPECS, {"orientation": "apply"}]
        for order in ORDERS
        for source in sources[: 3 if spec == order == {} else 1]
    ]
    for number, code in enumerate(codes):
        (tmp_path / f"{number}.py").write_text(code)
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        ["format", "--isolated", "--diff"],
        ["check", "--isolated", "--select", "E,F,I,W,B,PIE,RET,SIM,UP,C4"],
    ):
        done = subprocess.run([*ruff, *command, tmp_path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_images_in_shards_are_read_by_the_loader_itself(splits_folder, tmp_path, opened):
    folder = tmp_path / "shards"
    write_shards(Sharding(scan(splits_folder), "webdataset"), folder, Faults(), lambda _: None)
    manifest = scan(folder)
    module = opened("tf_data", {}, {}, manifest)
    with module.make_dataset(folder, epochs=1) as stream:
        ours = [(np.asarray(batch.images), batch.labels) for batch in stream]
    files = scan(splits_folder).only("train")
    for (images, labels), (other, other_labels) in zip(
        ours, batches_of("tf_data", {}, files, BatchSpec(**SPEC), 1), strict=True
    ):
        assert np.array_equal(images, other)
        assert labels.tolist() == other_labels.tolist()


def test_plain_code_needs_no_feedbench():
    for name in ("tf_data", "keras_directory", "keras_pil"):
        code = code_of(name, {}, FLIP)
        assert "feedbench" not in code.split('"""', 2)[2]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("tf_data", {"cache": "decoded"}),
        ("keras_directory", {}),
        ("keras_pil", {"workers": 2}),
        ("turbo", {}),
    ],
    ids=str,
)
def test_an_exported_file_is_a_loader_of_its_own(splits_folder, tmp_path, name, settings):
    path = tmp_path / f"own_{name}.py"
    path.write_text(code_of(name, settings, {}))
    manifest = scan(splits_folder).only("train")
    with open_loader(f"{path}:make_dataset", manifest, BatchSpec(**SPEC)) as stream:
        ours = [next(stream) for _ in range(7)]
    theirs = batches_of(name, settings, manifest, BatchSpec(**SPEC), 2)[:7]
    for batch, (images, labels) in zip(ours, theirs, strict=True):
        assert np.array_equal(np.asarray(batch.images), images)
        assert np.asarray(batch.labels).tolist() == labels.tolist()
        assert (batch.rows is None) == (name != "turbo")
