"""A file that is not the record of a diagnosis is refused in one line."""

import pytest

from feedbench.bench.diagnose.record import RECORD, Part, read_diagnosis
from feedbench.bench.errors import RecordError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"loader": 1}', r"diagnosis-record\.json: loader: "),
        ('{"schema_number": 99}', r"diagnosis-record\.json: schema 99 is newer than \d+; upgrade"),
        ("[]", "diagnosis"),
        ("{", "diagnosis"),
    ],
)
def test_an_invalid_record_is_refused(tmp_path, text, message):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(RecordError, match=message) as error:
        read_diagnosis(tmp_path / RECORD)
    assert "\n" not in str(error.value)


def test_the_former_names_of_parts_are_read_as_the_present_ones():
    assert Part.model_validate({"name": "assemble"}).name == "batch copy"
    assert Part.model_validate({"name": "decode"}).name == "decoding"
