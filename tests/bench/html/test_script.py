import json

import pytest

from feedbench.bench.html.script import code, data, policy


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "<!-- <script>", "a\n&amp;"]
)
def test_data_cannot_end_its_script_element_and_is_read_unchanged(text):
    written = data({text: [text]})
    assert written.isascii()
    assert not set(written) & set("<>&")
    assert json.loads(written) == {text: [text]}


@pytest.mark.parametrize("sign", ["\u202e", "\u2028", "\x1b", "\udc80"])
def test_data_cannot_turn_or_hide_what_a_chart_says(sign):
    assert json.loads(data({"name": [f"a{sign}b"]})) == {"name": ["a�b"]}


def test_numbers_that_json_lacks_are_null():
    values = {"a": [float("nan"), (float("inf"), 1.5)], "b": -float("inf")}
    assert json.loads(data(values)) == {"a": [None, [None, 1.5]], "b": None}


def test_code_cannot_end_its_script_element():
    assert code("a('</script>', '<!--')\r\n") == "a('<\\/script>', '\\x3c!--')\n"


def test_the_policy_allows_exactly_the_scripts_of_the_page():
    # Computed with: printf 'alert(1)' | openssl dgst -sha256 -binary | base64
    digest = "sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI="
    assert f"script-src '{digest}';" in policy(["alert(1)"])
    assert policy(["alert(1)"]).startswith("default-src 'none';")
