"""The tables of bench and limits show every figure, uncut, at any usual width of a terminal."""

import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.summary import summarize
from feedbench.bench.limits.limits import Limit, LoaderShare, MachineLimits
from feedbench.bench.limits.table import parts as limits_parts
from feedbench.bench.record import Gpu, Host, SamePixels, WarmUp
from feedbench.bench.report.fitting import choose_layout
from feedbench.bench.report.summary_text import table_parts, verdict
from feedbench.bench.report.table import bench_table, ratio_text

WIDTHS = [80, 120, 160]
GPU = Gpu(
    index=0,
    at_s=[1.0, 2.0],
    utilization=[0.96, 0.98],
    multiprocessors=[0.30, 0.32],
    power_w=[250.0, 350.0],
    clock_reasons=[0x1, 0x4],
    memory_bytes=[10**10, 3 * 10**10],
)
SETTINGS = {"cache": "decoded", "num_parallel_calls": 2, "prefetch": "autotune"}


@pytest.fixture
def shown(printed):
    """A function: the table of a bench and its notes at a width."""
    return lambda summary, width=160: printed(*table_parts(summary), width=width)


def words(text: str) -> str:
    return " ".join(text.split())


def a_bench(trial, **values):
    """A winner with long settings, a slower loader, a failed one, and synthetic batches."""
    warm_up = WarmUp(start_s=3, first_batch_s=0.52, seconds=60, images=9_999)
    fast = trial("tf_data", [1200, 1234, 1260], warm_ups=[warm_up], **values)
    fast = fast.model_copy(update={"settings": SETTINGS})
    slow = trial("keras_pil", [400, 420, 600], wait=1.0, peak_memory_bytes=2_340_000_000, **values)
    failed = trial("turbo", [], error="the process was killed by signal 9: out of memory", **values)
    return summarize([fast, slow, failed, trial("synthetic", [1210, 1220, 1230], **values)])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "values", [{}, {"gpus": [GPU]}, {"consumer": "drain"}], ids=["train", "gpu", "drain"]
)
def test_no_cell_is_cut_and_every_figure_of_the_short_table_is_there(trial, width, values, shown):
    text = shown(a_bench(trial, **values), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for name in ("tf_data", *(f"{key}={value}" for key, value in SETTINGS.items()), "← winner"):
        assert name in text
    figures = ["1,234", "[1,158, 1,308]", "~420", "[269, 807]", "1.00", "0.34"]
    is_drained = values.get("consumer") == "drain"
    memory = ["2.34 GB"] if width > 80 or is_drained else []
    waits = [] if is_drained else ["5%", "50%"]
    for figure in [*figures, *memory, *waits, "failed"]:
        assert figure in text, figure


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_the_mark_of_the_winner_is_never_wrapped(trial, width, shown):
    slow = trial("keras_pil", [400, 420, 600])
    for length in range(1, 30):
        settings = {"settings": {"s": "x" * length}}
        fast = trial("turbo", [1200, 1234, 1260]).model_copy(update=settings)
        text = shown(summarize([fast, slow]), width)
        assert "← winner" in text, length


def test_a_rate_below_10_keeps_its_digits(trial, shown):
    text = shown(summarize([trial("turbo", [3.5] * 3), trial("keras_pil", [0.5] * 3)]))
    assert "3.50" in text
    assert "0.500" in text


@pytest.mark.parametrize("width", [120, 160])
def test_a_wide_table_has_every_column_with_a_value(trial, width, shown):
    text = shown(a_bench(trial), width)
    for figure in ("≥ 100%", "34%", "0.52 s", "0.50", "0 MB"):
        assert figure in text, figure
    for title in ("AU", "first", "CPU", "disk"):
        assert title in text
    for title in ("GPU", "SMs"):
        assert title not in text


def test_the_columns_of_a_gpu_are_shown_if_there_is_room(trial, shown):
    summary = a_bench(trial, gpus=[GPU])
    text = shown(summary, 160)
    for figure in ("97%", "31%", "300 W", "30.00 GB"):
        assert figure in text, figure
    assert "Hidden" not in words(shown(summary, 160))


def test_a_gpu_that_reports_only_its_utilization_has_no_other_columns(trial, shown):
    silent = Gpu(index=0, at_s=[1.0], utilization=[0.5], memory_bytes=[])
    text = shown(summarize([trial("keras_pil", [100], gpus=[silent])]), 160)
    assert "GPU" in text
    assert "50%" in text
    assert "SMs" not in text
    assert " W " not in text


def test_what_does_nothing_but_wait_has_no_column_of_waits(trial, shown):
    drained = [trial(name, [100] * 3, consumer="drain") for name in ("tf_data", "turbo")]
    assert "wait" not in shown(summarize(drained), 160)
    trained = [trial(name, [100] * 3) for name in ("tf_data", "turbo")]
    assert "wait" in shown(summarize(trained), 160)


def test_without_a_trainer_there_is_no_column_of_utilization(trial, shown):
    summary = a_bench(trial, consumer="drain")
    assert "AU" not in shown(summary, 160)
    assert "AU" not in words(shown(summary, 160))


def test_a_short_table_names_the_columns_that_are_hidden(trial, shown):
    note = (
        "Hidden at this width: first batch, CPU cores, memory, disk read (shown from 102 columns)"
    )
    assert note in words(shown(a_bench(trial), 80))
    assert "Hidden" not in words(shown(a_bench(trial), 120))


def test_columns_are_hidden_one_by_one_and_the_utilization_last(trial):
    summary = a_bench(trial)
    layouts = [choose_layout(bench_table(summary), width) for width in range(160, 40, -1)]
    headings = [[column.heading for column in layout.columns] for layout in layouts]
    titles = ("disk read", "CPU cores", "first batch", "memory", "wait", "AU")
    counts = [sum(title in each for each in headings) for title in titles]
    assert counts == sorted(counts)
    assert len({*counts}) == len(titles)
    assert headings[-1] == ["loader and settings", "images/s [95 %]", "ratio to best [95 %]"]


@pytest.mark.parametrize("blocks", [1, 2])
def test_too_few_blocks_have_a_dash_for_their_interval_and_no_tie(trial, blocks, shown):
    summary = summarize([trial("tf_data", [1733] * blocks), trial("keras_pil", [1000] * blocks)])
    text = shown(summary, 120)
    assert "1,733 [–]" in text
    assert "0.58 [–]" in text
    assert "[–]: fewer than 3 blocks have no interval." in words(shown(summary, 120))
    assert "keras_pil  (cannot tell)" in text
    assert "cannot tell: fewer than 3 rounds in common, or " in words(shown(summary, 120))
    assert verdict(summary) == (
        "Take tf_data: 1,733 images/s. It is the fastest in these blocks. These blocks do not show "
        "whether keras_pil is as fast: take more with --blocks."
    )


def test_with_enough_blocks_the_winner_is_the_fastest(trial, shown):
    summary = summarize([trial("tf_data", [1733, 1734, 1735]), trial("keras_pil", [1000] * 3)])
    assert "1,734 images/s. It is the fastest." in verdict(summary)
    assert "tie)" not in shown(summary, 120)


@pytest.mark.parametrize(("other", "is_tie"), [([1733, 1750, 1700], True), ([1000] * 3, False)])
def test_a_tie_is_named_and_explained(trial, other, is_tie, shown):
    summary = summarize([trial("tf_data", [1733, 1734, 1735]), trial("keras_pil", other)])
    assert ("keras_pil  (tie with the winner)" in shown(summary, 160)) is is_tie
    assert ("tie: not certainly" in words(shown(summary, 160))) is is_tie


def test_a_tie_with_a_fastest_that_did_not_win_names_it(trial, shown):
    fast = trial("turbo", [100.0, 100.1, 100.2], peak_memory_bytes=2_000)
    cheap = trial("tf_data", [100.1, 100.0, 100.2], peak_memory_bytes=1_000)
    text = shown(summarize([fast, cheap]), 160)
    assert "tf_data  ← winner  (tie with turbo)" in text
    assert "turbo  (fastest)" in text


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((0.9, 1.1), "1.00 [0.90, 1.10]"),
        ((0.998, 0.9993), "1.000 [0.998, 0.999]"),
        ((1.00002, 1.1), "1.0000 [1.0000, 1.1000]"),
        ((0.5, 0.7), "1.00 [0.50, 0.70]"),
        ((None, None), "1.00 [–]"),
    ],
)
def test_a_ratio_beside_1_is_not_rounded_to_it(interval, text):
    low, high = interval
    assert ratio_text(Estimate(value=1.0, low=low, high=high)) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.104, "0.10 [0.08, 0.12]"), (0.0412, "0.041 [0.033, 0.049]")]
)
def test_a_small_ratio_keeps_two_digits(value, text):
    assert ratio_text(Estimate(value=value, low=0.8 * value, high=1.2 * value)) == text


