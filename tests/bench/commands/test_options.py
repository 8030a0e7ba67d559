"""Options are derived from the models, and override suite files, recipes and best.toml."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest
import typer

from feedbench.bench import commands
from feedbench.bench.cli import COMMANDS, command_app
from feedbench.bench.commands.loaders import loaders
from feedbench.bench.commands.model_options import PANELS, as_text
from feedbench.bench.commands.option_values import parse_augment, parse_range, parse_set
from feedbench.bench.commands.options import (
    TRAINING_SPEC,
)
from feedbench.bench.commands.overlay import chosen_loader, chosen_loaders, overlay, recipe_of
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Suite, Timing
from feedbench.loaders import Augment, BatchSpec, UnknownLoader
from feedbench.trainer import Recipe

FOLDER = Path(commands.__file__).parent
# Defaults of commands that differ from those of the model.
OWN_DEFAULTS = {
    ("pixels", "batch_size"): 32,
    ("pixels", "images"): 200,
    ("limits", "blocks"): 7,
    ("limits", "block_seconds"): 2.0,
    ("calibrate", "blocks"): 7,
    ("calibrate", "block_seconds"): 4.0,
}
# Its consumer cannot be drain, and its cache state has another default.
OWN_HELP = {("diagnose", "consumer"), ("diagnose", "cache_state")}
BEST = """
loader = "turbo"
settings = {cache = "decoded", prefetch = 3}
spec = {batch_size = 16, image_size = 64}
recipe = {network = "ResNet50", epochs = 7}
predicted = {images_per_second = {median = 100, low = 90, high = 110}}
"""


def given(**fields):
    models = {"spec": BatchSpec, "recipe": Recipe, "timing": Timing, "pixels": PixelCheck}
    return defaultdict(dict, {models[name]: values for name, values in fields.items()})


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_and_help_are_those_of_the_models(name):
    models = {panel: [one for one in PANELS if PANELS[one] == panel] for panel in PANELS.values()}
    options = typer.main.get_command(command_app(name)).params
    for option in options:
        holders = [
            model
            for model in models.get(option.rich_help_panel, [])
            if option.name in model.model_fields
        ]
        if option.name == "augment":  # listed among the fields of Augment
            holders = [BatchSpec]
        for model in holders:
            field = model.model_fields[option.name]
            default = OWN_DEFAULTS.get((name, option.name), field.default)
            if option.name == "horizontal_flip":
                default = TRAINING_SPEC["augment"][option.name]
            assert option.default in (default, as_text(default)), option.name
            if (name, option.name) not in OWN_HELP:
                assert option.help.startswith(field.description.replace("[", r"\[")), option.name
    assert len(OWN_DEFAULTS) == 6


@pytest.mark.parametrize("model", [BatchSpec, Augment, Timing, Failures, PixelCheck, Recipe])
def test_every_field_is_described_in_sentences(model):
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_no_command_imports_another():
    """`show` alone may, since it prints what other commands record."""
    modules = {entry.module for entry in COMMANDS.values()}
    for module in sorted(modules - {"show"}):
        tree = ast.parse((FOLDER / f"{module}.py").read_text())
        tree.body = [node for node in tree.body if getattr(node, "name", "") != "show"]
        imported = {
            node.module.rpartition(".")[2]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and ".commands." in f"{node.module}"
        }
        assert not imported & modules, module


def test_a_command_is_the_function_of_its_name_in_its_module():
    for name in COMMANDS:
        assert typer.main.get_command(command_app(name)).name == name


def test_set_parses_numbers_words_booleans_and_lists():
    texts = ["tf_data.prefetch=4", "tf_data.cache=none,disk", "tf_data.deterministic=false"]
    assert parse_set([*texts, "keras_pil.workers=0,2"]) == {
        "tf_data": {"prefetch": 4, "cache": ["none", "disk"], "deterministic": False},
        "keras_pil": {"workers": [0, 2]},
    }
    with pytest.raises(PlanError, match="one value each"):
        parse_set(["keras_pil.workers=0,2"], several=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("None", None),
        ("True", True),
        ("1e-3", 0.001),
        ("none", "none"),
        ("a,None,2", ["a", None, 2]),
        ("[1, 2]", [[1, 2]]),
        ("[True,None],[3]", [[True, None], [3]]),
        ('{"a": [1, 2]}', {"a": [1, 2]}),
        ("[a", "[a"),
        ("(", "("),
    ],
)
def test_set_parses_the_values_that_python_has(text, value):
    assert parse_set([f"make.a={text}"]) == {"make": {"a": value}}


def test_a_list_is_one_value_where_there_is_no_grid():
    assert parse_set(["make.sizes=[1, 2]"], several=False) == {"make": {"sizes": [1, 2]}}


@pytest.mark.parametrize("option", ["prefetch=4", "tf_data.prefetch", "tf_data.=4", "="])
def test_a_malformed_set_is_refused(option):
    with pytest.raises(PlanError, match=r"LOADER\.NAME=VALUE"):
        parse_set([option])


def test_a_set_that_no_record_can_hold_is_refused():
    with pytest.raises(PlanError, match="is not UTF-8"):
        parse_set(["packed.pack=caf\udce9"])


def test_augmentations_and_ranges_are_parsed():
    assert parse_augment(["rotation=15", "jpeg_quality=40,90", "on_device=rotation"]) == {
        "rotation": 15,
        "jpeg_quality": [40, 90],
        "on_device": ["rotation"],
    }
    texts = ("-1,1", "0,255", "imagenet")
    assert [parse_range(text) for text in texts] == [[-1, 1], [0, 255], "imagenet"]
    with pytest.raises(PlanError, match="must be NAME=VALUE"):
        parse_augment(["rotation"])


def test_options_override_a_recipe_file_which_overrides_a_suite(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('network = "ResNet50"\nalpha = 0.5')
    suite = Suite(
        trial=[Choice(loader="tf_data")],
        timing=Timing(blocks=7),
        failures=Failures(on_error="skip"),
        spec={"image_size": 64, "augment": {"crop": 0.8}},
        recipe={"alpha": 0.35, "epochs": 3},
    )
    over = overlay(
        suite, None, given(spec={"image_size": 32}, timing={"seed": 1}, recipe={"alpha": 0.75})
    )
    assert over.spec == {"image_size": 32, "augment": {"horizontal_flip": True, "crop": 0.8}}
    assert (over.timing.blocks, over.timing.seed, over.failures.on_error) == (7, 1, "skip")
    assert over.recipe == {"alpha": 0.75, "epochs": 3}
    assert overlay(suite, file, given()).recipe == {"network": "ResNet50", "alpha": 0.5}
    assert overlay(suite, file, given(recipe={"alpha": 1.0})).recipe["alpha"] == 1.0
    assert overlay(suite, None, given()).trial == suite.trial


def test_a_wrong_recipe_names_its_file_and_the_field_that_was_meant(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("epoch = 3")
    with pytest.raises(PlanError, match=r"r\.toml: there is no 'epoch'; .*mean 'epochs'\?"):
        recipe_of({}, file, given())


def test_a_loader_that_is_given_twice_is_refused():
    with pytest.raises(PlanError, match="--loader turbo: turbo is given twice"):
        chosen_loaders(["turbo", "tf_data", "turbo"])


def test_a_loader_is_a_name_a_best_toml_or_its_folder(tmp_path):
    path = tmp_path / "best.toml"
    path.write_text(BEST)
    named = [*chosen_loaders(["tf_data", str(path)]), *chosen_loaders([str(tmp_path)])]
    settings = {"cache": "decoded", "prefetch": 3}
    turbo = Choice(loader="turbo", settings=settings)
    assert named == [Choice(loader="tf_data"), turbo, turbo]
    best = chosen_loader(str(tmp_path), ["turbo.prefetch=1"], given(spec={"image_size": 32}))
    assert best.settings == {"cache": "decoded", "prefetch": 1}
    assert best.spec == {"batch_size": 16, "image_size": 32}
    assert best.recipe == {"network": "ResNet50", "epochs": 7}
    assert best.predicted is None
    assert chosen_loader(str(path), None, given()).predicted is not None
    assert chosen_loader("tf_data", None, given()).spec == TRAINING_SPEC


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tfdata", r"no loader 'tfdata'; did you mean 'tf_data'\? There are keras_pil, "),
        ("empty", r"empty: no best\.toml in this folder"),
        ("suite.toml", r"suite\.toml: not a best\.toml: "),
        ("recipe.toml", r"recipe\.toml: recipe: there is no 'epoch'; did you mean 'epochs'\? "),
        ("spec.toml", r"spec\.toml: spec: image_size: must be an integer of at least 1, got 0"),
        ("photo.jpg", r"photo\.jpg: not TOML"),
        ("nowhere.toml", "no such file or folder; give the folder"),
        ("no/where", "no such file or folder; give the folder"),
    ],
)
def test_an_unknown_loader_is_an_error_of_one_line(monkeypatch, tmp_path, text, said):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("suite.toml").write_text('consumer = "drain"')
    Path("recipe.toml").write_text('loader = "tf_data"\nrecipe = {epoch = 3}')
    Path("spec.toml").write_text('loader = "tf_data"\nspec = {image_size = 0}')
    Path("photo.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises((PlanError, UnknownLoader), match=said) as raised:
        chosen_loaders([text])
    assert "\n" not in str(raised.value)


def test_loaders_shows_what_each_setting_allows(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "250")
    loaders()
    lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line for line in lines if line.startswith(" ")}
    assert "none, decoded or packed" in shown["cache"]
    assert "an integer of at least 1 or autotune" in shown["num_parallel_calls"]
    assert "true or false" in shown["deterministic"]
    assert lines[[line.partition(":")[0] for line in lines].index("keras_directory") + 1] == (
        "  no settings"
    )
