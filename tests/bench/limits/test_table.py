"""The tables of limits sort loaders by rate and show why something was not measured."""

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.limits.limits import Limit, LoaderShare, MachineLimits
from feedbench.bench.limits.table import limits_table, shares_table


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
