"""The words, the table and the picture of a search."""

import pytest
from rich.console import Console

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.race import Finding
from feedbench.bench.tune.record import TuneRecord, runners_up
from feedbench.bench.tune.space import TOGETHER
from feedbench.bench.tune.table import finding_line, verdict, worth_table
from feedbench.bench.tune.worth import draw_worth

BEST = Choice(loader="turbo", settings={"cache": "decoded"})
TURBO = Choice(loader="turbo")
RATE = Estimate(value=1234, low=1200, high=1260)


def finding(choice, against, setting, outcome, ratio, reason=""):
    estimate = Estimate(value=ratio, low=ratio - 0.1, high=ratio + 0.1)
    return Finding(
        choice=choice,
        against=against,
        setting=setting,
        outcome=outcome,
        pairs=4,
        ratio=estimate,
        reason=reason,
    )


@pytest.fixture
def record():
    tied = BEST.model_copy(update={"settings": {"cache": "decoded", "prefetch": 0}})
    scaled = BEST.model_copy(update={"settings": {"cache": "decoded", "decode": "scaled"}})
    return TuneRecord(
        about={},
        finished=True,
        best=BEST,
        images_per_second=RATE,
        seconds=90,
        findings=[
            finding(Choice(loader="tf_data"), TURBO, None, "slower", 0.5),
            finding(BEST, TURBO, "cache", "faster", 2),
            finding(tied, BEST, "prefetch", "tie", 1),
            finding(scaled, BEST, "decode", "refused", 1.2, "its pixels differ"),
            finding(scaled, BEST, TOGETHER, "slower", 0.9),
        ],
    )


def test_a_result_is_one_line(record):
    assert finding_line(record.findings[3]) == (
        "refused: turbo cache=decoded decode=scaled against turbo cache=decoded: rate ratio 1.20 "
        "[1.10, 1.30], paired blocks: 4: its pixels differ"
    )


def test_the_table_has_a_row_per_result(record):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(worth_table(record))
    rows = capture.get().splitlines()
    assert worth_table(record).row_count == 5
    assert "compared with" in rows[1]
    assert any("cache" in row and "decoded" in row and "2.00 [1.90, 2.10]" in row for row in rows)


def test_the_verdict_names_the_best_and_how_much_was_tried(record):
    text = verdict(record)
    assert text.startswith("Take turbo cache=decoded: 1,234 [1,200, 1,260] images/s. ")
    assert "Not surely slower: turbo cache=decoded prefetch=0." in text
    assert "combinations were tried in 1.5 min." in text
    assert "--resume" not in text
    unfinished = record.model_copy(update={"finished": False, "resume": "feedbench tune photos"})
    assert verdict(unfinished).endswith("To resume the search: feedbench tune photos")


def test_the_verdict_says_why_there_is_no_best(record):
    values = {"best": None, "images_per_second": None}
    assert verdict(record.model_copy(update=values)).startswith("No configuration can be recommen")
    values["findings"] = []
    assert "give a longer --budget" in verdict(record.model_copy(update=values))


def test_the_runners_up_lost_to_the_best_or_tied_with_it(record):
    assert [(runner_up.ratio.value, runner_up.tie) for runner_up in runners_up(record)] == [
        (1, True),
        (0.9, False),
    ]


def test_the_picture_names_winner_settings_and_results(record, tmp_path, pictures):
    failed = record.findings[0].model_copy(
        update={"outcome": "failed", "ratio": None, "reason": "out of memory " * 20}
    )
    record = record.model_copy(update={"findings": [*record.findings, failed]})
    draw_worth(record, tmp_path / "worth.png")
    draw_worth(record, tmp_path / "worth.svg")
    figure = pictures.saved[0]
    texts = pictures.texts(figure)
    assert texts[0] == "turbo cache=decoded is the fastest: 1,234 images/s"
    assert {"turbo prefetch=0", "against turbo", "2.00 × faster", "1.00 × tie", "1 ×"} <= set(texts)
    assert any(text.startswith("failed: out of memory") for text in texts)
    assert figure.axes[0].get_xscale() == "log"
    assert pictures.faults(figure) == []
    assert (tmp_path / "worth.svg").read_text().count("1.20 × refused: its pixels differ") == 1
