"""TOML files are read and validated, or the error names the file and the field."""

import pytest

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Timing
from feedbench.bench.plan.toml import parse_model, read_toml


def test_a_toml_file_is_read(tmp_path):
    (tmp_path / "a.toml").write_text("blocks = 3\n[table]\nkey = 'value'\n")
    assert read_toml(tmp_path / "a.toml") == {"blocks": 3, "table": {"key": "value"}}


@pytest.mark.parametrize("content", [b"blocks =", b"\xff\xd8"], ids=["syntax", "not UTF-8"])
def test_a_file_that_is_not_toml_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(PlanError, match="not TOML") as raised:
        read_toml(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(PlanError, match=r"No such file or directory; write one$"):
        read_toml(tmp_path / "nowhere.toml", "write one")


def test_an_unknown_field_is_refused_with_its_origin():
    with pytest.raises(PlanError, match=r"^mine: there is no 'block'; .*'blocks'"):
        parse_model(Timing, {"block": 3}, "mine")


def test_a_wrong_value_is_refused_with_its_field():
    with pytest.raises(PlanError, match="blocks: "):
        parse_model(Timing, {"blocks": 0}, "mine")
