"""feedbench export as users run it."""

import ast
import runpy
import sys

import pytest

from feedbench.bench.cli import main

BEST = """
loader = "tf_data"
consumer = "emulated:a100"
settings = { cache = "decoded", num_parallel_calls = 4 }
spec = { batch_size = 64, image_size = 96 }
machine = { processor = "AMD EPYC", cores = 2, gpus = [] }

[predicted.images_per_second]
median = 1468.4
low = 1409.6
high = 1472.1

[[runners_up]]
loader = "turbo"
ratio = { median = 0.98, low = 0.9, high = 1.03 }
tie = true
"""


@pytest.fixture
def export(monkeypatch, capsys, tmp_path):
    """Runs the command in a new folder; returns its exit code, and what it wrote."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.toml").write_text(BEST)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["feedbench", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return ended.value.code or 0, shown.out, shown.err

    return run


def test_the_file_says_where_its_choice_comes_from(export, tmp_path):
    code, shown, _ = export("best.toml")
    assert code == 0
    assert "--loader input_pipeline.py:make_dataset --loader best.toml" in shown
    text = " ".join((tmp_path / "input_pipeline.py").read_text().split('"""')[1].split())
    assert "batches of 64 images of 96 × 96 pixels" in text
    assert "tf_data cache=decoded num_parallel_calls=4, from best.toml." in text
    assert "on 2 cores of AMD EPYC with the consumer emulated:a100: 1,468 [1,410, 1,472]" in text
    assert "relative to this one: turbo 0.98 [0.90, 1.03] (tie)" in text


def test_a_name_with_quotes_and_backslashes_stays_in_the_docstring(export, tmp_path):
    odd = 'a"""b\\c'
    (tmp_path / f"{odd}.toml").write_text(BEST)
    assert export(f"{odd}.toml")[0] == 0
    text = (tmp_path / "input_pipeline.py").read_text()
    assert odd in ast.get_docstring(ast.parse(text))


def test_of_an_absolute_path_the_file_names_only_the_end(export, tmp_path):
    assert export(tmp_path / "best.toml")[0] == 0
    text = (tmp_path / "input_pipeline.py").read_text()
    assert f"{tmp_path.name}/best.toml" in text
    assert str(tmp_path) not in text


def test_the_command_to_measure_it_asks_for_the_same_batches(export, tmp_path, monkeypatch, capsys):
    path = tmp_path / "best.toml"
    augment = "augment = { rotation = 10.0, zoom = [0.8, 1.2] }"
    spec = f'spec = {{ batch_size = 8, antialias = true, interpolation = "bilinear", {augment} }}'
    path.write_text(f'loader = "turbo"\n{spec}\n')
    _, shown, _ = export("best.toml")
    command = shown.partition("feedbench ")[2].replace("DATA", "nowhere").split()
    assert {"--batch-size=8", "--antialias", "--no-flip", "--augment=zoom=0.8,1.2"} <= {*command}
    monkeypatch.setattr(sys, "argv", ["feedbench", *command])
    with pytest.raises(SystemExit):
        main()
    assert "nowhere: no such folder or file" in capsys.readouterr().err


def test_a_name_is_enough_and_the_main_part_names_the_file(export, tmp_path, class_folder):
    code, _, _ = export("turbo", "--out", "mine.py", "--data", class_folder)
    assert code == 0
    assert "# python mine.py DATA" in (tmp_path / "mine.py").read_text()


@pytest.mark.parametrize("loader", ["turbo", "tf_data"])
def test_without_the_name_of_a_folder_the_main_part_says_how_to_call_it(
    export, tmp_path, monkeypatch, loader
):
    export(loader, "--out", "mine.py")
    monkeypatch.setattr(sys, "argv", ["mine.py"])
    with pytest.raises(SystemExit, match=r"^usage: python mine\.py DATA$"):
        runpy.run_path(str(tmp_path / "mine.py"), run_name="__main__")


def test_a_source_without_images_is_named_by_the_file(export, tmp_path):
    export("tf_data", "--out", "mine.py")
    (tmp_path / "photos" / "dress").mkdir(parents=True)
    make_dataset = runpy.run_path(str(tmp_path / "mine.py"))["make_dataset"]
    with pytest.raises(FileNotFoundError, match="photos: no images of the train split"):
        make_dataset("photos")


def test_a_loader_that_does_not_read_the_source_is_not_exported(export, tar_shards, tmp_path):
    code, _, error = export("keras_directory", "--data", tar_shards)
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith(
        f"feedbench: keras_directory does not read {tar_shards}; export another"
    )
    assert not (tmp_path / "input_pipeline.py").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["best.toml", "--out", "there.py"], "there.py: exists; name another file"),
        (["best.toml", "--out", "best.txt"], "--out best.txt: the name of a Python file must end"),
        (["best.toml", "--out", 'a"b.py'], """--out a"b.py: the name of a Python file must end"""),
        (
            ["best.toml", "--out", "a.b.py"],
            "--out a.b.py: the name of a Python file must end in .py",
        ),
        (["best.toml", "--out", "no/where.py"], "where.py: No such file or directory"),
        (["synthetic"], "feedbench: synthetic gives synthetic images; export another loader"),
        (["mine.py:make_dataset"], "feedbench: mine.py:make_dataset is code of your own already; "),
        (["mine.toml"], "code of your own already; call it with workers=4, mode='fast'"),
        (["tf_date"], "no loader 'tf_date'; did you mean 'tf_data'?"),
        (["missing.toml"], "missing.toml: no such file or folder; give the folder of a bench or"),
        (["results/bench-1"], "results/bench-1: no such file or folder; give the folder of a"),
        (["packed"], "settings of packed: pack: no folder given"),
        (["packed.toml"], "pack nowhere: not a complete pack, it has no pack.json"),
        (["best.toml", "--data", "nowhere"], "nowhere: no such folder or file"),
        (["best.toml", "--blacklist", "b.csv"], "--blacklist: give the images too, by --data"),
    ],
    ids=str,
)
def test_what_cannot_be_written_is_one_line(export, tmp_path, arguments, message):
    (tmp_path / "there.py").touch()
    (tmp_path / "mine.py").write_text("def make_dataset(data): ...\n")
    (tmp_path / "packed.toml").write_text('loader = "packed"\nsettings = { pack = "nowhere" }\n')
    (tmp_path / "mine.toml").write_text(
        'loader = "mine.py:make_dataset"\nsettings = { workers = 4, mode = "fast" }\n'
    )
    code, _, error = export(*arguments)
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "input_pipeline.py").exists()
