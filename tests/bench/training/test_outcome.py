"""What a training says of its model: the test score, beside that of a constant guess."""

import pytest
from published import RESULTS

from feedbench.bench.training.folder import read_training
from feedbench.bench.training.model_card import model_card
from feedbench.bench.training.outcome import guess_sentence
from feedbench.bench.training.table import outcome

COUNTS = {"dress": 30, "shirt": 70, "shoes": 200}
GUESS = "Always guessing shoes, the most frequent class, scores 66.7%"


def result(accuracy, counts=COUNTS):
    classes = [
        {"name": name, "images": images, "recall": None, "precision": None}
        for name, images in counts.items()
    ]
    test = {"loss": 1.0} if accuracy is None else {"loss": 1.0, "accuracy": accuracy}
    promise = {"text": "Rate check: met."}
    return {"test": test, "per_class": classes, "dropped": [], "promise": promise, "spec": {}}


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [
        (0.9, ""),
        (201 / 300, ""),
        (0.6666667, ": this model is no better"),
        (0.1, ": this model is no better"),
    ],
)
def test_the_accuracy_is_compared_with_guessing_the_most_frequent_class(printed, accuracy, verdict):
    shown = printed(*outcome(result(accuracy)))
    assert f"{accuracy:.1%} of 300 images\n{GUESS}{verdict}.\n" in shown


@pytest.mark.parametrize("values", [result(None), result(0.5, {}), {**result(0.5), "test": None}])
def test_where_the_classes_or_the_accuracy_are_unknown_nothing_is_said(values):
    assert guess_sentence(values) == ""


def test_the_model_card_says_it_too():
    published = read_training(RESULTS / "clothing-training" / "tuned" / "training.json")
    assert f"- {guess_sentence(published)}\n" in model_card(published)
    assert guess_sentence(published).startswith("Always guessing ")


def test_of_equally_frequent_classes_one_is_named_as_such():
    text = guess_sentence(result(0.9, {"dress": 5, "shirt": 5}))
    assert text == "Always guessing dress, one of the most frequent classes, scores 50.0%"
