"""tune on real photographs: what it writes, its budget, and how it is resumed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest

from feedbench.bench.cli import main
from feedbench.bench.commands.tune import _seconds
from feedbench.bench.environment import usable_cores
from feedbench.bench.errors import PlanError
from feedbench.bench.pixels.result import LoaderPixels, PixelComparison
from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.tune import excess_difference
from feedbench.loaders import scan

SMALL = ["--consumer", "drain", "--image-size", "32", "--batch-size", "8"]


def run_tune(photos, *options):
    command = [sys.executable, "-m", "feedbench.bench.cli", "tune", str(photos), *SMALL, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def interrupt_tune(photos, out, *options):
    """Starts a search and sends Ctrl-C as soon as it has printed a first result."""
    command = [sys.executable, "-m", "feedbench.bench.cli", "tune", str(photos), *SMALL]
    with subprocess.Popen(
        [*command, *options, "--budget", "1h", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        for line in process.stdout:
            if "against" in line:
                break
        os.kill(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=120)
    return process.returncode, error


def test_ctrl_c_keeps_the_best_so_far_and_the_search_is_resumed(tiny_photos, tmp_path):
    out = tmp_path / "tune"
    loaders = ["--loader", "keras_pil", "--loader", "turbo"]
    code, error = interrupt_tune(tiny_photos, out, *loaders)
    assert code == 130
    assert "the best so far is in" in error
    before = json.loads((out / "tune.json").read_text())
    assert before["findings"]
    assert not before["finished"]
    best = tomllib.loads((out / "best.toml").read_text())
    assert best["predicted"]["images_per_second"]["median"] > 0
    assert (out / "worth.png").read_bytes().startswith(b"\x89PNG")
    blocks = (out / "trials.jsonl").read_text()

    # A budget that is spent at once: the search ends with what it knows.
    resumed = run_tune(tiny_photos, *loaders, "--budget", "1s", "--resume", str(out))
    assert resumed.returncode == 0, resumed.stderr
    assert "feedbench tune --resume" in resumed.stdout
    after = json.loads((out / "tune.json").read_text())
    assert not after["finished"]
    assert after["findings"][: len(before["findings"])] == before["findings"]
    assert after["seconds"] > before["seconds"]
    assert (out / "trials.jsonl").read_text().startswith(blocks[:200])


def test_a_configuration_that_uses_too_much_memory_does_not_win(tiny_photos, tmp_path):
    out = tmp_path / "tune"
    options = ["--loader", "turbo", "--max-memory", "0.001", "--budget", "60s", "--out", str(out)]
    done = run_tune(tiny_photos, *options)
    assert done.returncode == 1
    assert "No configuration can be recommended" in done.stdout
    assert "MB of memory, the limit is 1 MB" in done.stdout.replace("\n", " ")
    assert not (out / "best.toml").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "soon"], "--budget soon: must be a time such as 90s, 5m or 1h"),
        (["--max-cores", "4096"], "--max-cores 4096: this process may use only"),
        (["--loader", "turbo", "--set", "tf_data.prefetch=1"], "tf_data is not used here"),
        (["--resume", "{tmp}"], "tune.json: No such file or directory; give the folder of a tune"),
    ],
    ids=str,
)
def test_a_users_mistake_gives_one_line(
    tiny_photos, tmp_path, monkeypatch, capsys, options, message
):
    options = [option.format(tmp=tmp_path) for option in options]
    monkeypatch.setattr(sys, "argv", ["feedbench", "tune", str(tiny_photos), *SMALL, *options])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def small_search(tiny_photos, tmp_path_factory):
    """The folder of a search whose budget was too small to compare anything."""
    out = tmp_path_factory.mktemp("search") / "tune"
    run_tune(tiny_photos, "--loader", "turbo", "--budget", "1s", "--out", str(out))
    return out


@pytest.fixture
def resume_error(tmp_path, monkeypatch, capsys, small_search):
    """A function: resume a copy of the search with another tune.json, and return the error."""

    def resume(photos, change=lambda values: None):
        shutil.copytree(small_search, tmp_path / "tune", dirs_exist_ok=True)
        path = tmp_path / "tune" / "tune.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))
        options = ["--loader", "turbo", "--budget", "1s", "--resume", str(tmp_path / "tune")]
        monkeypatch.setattr(sys, "argv", ["feedbench", "tune", str(photos), *SMALL, *options])
        with pytest.raises(SystemExit) as exit_info:
            main()
        error = capsys.readouterr().err
        assert (exit_info.value.code, error.count("\n")) == (2, 1)
        assert str(path) in error
        return error

    return resume


def test_a_search_is_not_resumed_on_other_photographs(resume_error, tiny_photos, tmp_path):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    with (photos / "train" / "circle" / "0.jpg").open("ab") as file:
        file.write(b"more")
    rows = [scan(root).only("train").fingerprint(sizes=True) for root in (tiny_photos, photos)]
    assert f"photographs {rows[0][:12]} against {rows[1][:12]}" in resume_error(photos)


def test_a_search_is_not_resumed_on_another_machine(resume_error, tiny_photos):
    error = resume_error(
        tiny_photos, lambda record: record["conditions"]["machine"].update(cores=4096)
    )
    assert f"cores 4096 against {usable_cores()}" in error


def test_a_search_is_not_resumed_with_other_versions(resume_error, tiny_photos):
    error = resume_error(
        tiny_photos, lambda record: record["conditions"]["versions"].update(keras="2.0")
    )
    assert f"keras 2.0 against {version('keras')}" in error


def test_a_search_without_recorded_conditions_is_not_resumed(resume_error, tiny_photos):
    assert "written by an older version" in resume_error(
        tiny_photos, lambda record: record.pop("conditions")
    )


def test_a_budget_is_a_time_with_a_unit():
    assert [_seconds(text) for text in ("90s", "1.5m", "1h")] == [90, 90, 3600]
    with pytest.raises(PlanError):
        _seconds("0s")


def test_a_search_is_not_resumed_with_another_consumer(resume_error, tiny_photos):
    error = resume_error(tiny_photos, lambda record: record["about"].update(consumer="train"))
    assert "its consumer differs from the present options" in error


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"decode": "scaled", "cache": "decoded"}, 9.5), ({"cache": "decoded"}, None)],
)
def test_pixels_beyond_the_tolerance_are_those_of_the_same_decoding(settings, expected):
    scaled = {"decode": "scaled"}
    pixels = PixelComparison(
        reference="keras_pil",
        tolerance=2.0,
        images=8,
        loaders=[
            LoaderPixels(loader="turbo", settings={}, worst_mean=0.5, within=True),
            LoaderPixels(loader="turbo", settings=scaled, worst_mean=9.5, within=False),
        ],
    )
    choice = Choice(loader="turbo", settings=settings)
    assert excess_difference(choice, pixels) == expected
    assert excess_difference(choice, None) is None
