"""feedbench pack as users run it."""

import os
import shutil
import sys

import pytest

from feedbench.bench.cli import main
from feedbench.loaders import pack as pack_module
from feedbench.loaders import scan


@pytest.fixture
def photos(class_folder, tmp_path):
    return shutil.copytree(class_folder, tmp_path / "photos")


@pytest.fixture
def pack(pack_as):
    """Runs the command for images of 32 pixels."""
    return lambda *arguments: pack_as(*arguments, "--image-size", 32)


@pytest.fixture
def pack_as(monkeypatch, capsys):
    """Runs the command; returns its exit code, and what it wrote to the terminal."""

    def run(*arguments):
        command = ["feedbench", "pack", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return ended.value.code or 0, shown.out, shown.err

    return run


def test_it_names_sizes_and_the_next_command_can_be_copied(pack, photos, tmp_path):
    folder = tmp_path / "my pack"
    code, shown, _ = pack(photos, folder)
    assert code == 0
    assert "45 images will take 138 kB" in shown
    assert f"--set 'packed.pack={folder}'" in shown


def test_a_complete_pack_is_checked_against_the_files(pack, photos, tmp_path):
    folder = tmp_path / "pack"
    assert pack(photos, folder)[0] == 0
    assert pack(photos, folder)[0] == 0
    os.utime(photos / "bee" / "03.jpg", ns=(0, 1))
    code, _, error = pack(photos, folder)
    assert code == 2
    assert error.count("\n") == 1
    assert "bee/03.jpg has changed: modified" in error


def test_files_that_are_not_those_of_a_manifest_are_counted_and_one_is_named(
    pack, photos, tmp_path, with_facts
):
    path = tmp_path / "manifest.parquet"
    with_facts(scan(photos, validation=0, test=0)).write(path)
    assert "since the scan" not in pack(path, tmp_path / "before")[1]
    shutil.copyfile(photos / "ant" / "01.jpg", photos / "bee" / "03.jpg")
    shown = pack(path, tmp_path / "after")[1]
    assert "New or changed since the scan: 1 of 45 files, such as bee/03.jpg; run" in shown


def test_ctrl_c_keeps_what_is_packed_and_says_how_to_resume(pack, photos, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("feedbench.loaders.pack.fill", interrupt)
        patch.setattr("feedbench.bench.signals._terminated_by", [])  # of other tests
        code, _, error = pack(photos, tmp_path / "pack")
    saved = f"the packed images are saved in {tmp_path / 'pack'}"
    assert (code, error) == (
        130, f"feedbench: interrupted; {saved}; resume with the same command\n"
    )  # fmt: skip
    assert pack(photos, tmp_path / "pack")[0] == 0


@pytest.mark.parametrize("kind", ["tfrecord", "webdataset"])
def test_shards_are_listed_by_split_and_checked_by_the_same_command(
    pack_as, splits_folder, tmp_path, kind
):
    for _ in range(2):
        code, shown, _ = pack_as(splits_folder, tmp_path / "shards", "--as", kind, "--shards", 2)
        assert code == 0
        assert "train: 45 images in 2 shards" in shown
        assert "test: 6 images in 1 shard\n" in shown
    assert f"feedbench bench {tmp_path}/shards" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--as", "tfrecord", "--image-size", 32], "--image-size: shards hold the files as they"),
        (["--shards", 2], "--shards: only for --as tfrecord and webdataset, got --as arrays"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    pack_as, class_folder, tmp_path, arguments, message
):
    code, _, error = pack_as(class_folder, tmp_path / "shards", *arguments)
    assert code == 2
    assert message in error
    assert not (tmp_path / "shards").exists()


def test_messages_of_libraries_are_hidden_while_shards_are_written(
    monkeypatch, capfd, photos, tmp_path
):
    def write_shards(sharding, folder, faults, advance):
        os.write(2, b"oneDNN custom operations are on\n")
        advance(len(sharding.manifest))

    monkeypatch.setattr(pack_module, "write_shards", write_shards)
    command = ["feedbench", "pack", str(photos), str(tmp_path / "shards"), "--as", "tfrecord"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert capfd.readouterr().err == "images: 45 of 45\n"


def test_messages_of_libraries_are_hidden_while_jpegs_are_written(
    monkeypatch, capfd, photos, tmp_path
):
    def fill(packing, writer, faults, advance):
        os.write(2, b"oneDNN custom operations are on\n")
        for row in range(len(packing.manifest)):
            writer.fail(row)
            advance(1)
        writer.finish()

    monkeypatch.setattr(pack_module, "fill", fill)
    command = ["feedbench", "pack", str(photos), str(tmp_path / "pack"), "--as", "jpeg"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "oneDNN" not in capfd.readouterr().err