def test_a_trial_without_rivals_is_not_called_the_fastest(trial):
    summary = summarize([trial("tf_data", [1733] * 3), trial("keras_pil", [], error="crashed")])
    assert "1,733 images/s. It is the only one that is ranked." in verdict(summary)


def test_the_verdict_gives_the_rate_of_the_blocks_after_the_choice(trial):
    lucky = trial("tf_data", [1733] * 3 + [1600] * 3, chosen_before=3)
    text = verdict(summarize([lucky, trial("turbo", [900] * 3)]))
    assert text == (
        "Take tf_data: 1,600 images/s. It is the fastest. Expect this rate: it was measured again "
        "after the choice. The 1,733 in the table come from the blocks that chose it, which were "
        "partly fast by chance. The two differ by more than their intervals allow: the machine may "
        "have changed, so measure again."
    )


def beside_others(trial, before, after):
    """The trial with readings of two cores, on which other programs used some; it used one."""

    def host(others):
        return Host(at_s=[1.0, 2.0], cores={0: [1.0] * 2, 1: [others] * 2})

    blocks = [
        block.model_copy(
            update={
                "cpu_s": block.seconds,
                "host": host(before if block.round < trial.chosen_before else after),
            }
        )
        for block in trial.blocks
    ]
    return trial.model_copy(update={"blocks": blocks})


