"""How long a report takes to open; `make micro` measures it."""

from pathlib import Path

# All charts that reach into the window have been drawn.
DRAWN = """() => {
    const plots = [...document.querySelectorAll(".plot")].filter((plot) => plot.clientWidth);
    const isInView = ({ top, bottom }) => top < innerHeight && bottom > 0;
    const inView = plots.filter((plot) => isInView(plot.getBoundingClientRect()));
    return plots.length > 0 && inView.every((plot) => plot.querySelector("svg"));
}"""
# The page's own clock, in seconds since the request: what a reader waits.
SINCE_REQUEST = "performance.now() / 1000"


def test_report_of_20_trials_opens(benchmark, opened, page_of_20_trials: Path):
    """From the request of the file, in a new tab, until the charts in the window are drawn."""
    context = opened(page_of_20_trials).page.context
    seen = []

    def open_tab():
        return (context.new_page(),), {}

    def open_report(page) -> None:
        page.goto(page_of_20_trials.as_uri())
        page.wait_for_function(DRAWN)
        seen.append(page.evaluate(SINCE_REQUEST))
        assert page.locator(".plot svg").count() > 0
        page.close()

    benchmark.pedantic(open_report, setup=open_tab, rounds=5, warmup_rounds=1)
    benchmark.extra_info["bytes"] = page_of_20_trials.stat().st_size
    benchmark.extra_info["seconds_in_page"] = seen
