"""How long a report takes to open; `make micro` measures it."""

from pathlib import Path


def test_report_of_20_trials_opens(benchmark, opened, page_of_20_trials: Path):
    """From the request of the file until the charts in the window are drawn."""
    page = opened(page_of_20_trials).page

    def open_again() -> None:
        page.goto(page_of_20_trials.as_uri())
        page.locator(".plot svg").first.wait_for()

    benchmark.pedantic(open_again, rounds=5, warmup_rounds=1)
    benchmark.extra_info["bytes"] = page_of_20_trials.stat().st_size
    assert page.locator(".plot svg").count() > 0