@pytest.mark.parametrize(
    ("rates", "cores", "why", "what_to_do"),
    [
        (
            (1733, 1600), (0.1, 0.9),
            "while other programs used less: 0.1 of 2 cores, then 0.9",
            "measure again on a quiet machine.",
        ),
        (
            (1733, 1600), (0.8, 0.9),
            "which were partly fast by chance, or less disturbed by other programs",
            "the machine may have changed, so measure again.",
        ),
        (
            (1600, 1733), (0.9, 0.1),
            "while other programs used more: 0.9 of 2 cores, then 0.1",
            "measure again on a quiet machine.",
        ),
        (
            (1600, 1733), (0.9, -0.04),
            "while other programs used more: 0.9 of 2 cores, then 0.0",
            "measure again on a quiet machine.",
        ),
    ],
)  # fmt: skip
def test_other_programs_are_named_where_they_are_the_likelier_reason(
    trial, rates, cores, why, what_to_do
):
    chosen, again = rates
    lucky = trial("tf_data", [chosen] * 3 + [again] * 3, chosen_before=3)
    trials = [beside_others(lucky, *cores), trial("turbo", [900] * 3)]
    text = verdict(summarize(trials), trials)
    assert f"come from the blocks that chose it, {why}. The two differ" in text
    assert text.endswith(f"than their intervals allow: {what_to_do}")


def test_a_higher_rate_after_the_choice_was_no_luck_and_may_be_within_a_wide_interval(trial):
    blocks = [879, 1799, 1965, 1985, 2027, 1996]
    summary = summarize([trial("tf_data", blocks, chosen_before=3), trial("turbo", [900] * 3)])
    assert summary.trials[0].images_per_second.contains(1996)
    assert "The 1,799 in the table come from the blocks that chose it." in verdict(summary)
    assert "measure again" not in verdict(summary)


def test_the_verdict_writes_the_utilization_as_the_table_does(trial, shown):
    by_noise = summarize(
        [trial("tf_data", [1000, 1030, 1000]), trial("synthetic", [1000, 1010, 990])]
    )
    assert "≥ 100%" in shown(by_noise, 120)
    assert "accelerator utilization ≥ 100%." in verdict(by_noise)


def test_the_utilization_of_other_blocks_does_not_stand_beside_the_rate_to_expect(trial):
    """In the table's blocks the accelerator idles; in those after the choice it does not."""
    lucky = trial("tf_data", [600, 610, 620, 1000, 1000, 1000], chosen_before=3)
    text = verdict(summarize([lucky, trial("synthetic", [1000] * 3), trial("turbo", [300] * 3)]))
    assert text.startswith("Take tf_data: 1,000 images/s. It is the fastest.")


@pytest.mark.parametrize("again", [[1733, 1734, 1735], [1700, 1740, 1760], [1710, 1711, 1712]])
def test_a_rate_that_is_confirmed_is_no_change_of_the_machine(trial, again):
    """Less than 3 % is none either, however narrow the intervals are."""
    first = trial("tf_data", [1733, 1734, 1735, *again], chosen_before=3)
    text = verdict(summarize([first, trial("turbo", [900] * 3)]))
    assert ("Expect this rate" in text) is (again[1] == 1711)
    assert "measure again" not in text


