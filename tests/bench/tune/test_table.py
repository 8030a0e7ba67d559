"""The words, the table and the picture of a search."""

import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.race import Finding
from feedbench.bench.tune.record import FailedBlock, TuneRecord, runners_up
from feedbench.bench.tune.space import TOGETHER, grid_size
from feedbench.bench.tune.table import finding_line, parts, verdict, worth_table
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


def test_the_reason_of_a_failure_is_printed_once(record, printed):
    lost = Choice(loader="keras_pil")
    ended = finding(lost, TURBO, None, "failed", 1, "no more memory").model_copy(
        update={"ratio": None, "pairs": 0}
    )
    failures = [
        FailedBlock(choice=lost, round=0, reason="no more memory"),
        *(FailedBlock(choice=BEST, round=number, reason="killed") for number in (1, 2)),
    ]
    findings = [*record.findings, ended]
    text = printed(*parts(record.model_copy(update={"findings": findings, "failures": failures})))
    assert (text.count("no more memory"), text.count("killed")) == (1, 1)
    assert "turbo cache=decoded failed in a block: killed" in text
    assert "no more memory" not in finding_line(ended)


def test_the_table_has_a_row_per_result(record, printed):
    text = printed(worth_table(record))
    assert "compared with" in text
    (row,) = (line for line in text.splitlines() if "turbo: cache" in line)
    figures = ["2.00", "[1.90,", "2.10]", "4", "faster"]
    assert row.split() == ["turbo:", "cache", "decoded", "turbo", *figures]
    assert sum(" 4  " in line for line in text.splitlines()) == len(record.findings)


def test_rows_that_differ_in_what_they_are_compared_with_show_it_at_any_width(record, printed):
    first = record.findings[1]
    again = first.model_copy(update={"against": Choice(loader="turbo", settings={"prefetch": 4})})
    assert "prefetch=4" not in printed(worth_table(record), width=60)
    twice = record.model_copy(update={"findings": [first, again]})
    assert "prefetch=4" in printed(worth_table(twice), width=60)


def test_the_command_that_resumes_is_on_a_line_of_its_own(record, printed):
    command = "feedbench tune " + "photos/" * 20
    unfinished = record.model_copy(update={"finished": False, "resume": command})
    last = printed(*parts(unfinished), width=80).splitlines()[-1]
    assert last == f"To resume the search: {command}"
    assert command not in printed(*parts(unfinished, names_resume=False), width=80)


def test_the_combinations_are_those_of_the_machine_of_the_search(record):
    elsewhere = record.model_copy(update={"combinations": 1_234})
    assert " of 1,234 combinations were tried" in verdict(elsewhere)
    here = grid_size(["tf_data", "turbo"])  # for a record of an old version
    assert f"of {here:,} combinations were tried" in verdict(record)


def test_the_verdict_names_the_best_and_how_much_was_tried(record):
    text = verdict(record)
    assert text.startswith("Take turbo cache=decoded: 1,234 [1,200, 1,260] images/s. ")
    assert "Not certainly slower: turbo cache=decoded prefetch=0." in text
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


def test_cores_that_other_programs_used_are_named_above_the_verdict(record, printed):
    used = "Other programs used up to 1.7 of 2 cores meanwhile."
    assert used not in printed(*parts(record))
    text = printed(*parts(record.model_copy(update={"busy": "up to 1.7 of 2 cores"})))
    assert text.index(used) < text.index("Take turbo")
