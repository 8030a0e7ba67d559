"""The commands as users run them: exit codes, errors of one line, and the files they write."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from importlib.metadata import version

import psutil
import pytest
from preloaded import children_of

from feedbench.bench.cli import COMMANDS, main
from feedbench.bench.environment import began_at
from feedbench.bench.trials_file import read_trials
from feedbench.loaders import LOADERS, Manifest


def call(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def start(*arguments) -> subprocess.Popen:
    """Start a command in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "feedbench.bench.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


HEAVY = "{'tensorflow', 'keras', 'pydantic', 'pyarrow', 'scipy', 'numpy'}"


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from feedbench.bench.cli import COMMANDS, main
sys.argv = ["feedbench", "--help"]
try:
    main()
finally:
    assert not {HEAVY} & set(sys.modules), sys.modules
"""
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert all(name in shown.stdout for name in COMMANDS)


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(monkeypatch, capsys, command, flag):
    assert call(monkeypatch, command, flag) == 0
    shown = capsys.readouterr().out
    assert f"Example: feedbench {command}" in shown
    assert " ".join(shown.split()).count(COMMANDS[command].summary) == 1


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    assert call(monkeypatch, "--version") == 0
    assert f"feedbench {version('feedbench')}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("cli ba", {"batch-size"}),
        ("cli bench --rec", {"--recipe"}),
        ("cli bench --resize ", {"stretch", "crop", "pad"}),
        ("cli bench --loader t", {"tf_data", "tf_data_service", "torch", "turbo"}),
    ],
)
def test_the_shell_completes_commands_options_and_values(words, completed):
    program = "from feedbench.bench.cli import app; app(prog_name='cli')"
    asked = {"_CLI_COMPLETE": "complete_bash", "COMP_WORDS": words}
    place = {"COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **asked, **place},
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(done.stdout.split()) == completed, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "nowhere"], "no such folder"),
        (["bench", "{photos}", "--loader", "jax"], "no loader 'jax'"),
        (["bench", "{photos}", "--loader", "{photos}"], "no best.toml in this folder"),
        (["bench", "{photos}", "--recipe", "nowhere.toml"], "nowhere.toml: No such file"),
        (["bench", "{photos}", "--set", "tf_data.prefech=1"], "no 'prefech'"),
        (["bench", "{photos}", "--suite", "huge"], "--suite huge"),
        (
            ["bench", "{photos}", "--consumer", "a100"],
            "--consumer: must be train, drain or emulated:NAME",
        ),
        (["bench", "{photos}", "--consumer", "emulated:k80"], "there are v100, a100, a100-8"),
        (["calibrate", "My GPU"], "small letters"),
        (["plan", "{photos}"], "missing option '--accelerator'; see feedbench plan --help\n"),
        (
            ["plan", "{photos}", "--acelerator", "a100"],
            "no such option: --acelerator; did you mean --accelerator? See feedbench plan --help\n",
        ),
        (["plan", "{photos}", "--accelerator"], "requires an argument; see feedbench plan --help"),
        (["benhc", "{photos}"], "no such command 'benhc'; did you mean 'bench'? See feedbench --"),
        (["--quiet"], "no such option: --quiet; see feedbench --help\n"),
        (["scan", "https://photos/a"], "https: no such folder or file, and addresses of images be"),
        (["bench", "{photos}", "--cache-state", "hot"], "'warm', 'cold'"),
        (
            ["bench", "{photos}", "--value-range", "5"],
            "--value-range: must be two numbers or imagenet, got 5\n",
        ),
        (
            ["bench", "{photos}", "--augment", "rotate=15"],
            "--augment: there is no 'rotate'; did you mean 'rotation'? There are ",
        ),
        (["diagnose", "{photos}", "--consumer", "drain"], "must be train or emulated:NAME"),
        (["diagnose", "{photos}", "--loader", "synthetic"], "synthetic images"),
        (["diagnose", "{photos}", "--set", "tf_data.prefetch=1,2"], "one value each"),
        (["bench", "{photos}", "--batch-size", "0"], "must be greater than or equal to 1, got 0"),
        (
            ["bench", "{photos}", "--blocks", "two"],
            "--blocks: must be a valid integer, got two; see",
        ),
        (["bench", "{photos}", "--alpha", "-1"], "--alpha: must be a number above 0, got -1.0"),
        (["limits", "{photos}", "--block-seconds", "0"], "--block-seconds: must be a number above"),
        (["bench", "{photos}", "--batch-size", "8", "--out", "{photos}"], "not empty"),
        (
            ["bench", "{photos}"],
            "is more than the 48 training images; use a smaller one, such as --batch-size 16",
        ),
        (["tune", "{photos}", "--batch-size", "100000000"], "more than the 48 training images"),
        (["tune", "{photos}", "--resume", "nowhere"], "nowhere/tune.json: No such file"),
        (["diagnose", "{photos}", "--batch-size", "8", "--image-size", "1000000"], "GB of memory"),
        (["limits", "{photos}", "--batch-size", "8", "--image-size", "1000000"], "GB of memory"),
        (["train", "{photos}", "--batch-size", "8", "--image-size", "1000000"], "GB of memory"),
        (["bench", "{photos}", "--loader", "packed"], "pack: no folder given"),
        (["pack", "{photos}", "{photos}"], "not empty"),
        (["pack", "{photos}", "{photos}", "--image-size", "0"], "--image-size"),
        (["train", "{photos}", "--loader", "nowhere.toml"], "nowhere.toml"),
        (["train", "{photos}", "--epochs", "0"], "--epochs"),
        (["train", "{photos}", "--base-learning-rate", "0"], "must be a number above 0, got 0.0"),
        (["train", "{photos}", "--loader", "synthetic"], "synthetic images"),
        (["train", "{photos}", "--set", "keras_pil.workers=2"], "keras_pil"),
        (["train", "{photos}", "--batch-size", "64"], "more than the 48 training images"),
        (["show", "nowhere"], "nowhere"),
        (["predict", "{photos}", "a.jpg"], "is a folder; give the model.keras or best.keras in it"),
        (
            ["bench", "{photos}", "--batch-size", "8", "--model", "ResNet5"],
            "network: keras.applications has no 'ResNet5'; did you mean 'ResNet50'? There are ",
        ),
        (["bench", "{photos}", "--on-error", "ignore"], "'raise', 'skip'"),
        (["bench", "{photos}", "--json", "{photos}"], "cannot be written"),
        (["bench", "{photos}", "--json", "/dev/null/a.json"], "--json /dev/null/a.json: "),
        (["scan", "{photos}", "--out", "/dev/null/a.parquet"], "--out /dev/null/a.parquet: "),
        (["make-data", "{photos}"], "not empty"),
        (["scan", "{photos}", "--test", "2"], "test must be at least 0 and below 1"),
        (["diagnose", "{photos}", "--what-if-storage", "inf"], "must be a finite number, got inf"),
        (["tune", "{photos}", "--max-memory", "inf"], "must be a finite number, got inf"),
        (["bench", "{photos}", "--block-seconds", "inf"], "must be a finite number, got inf"),
        (["train", "{photos}", "--value-range", "0,1e999"], "must be a finite number"),
    ],
)
def test_a_mistake_is_an_error_of_one_line_and_exit_code_2(
    monkeypatch, capsys, tmp_path, tiny_photos, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *(part.format(photos=tiny_photos) for part in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert error.startswith("feedbench: ")
    assert error.count("\n") == 1
    assert [path for path in tmp_path.rglob("*") if path.name != "results"] == []


def test_scan_counts_the_images_and_saves_the_manifest(monkeypatch, capsys, tmp_path, tiny_photos):
    manifest, report = tmp_path / "m.parquet", tmp_path / "m.json"
    assert call(monkeypatch, "scan", tiny_photos, "--out", manifest, "--json", report) == 0
    assert "64 images" in capsys.readouterr().out
    assert json.loads(report.read_text())["counts"]["train"] == {"circle": 24, "square": 24}
    assert began_at(report) is not None
    assert len(Manifest.read(manifest)) == 64


def test_loaders_lists_each_loader_with_its_settings(monkeypatch, capsys, tmp_path):
    path = tmp_path / "loaders.json"
    assert call(monkeypatch, "loaders", "--json", path) == 0
    values = json.loads(path.read_text())
    assert values.keys() == LOADERS.keys()
    assert "prefetch" in values["tf_data"]["settings"]
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*LOADERS, "private_threads"))


def test_a_bench_writes_its_folder_and_show_derives_the_same(
    monkeypatch, capsys, tmp_path, tiny_photos
):
    out, benched, shown = tmp_path / "out", tmp_path / "a.json", tmp_path / "b.json"
    quick = [
        "--consumer",
        "drain",
        "--blocks",
        3,
        "--block-seconds",
        0.1,
        "--warm-up-seconds",
        0.1,
        "--batch-size",
        8,
        "--image-size",
        32,
    ]
    assert (
        call(
            monkeypatch,
            "bench",
            tiny_photos,
            "--loader",
            "keras_pil",
            "--loader",
            "synthetic",
            *quick,
            "--out",
            out,
            "--json",
            benched,
        )
        == 0
    )
    files = {path.name for path in out.iterdir()}
    assert files >= {"trials.jsonl", "environment.json", "summary.json", "best.toml"}
    summary = json.loads(benched.read_text())
    assert summary.keys() == json.loads((out / "summary.json").read_text()).keys()
    assert began_at(benched) == datetime.fromisoformat(summary.pop("created"))
    began = json.loads((out / "environment.json").read_text())["created"]
    assert summary["winner"] == 0
    assert summary["trials"][0]["images_per_second"].keys() == {"median", "low", "high"}
    assert summary["trials"][0]["gpu_utilization"] is None
    assert "Nothing to compare it with" in capsys.readouterr().out
    assert call(monkeypatch, "show", out, "--json", shown) == 0
    assert json.loads(shown.read_text()) == {"created": began, **summary}


def test_folders_may_have_names_that_are_not_utf8(monkeypatch, capsys, tmp_path, tiny_photos):
    photos, out = (tmp_path / os.fsdecode(name) for name in (b"photos\xff", b"out\xff"))
    photos.symlink_to(tiny_photos)
    options = ["--consumer", "drain", "--blocks", 1, "--block-seconds", 0.1, "--batch-size", 8]
    options += ["--loader", "turbo", "--warm-up-seconds", 0.1, "--image-size", 32]
    assert call(monkeypatch, "bench", photos, *options, "--out", out) == 0
    assert "Records: " in capsys.readouterr().out
    assert call(monkeypatch, "show", out) == 0
    assert "turbo" in capsys.readouterr().out
    (trial,) = read_trials(out)
    assert (trial.error, len(trial.blocks)) == (None, 1)


def test_a_bench_in_which_nothing_could_be_measured_exits_with_1(monkeypatch, capsys, tmp_path):
    broken = tmp_path / "photos" / "one"
    broken.mkdir(parents=True)
    (broken / "a.jpg").write_bytes(b"text")
    assert (
        call(
            monkeypatch,
            "bench",
            tmp_path / "photos",
            "--loader",
            "turbo",
            "--consumer",
            "drain",
            "--batch-size",
            1,
            "--out",
            tmp_path / "out",
        )
        == 1
    )
    assert "a.jpg" in capsys.readouterr().out


def test_ctrl_c_leaves_a_valid_folder_and_no_process(tmp_path, tiny_photos):
    out = tmp_path / "out"
    running = start(
        "bench",
        tiny_photos,
        "--loader",
        "synthetic",
        "--consumer",
        "drain",
        "--blocks",
        1000,
        "--block-seconds",
        0.1,
        "--warm-up-seconds",
        0.1,
        "--batch-size",
        8,
        "--out",
        out,
    )
    for line in running.stderr:
        if line.startswith("[5/"):
            break
    children = children_of(running.pid)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate()
    assert running.returncode == 130
    assert "Traceback" not in errors
    assert "feedbench: interrupted; " in errors
    (trial,) = read_trials(out)
    assert len(trial.blocks) >= 5
    assert json.loads((out / "summary.json").read_text())["trials"][0]["blocks"] >= 5
    assert children
    assert not any(child.is_running() for child in children)


def test_the_stopped_processes_of_a_killed_bench_end_too(tmp_path, tiny_photos):
    running = start(
        "bench",
        tiny_photos,
        "--loader",
        "synthetic",
        "--loader",
        "turbo",
        "--consumer",
        "drain",
        "--blocks",
        1000,
        "--block-seconds",
        0.1,
        "--warm-up-seconds",
        0.1,
        "--batch-size",
        8,
        "--out",
        tmp_path / "out",
    )
    for line in running.stderr:
        if line.startswith("[4/"):
            break
    children = children_of(running.pid)
    assert len(children) == 2
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    deadline = time.monotonic() + 60
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(read_trials(tmp_path / "out")) == 2


def test_scan_writes_a_blacklist_that_later_runs_use(tmp_path, tiny_photos):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    (photos / "train" / "circle" / "0.jpg").write_bytes(b"")
    (photos / "train" / "circle" / "endless.jpg").symlink_to("/dev/zero")
    listed = run("scan", photos, "--bad")
    assert listed.stdout == (
        "path,use,reason\n"
        "train/circle/0.jpg,no,Pillow: the file is empty\n"
        "train/circle/endless.jpg,no,Pillow: it is not a regular file\n"
    )
    blacklist = tmp_path / "blacklist.csv"
    blacklist.write_text(listed.stdout + "train/square/1.jpg,no,ugly\n")
    options = ["--consumer", "drain", "--loader", "turbo", "--blocks", 1, "--block-seconds", 0.1]
    options += ["--image-size", 32, "--batch-size", 4, "--warm-up-seconds", 0.1]
    done = run("bench", photos, *options, "--blacklist", blacklist, "--out", tmp_path / "out")
    assert "Left out: 1 × blacklist: Pillow: the file is empty" in done.stdout
    assert "Left out: 1 × blacklist: Pillow: it is not a regular file" in done.stdout
    assert "Left out: 1 × blacklist: ugly" in done.stdout
    (trial,) = read_trials(tmp_path / "out")
    assert trial.images == 46
    assert sum(trial.left_out.values()) == 3


def test_a_file_that_fails_after_the_scan_ends_the_run_or_is_dropped(tmp_path, tiny_photos):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    run("scan", photos)
    (photos / "train" / "circle" / "5.jpg").write_bytes(b"text")
    options = ["--consumer", "drain", "--loader", "turbo", "--blocks", 1, "--block-seconds", 0.1]
    options += ["--image-size", 32, "--batch-size", 4, "--warm-up-seconds", 0.5]
    ended = run("bench", photos, *options, "--out", tmp_path / "raise", check=False)
    assert ended.returncode == 1
    assert "circle/5.jpg: row 19: Pillow cannot read it" in read_trials(tmp_path / "raise")[0].error
    skip = ["--on-error", "skip", "--error-budget", 0.05]
    done = run("bench", photos, *options, *skip, "--out", tmp_path / "skip")
    (trial,) = read_trials(tmp_path / "skip")
    assert [image.row for image in trial.dropped] == [19]
    assert "(1 failed image dropped)" in " ".join(done.stdout.split())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_scan_says_how_to_resume(tmp_path, tiny_photos, number, code):
    photos = shutil.copytree(tiny_photos, tmp_path / "my photos")
    for copy in range(40):
        shutil.copytree(tiny_photos / "train", photos / "train" / "circle" / f"more{copy}")
    running = start("scan", photos)
    running.stderr.readline()
    running.send_signal(number)
    _, errors = running.communicate()
    assert running.returncode == code
    assert "".join(line for line in errors.splitlines(True) if "files read: " not in line) == (
        "feedbench: interrupted; the files read so far are saved; to resume: feedbench scan "
        f"'{photos}'\n"
    )


def run(*arguments, check=True):
    return subprocess.run(
        [sys.executable, "-m", "feedbench.bench.cli", *map(str, arguments)],
        text=True,
        check=check,
        capture_output=True,
        env={**os.environ, "COLUMNS": "200"},
    )