def test_a_loader_alone_is_no_winner(trial, shown):
    summary = summarize([trial("turbo", [100] * 3), trial("synthetic", [200] * 3)])
    assert verdict(summary) == (
        "turbo: 100 images/s, accelerator utilization 50%. Nothing to compare it with: add "
        "--loader keras_pil."
    )
    assert "winner" not in shown(summary, 160)


def test_batches_that_cost_nothing_stand_last_without_a_ratio(trial, shown):
    """However slow the loaders are: nobody must take it for a loader to choose."""
    slow, synthetic = trial("tf_data", [100, 101, 102]), trial("synthetic", [2400, 2410, 2420])
    table = bench_table(summarize([synthetic, slow]))
    assert [row.loader for row in table.rows] == ["tf_data", "synthetic"]
    assert table.rule_before == 1
    *_, last = [line for line in shown(summarize([synthetic, slow])).splitlines() if "2,4" in line]
    assert last.split()[:6] == ["synthetic", "(batches", "that", "cost", "nothing)", "2,410"]
    assert "23" not in last
    rules = [line for line in shown(summarize([synthetic, slow])).splitlines() if "───" in line]
    assert len(rules) == 4  # one of them above synthetic


def test_a_utilization_above_100_percent_is_marked_unless_noise_explains_it(trial, shown):
    synthetic = trial("synthetic", [1000, 1010, 990])
    surely = summarize([trial("tf_data", [1200, 1210, 1190]), synthetic])
    assert "120%!" in shown(surely, 120)
    assert "AU marked !: faster than synthetic batches by more than noise" in " ".join(
        shown(surely, 120).split()
    )
    by_noise = summarize([trial("tf_data", [1000, 1030, 1000]), synthetic])
    assert "≥ 100%" in shown(by_noise, 120)
    assert "AU marked" not in words(shown(by_noise, 120))
    assert "AU ≥ 100%: as fast as synthetic batches; the excess is noise." in words(
        shown(by_noise, 120)
    )


def test_an_error_that_ends_several_trials_is_told_once(trial, shown):
    error = "model.py, line 9, in train_step: KeyError: 'x' (in step 1 of the training)"
    failed = [
        trial(name, [], error=error, traceback="Traceback of model.py")
        for name in ("turbo", "tf_data")
    ]
    other = trial("keras_pil", [], error="out of memory")
    text = words(shown(summarize([*failed, other])))
    assert f"turbo, tf_data failed: {error} Traceback of model.py keras_pil failed: out" in text
    assert text.count("Traceback") == 1


def test_errors_and_contradicting_meters_are_whole_notes(trial, shown):
    text = words(shown(a_bench(trial, gpus=[GPU]), 80))
    assert "turbo failed: the process was killed by signal 9: out of memory" in text
    assert "keras_pil: NVML reports the GPU as busy 97% of the time" in text
    assert "believe the wait. 66% of the rate" in text
    assert "synthetic: NVML reports" not in text
    assert "keras_pil: clocks reduced (fraction of samples): power cap 50%." in text


def test_other_pixels_and_dropped_images_are_marked(trial, shown):
    pixels = SamePixels(
        reference="tf_data", tolerance=3, worst_mean=7.91, within=False, allowed=False
    )
    other = trial("keras_pil", [50]).model_copy(update={"pixels": pixels})
    text = words(shown(summarize([trial("tf_data", [100]), other]), 160))
    assert "other pixels: 7.9" in text
    assert "not ranked" in text


def test_the_verdict_names_every_tie(trial):
    names = [trial("tf_data", [100, 102, 104]), trial("turbo", [99, 103, 103])]
    text = verdict(summarize([*names, trial("keras_directory", [98, 103, 104])]))
    assert text.startswith("Take ")
    for name in ("tf_data", "turbo", "keras_directory"):
        assert text.count(name) == 1


def test_trials_that_may_be_as_fast_as_the_winner_are_named(trial):
    wild = trial("keras_pil", [60, 95, 120])
    text = verdict(
        summarize([trial("turbo", [80, 103, 105]), trial("tf_data", [99, 102, 104]), wild])
    )
    assert text.startswith("Take turbo: 103 images/s. It is the fastest in these blocks. ")
    assert text.endswith(
        "These blocks do not show whether tf_data or keras_pil is as fast: take more with --blocks."
    )


