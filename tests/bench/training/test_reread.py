"""A loader that has to read again what was trained on says so, and how long that may take."""

import pytest

from feedbench.bench.training.reread import reread_notes
from feedbench.trainer import Epoch, Position


def position(train_s):
    epoch = Epoch(1, 4_000, train_s, 1.0, 0.1, 1.0, 0.5, 1.0, 0.5)
    return Position(images=5_000, train_s=10.0, history=(epoch,))


@pytest.mark.parametrize(("train_s", "text"), [(60, "70 s"), (590, "10 min"), (7190, "2.0 h")])
def test_a_loader_with_an_order_of_its_own_names_images_and_time(train_s, text):
    (note,) = reread_notes("keras_directory", position(train_s))
    assert "the 5,000 images that were trained on are read again first" in note
    assert note.endswith(f"at most the {text} of their training")


def test_a_users_function_is_such_a_loader_unless_it_can_start_later(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.py").write_text("def make(): ...\ndef later(start_step): ...")
    assert reread_notes("pipeline.py:make", position(60))
    assert reread_notes("pipeline.py:later", position(60)) == []


def test_nothing_is_read_again_by_others_or_from_the_start():
    assert reread_notes("turbo", position(60)) == []
    assert reread_notes("keras_directory", Position()) == []
