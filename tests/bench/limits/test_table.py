"""The tables of limits sort loaders by rate and show why something was not measured."""

import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.limits.limits import Limit, LoaderShare, MachineLimits
from feedbench.bench.limits.table import limits_table, parts, shares_table
from feedbench.bench.limits.verdict import limit_text, verdict


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value)


LIMITS = MachineLimits(
    limits=[
        Limit(name="memory_copy", images_per_second=estimate(5_000), bytes_per_second=2e9),
        Limit(name="disk, cold", error="a network share"),
    ],
    loaders=[
        LoaderShare(
            loader="slow", limit="memory_copy", images_per_second=estimate(10), share=estimate(0.1)
        ),
        LoaderShare(loader="broken", limit="memory_copy", error="crashed"),
        LoaderShare(
            loader="fast", limit="memory_copy", images_per_second=estimate(90), share=estimate(0.9)
        ),
    ],
)


def test_limits_show_rates_and_reasons(printed):
    text = printed(limits_table(LIMITS))
    assert "5,000" in text
    assert "2.00 GB" in text
    assert "a network share" in text


def test_loaders_are_sorted_by_rate_with_failures_last(printed):
    text = printed(shares_table(LIMITS))
    assert text.index("fast") < text.index("slow") < text.index("broken")
    assert "0.90" in text
    assert "crashed" in text


def test_a_rate_below_10_keeps_its_digits(printed):
    slow = LoaderShare(loader="keras_pil", limit="memory_copy", images_per_second=estimate(3.618))
    assert "3.62" in printed(shares_table(MachineLimits(limits=[], loaders=[slow])))


def test_the_verdict_is_the_last_line_and_names_the_work_of_the_limit(printed):
    text = printed(*parts([], LIMITS))
    assert text.splitlines()[-1].strip() == (
        "The fastest loader is fast: 90 images/s, 90% of what copying images from memory allows."
    )


def test_the_verdict_does_not_call_more_than_a_limit_a_part_of_what_it_allows():
    above = LoaderShare(
        loader="small", limit="memory_copy", images_per_second=estimate(200), share=estimate(4.123)
    )
    assert verdict(MachineLimits(limits=[], loaders=[above])) == (
        "The fastest loader is small: 200 images/s, 4.12 times the rate of copying images from "
        "memory."
    )


def test_the_traceback_of_a_users_function_is_shown_once(printed, trial):
    failed = [
        trial("pipeline.py:make", [10.0], error="line 3", traceback="in make").model_copy(
            update={"settings": {"n": number}}
        )
        for number in range(2)
    ]
    assert printed(*parts(failed, LIMITS)).count("in make") == 1


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("memory_copy", "copying images from memory"),
        ("libjpeg_turbo decode=full", "decoding on all cores"),
        ("libjpeg_turbo decode=scaled", "decoding at a reduced size on all cores"),
        ("libjpeg_turbo decode=full pack=p", "decoding the JPEGs of a pack on all cores"),
        ("disk, cold", "disk, cold"),
    ],
)
def test_a_limit_is_called_by_its_work(limit, text):
    assert limit_text(limit) == text


def test_without_a_loader_the_verdict_says_so():
    assert verdict(MachineLimits(limits=[], loaders=[])) == "No loader could be measured."