def test_many_trials_that_may_be_as_fast_are_counted(trial):
    names = ("keras_pil", "keras_directory", "tf_data", "packed")
    wild = [trial(name, [60, 95, 104]) for name in names]
    summary = summarize([trial("turbo", [80, 103, 105]), *wild])
    assert verdict(summary).endswith(
        "These blocks do not show whether 4 of the others are as fast: take more with --blocks."
    )


def test_a_cheap_winner_names_those_that_are_as_fast(trial):
    fast = trial("turbo", [100.0, 100.1, 100.2], peak_memory_bytes=2_000)
    cheap = trial("tf_data", [100.1, 100.0, 100.2], peak_memory_bytes=1_000)
    assert verdict(summarize([fast, cheap])) == (
        "Take tf_data: 100 images/s. It certainly reaches 95% of the fastest rate, as does turbo. "
        "It is the cheapest of these in memory and CPU time combined: 0 MB and 0.50 cores."
    )


def test_a_narrow_interval_near_1_is_as_good_as_a_wide_tie(trial):
    """0.96 certainly, in blocks of 2 s and thousands of images."""
    fast = trial("turbo", [10_000, 10_010, 10_020], peak_memory_bytes=3_000)
    close = trial("tf_data", [9_580, 9_591, 9_600], peak_memory_bytes=2_000)
    slow = trial("keras_pil", [9_000, 9_010, 9_020], peak_memory_bytes=1)
    summary = summarize([fast, close, slow])
    assert not summary.trials[1].tied_with_best
    assert verdict(summary).startswith(
        "Take tf_data: 9,591 images/s. "
        "It certainly reaches 95% of the fastest rate, as does turbo. "
    )
    assert "do not show" not in verdict(summary)


def test_the_memory_that_decides_is_hidden_after_the_wait(trial):
    fast = trial("turbo", [100.0, 100.1, 100.2], peak_memory_bytes=2_000)
    cheap = trial("tf_data", [100.1, 100.0, 100.2], peak_memory_bytes=1_000)
    table = bench_table(summarize([fast, cheap, trial("synthetic", [200.0, 200.1, 200.2])]))
    hidden = [choose_layout(table, width).hidden for width in range(160, 40, -1)]
    first = next(index for index, names in enumerate(hidden) if "wait" in names)
    assert "memory" not in hidden[first]
    assert "memory" in hidden[-1]


def test_a_winner_that_was_chosen_earlier_is_not_called_the_cheapest(trial):
    """Its last blocks took more memory than those that chose it."""
    chosen = trial("tf_data", [100, 101, 102] * 2, chosen_before=3, peak_memory_bytes=900)
    text = verdict(summarize([trial("keras_pil", [101, 100, 102], peak_memory_bytes=500), chosen]))
    assert text.startswith("Take tf_data: 101 images/s. It certainly reaches")
    assert "cheapest" not in text


@pytest.mark.parametrize(
    ("trials", "reason"),
    [([], "no block was timed"), ([("tf_data", [], "crashed")], "the reasons are above")],
)
def test_the_verdict_says_why_there_is_no_winner(trial, trials, reason):
    records = [trial(loader, rates, error=error) for loader, rates, error in trials]
    assert verdict(summarize(records)) == f"No loader can be recommended: {reason}."


def interval(value: float) -> Estimate:
    return Estimate(value=value, low=0.9 * value, high=1.1 * value)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_cell_of_the_limits_is_cut(width, printed):
    limit = "libjpeg_turbo decode=scaled pack=prepared/pack-of-jpegs"
    limits = MachineLimits(
        limits=[
            Limit(name=limit, images_per_second=interval(140_314), bytes_per_second=2.112e10),
            Limit(name="memory_copy", images_per_second=Estimate(value=9e6)),
        ],
        loaders=[
            LoaderShare(
                loader="turbo cache=decoded decode=scaled",
                limit=limit,
                images_per_second=interval(88_834),
                share=interval(0.63),
                peak_memory_bytes=1_290_000_000,
            ),
            LoaderShare(
                loader="keras_pil", limit="memory_copy", error="crashed " + "why " * 20 + "end"
            ),
        ],
    )
    text = printed(*limits_parts([], limits), width=width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for figure in ("140,314", "[126,283, 154,345]", "21.12 GB", "9,000,000", "[–]", "88,834"):
        assert figure in text, figure
    for figure in ("[79,951, 97,717]", "0.63", "[0.57, 0.69]", "1.29 GB", "decode=scaled", "end"):
        assert figure in text, figure
    assert text.count("pack=prepared/pack-of-jpegs") == 2
