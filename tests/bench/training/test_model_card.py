"""The model card is complete and derived from training.json."""

import json
from pathlib import Path

import pytest

from feedbench.bench.training.model_card import model_card

PUBLISHED = Path(__file__).parents[3] / "results" / "clothing-training" / "tuned"


@pytest.fixture
def result() -> dict:
    return json.loads((PUBLISHED / "training.json").read_text())


def rows(card: str, section: str) -> list[list[str]]:
    """Return the cells of a section's table without its header."""
    _, _, text = card.partition(f"## {section}")
    lines = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_a_published_card_is_derived_again_from_its_record(result):
    for section in ("Results", "Data", "Trained on"):
        card = (PUBLISHED / "MODEL_CARD.md").read_text()
        assert rows(model_card(result), section) == rows(card, section)


def test_images_are_counted_by_class_and_in_total(result):
    *classes, total = rows(model_card(result), "Data")
    assert [name for name, *_ in classes] == result["classes"]
    for column in (1, 2, 3):
        assert int(total[column]) == sum(int(row[column]) for row in classes)


def test_fields_that_differ_from_their_default_are_bold(result):
    fields = dict(rows(model_card(result), "Recipe"))
    assert fields["epochs"] == f"**{result['recipe']['epochs']}**"
    assert fields["momentum"] == "0.9"


def test_a_validation_loss_that_is_no_finite_number_is_said_in_words(result):
    *others, last = result["epochs"]
    card = model_card({**result, "epochs": [*others, {**last, "validation_loss": None}]})
    accuracy = f"{last['validation_accuracy']:.1%}"
    assert f"- Validation: accuracy {accuracy}, loss is no finite number" in card


def test_the_card_of_a_training_without_a_test_split_says_so(result):
    card = model_card({**result, "test": None, "per_class": []})
    assert "there was no test split" in card
    assert "Confusion matrix" not in card


def test_special_characters_in_class_names_are_escaped(result):
    name = "a|b\nc\udce9"
    images = {split: {name: 1} for split in ("train", "validation", "test")}
    card = model_card({**result, "classes": [name], "images": images})
    assert rows(card, "Data")[0] == ["a\\|b c\\udce9", "1", "1", "1"]
    card.encode()


def test_paths_that_are_not_utf_8_are_written_readably(result):
    recipe = {**result["recipe"], "network": "caf\udce9.py:build"}
    card = model_card({**result, "recipe": recipe, "settings": {"pack": "caf\udce9/pack"}})
    assert "pack=caf\\udce9/pack" in card
    card.encode()


def test_images_per_epoch_are_read_under_their_earlier_name(result):
    assert "images_an_epoch" in result
    present = {**result, "images_per_epoch": result["images_an_epoch"]}
    del present["images_an_epoch"]
    assert model_card(present) == model_card(result)
