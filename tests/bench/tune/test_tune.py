"""tune on real photographs: what it leaves, its limits, and that it goes on."""

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
from feedbench.loaders import scan

SMALL = ["--consumer", "drain", "--image-size", "32", "--batch-size", "8"]


def tuned(photos, *more):
    command = [sys.executable, "-m", "feedbench.bench.cli", "tune", str(photos), *SMALL, *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_search_that_runs_out_of_time_keeps_its_best_and_goes_on(tiny_photos, tmp_path):
    out = tmp_path / "tune"
    loaders = ["--loader", "keras_pil", "--loader", "turbo"]
    first = tuned(tiny_photos, *loaders, "--budget", "14s", "--out", str(out))
    assert first.returncode == 0, first.stderr
    assert "feedbench tune --resume" in first.stdout
    found = json.loads((out / "tune.json").read_text())
    for _ in range(9):  # on a slow machine more than once
        if found["findings"]:
            break
        tuned(tiny_photos, *loaders, "--budget", "14s", "--resume", str(out))
        found = json.loads((out / "tune.json").read_text())
    assert not found["finished"]
    assert found["findings"]
    best = tomllib.loads((out / "best.toml").read_text())
    assert best["predicted"]["images_per_second"]["median"] > 0
    assert (out / "worth.png").read_bytes().startswith(b"\x89PNG")
    blocks = (out / "trials.jsonl").read_text()
    second = tuned(tiny_photos, *loaders, "--budget", "12s", "--resume", str(out))
    assert second.returncode == 0, second.stderr
    after = json.loads((out / "tune.json").read_text())
    assert after["findings"][: len(found["findings"])] == found["findings"]
    assert len(after["findings"]) >= len(found["findings"])
    assert (out / "trials.jsonl").read_text().startswith(blocks[:200])
    assert after["seconds"] > found["seconds"]


def test_ctrl_c_keeps_the_best_so_far(tiny_photos, tmp_path):
    out = tmp_path / "tune"
    command = [sys.executable, "-m", "feedbench.bench.cli", "tune", str(tiny_photos), *SMALL]
    command += ["--loader", "turbo", "--budget", "5m", "--out", str(out)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        for line in process.stdout:
            if "against" in line:
                break
        os.kill(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the best so far is in" in told
    assert tomllib.loads((out / "best.toml").read_text())["loader"] == "turbo"


def test_a_choice_that_takes_too_much_memory_does_not_win(tiny_photos, tmp_path):
    out = tmp_path / "tune"
    more = ["--loader", "turbo", "--max-memory", "0.001", "--budget", "60s", "--out", str(out)]
    done = tuned(tiny_photos, *more)
    assert done.returncode == 1
    assert "Nothing could be measured that may win" in done.stdout
    assert not (out / "best.toml").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--budget", "soon"], "--budget soon: must be a time such as 90s, 5m or 1h"),
        (["--max-cores", "4096"], "--max-cores 4096: this process may use only"),
        (["--loader", "turbo", "--set", "tf_data.prefetch=1"], "tf_data is not used here"),
        (["--resume", "{tmp}"], "tune.json: No such file or directory; give the folder of a tune"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(tiny_photos, tmp_path, monkeypatch, capsys, options, said):
    options = [option.format(tmp=tmp_path) for option in options]
    monkeypatch.setattr(sys, "argv", ["feedbench", "tune", str(tiny_photos), *SMALL, *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.fixture(scope="module")
def searched(tiny_photos, tmp_path_factory):
    """A search that found nothing in its time, but says of what it was."""
    out = tmp_path_factory.mktemp("searched") / "tune"
    tuned(tiny_photos, "--loader", "turbo", "--budget", "1s", "--out", str(out))
    return out


@pytest.fixture
def resumed(tmp_path, monkeypatch, capsys, searched):
    """Resume a copy of the search in which tune.json was changed; the error."""

    def resume(photos, change=lambda values: None):
        shutil.copytree(searched, tmp_path / "tune", dirs_exist_ok=True)
        path = tmp_path / "tune" / "tune.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))
        options = ["--loader", "turbo", "--budget", "1s", "--resume", str(tmp_path / "tune")]
        monkeypatch.setattr(sys, "argv", ["feedbench", "tune", str(photos), *SMALL, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        error = capsys.readouterr().err
        assert (ended.value.code, error.count("\n")) == (2, 1)
        assert str(path) in error
        return error

    return resume


def test_a_search_is_not_resumed_on_other_photographs(resumed, tiny_photos, tmp_path):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    with (photos / "train" / "circle" / "0.jpg").open("ab") as file:
        file.write(b"more")
    rows = [scan(root).only("train").fingerprint(sizes=True) for root in (tiny_photos, photos)]
    assert f"photographs {rows[0][:12]} against {rows[1][:12]}" in resumed(photos)


def test_a_search_is_not_resumed_on_another_machine(resumed, tiny_photos):
    error = resumed(tiny_photos, lambda it: it["conditions"]["machine"].update(cores=4096))
    assert f"cores 4096 against {usable_cores()}" in error


def test_a_search_is_not_resumed_with_other_versions(resumed, tiny_photos):
    error = resumed(tiny_photos, lambda it: it["conditions"]["versions"].update(keras="2.0"))
    assert f"keras 2.0 against {version('keras')}" in error


def test_a_search_that_does_not_say_its_conditions_is_not_resumed(resumed, tiny_photos):
    assert "an older version wrote it" in resumed(tiny_photos, lambda it: it.pop("conditions"))


def test_budgets_are_times():
    assert [_seconds(text) for text in ("90s", "1.5m", "1h")] == [90, 90, 3600]
    with pytest.raises(PlanError):
        _seconds("0s")
