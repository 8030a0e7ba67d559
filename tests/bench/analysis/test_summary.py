"""Figures are derived from the raw record, and the winner is the cheapest of the ties."""

import numpy as np
import pytest

from feedbench.bench.analysis.compare import MARGIN
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.predicted import expected_wait_share
from feedbench.bench.analysis.summary import TrialSummary, summarize, to_confirm
from feedbench.bench.record import Gpu, WarmUp
from feedbench.bench.report.summary_text import consumer_text


def test_the_fastest_loader_wins(trial):
    summary = summarize([trial("tf_data", [100, 101, 102]), trial("keras_pil", [50, 51, 52])])
    assert summary.winner == 0
    assert summary.trials[1].ratio_to_best.high < 1 - MARGIN
    assert not summary.trials[1].tied_with_best


def test_among_ties_the_one_with_less_memory_and_cpu_time_wins(trial):
    greedy = trial("tf_data", [100, 102, 104], peak_memory_bytes=400, cpu_s=2.0)
    modest = trial("keras_pil", [99, 103, 103], peak_memory_bytes=100, cpu_s=1.0)
    summary = summarize([greedy, modest])
    assert summary.trials[0].tied_with_best
    assert summary.trials[1].tied_with_best
    assert summary.winner == 1


def test_a_tie_that_may_be_much_slower_does_not_win_by_being_cheap(trial):
    noisy = trial("keras_pil", [70, 80, 102], peak_memory_bytes=1)
    summary = summarize([trial("tf_data", [100, 100, 100], peak_memory_bytes=900), noisy])
    assert summary.trials[1].tied_with_best
    assert summary.winner == 0


def test_nothing_wins_before_every_loader_was_timed(trial):
    started = [trial("tf_data", [100, 101, 102]), trial("keras_pil", [])]
    assert summarize(started).winner is None
    failed = started[1].model_copy(update={"error": "out of memory"})
    assert summarize([started[0], failed]).winner == 0


@pytest.mark.parametrize("blocks", [1, 2])
def test_with_too_few_blocks_the_fastest_wins_and_nothing_ties(trial, blocks):
    cheap = trial("keras_pil", [100, 101][:blocks], peak_memory_bytes=1)
    summary = summarize([cheap, trial("tf_data", [102, 103][:blocks], peak_memory_bytes=900)])
    assert summary.winner == 1
    assert summary.trials[0].ratio_to_best.interval is None
    assert summary.trials[0].undecided
    assert not summary.trials[0].tied_with_best


def test_a_difference_that_luck_among_many_trials_may_explain_is_undecided(trial):
    random = np.random.default_rng(0)
    close = trial("keras_pil", [94, 95, 93, 98, 93])
    others = [trial("turbo", random.normal(95, 1.5, 5).tolist()) for _ in range(12)]
    summary = summarize([trial("tf_data", [100, 101, 99, 102, 100]), close, *others])
    assert summary.winner == 0
    assert summary.trials[1].ratio_to_best.high < 1 - MARGIN
    assert summary.trials[1].undecided
    assert not summary.trials[1].tied_with_best


def test_no_trial_is_faster_than_the_best_where_both_have_blocks(trial):
    """`early` has the higher median only because it has no block in the slow rounds."""
    early = trial("tf_data", [200, 190, 195])
    faster = trial("keras_pil", [210, 200, 205, 90, 95, 92, 91])
    summary = summarize([early, faster])
    assert summary.winner == 1
    assert summary.trials[0].ratio_to_best.value < 1
    assert not summary.trials[0].tied_with_best


def test_the_predicted_rate_comes_from_blocks_after_the_choice(trial):
    lucky = trial("tf_data", [120, 121, 122, 100, 101, 102], chosen_before=3)
    summary = summarize([trial("keras_pil", [99, 100, 101]), lucky])
    assert summary.winner == 1
    assert summary.predicted.value == 101
    assert summary.trials[1].images_per_second.value == 121
    assert summary.trials[1].blocks == 3


def test_the_expected_wait_share_is_of_the_blocks_of_the_predicted_rate(trial):
    one = trial("tf_data", [100, 100, 100], chosen_before=2, wait=0.5)
    lucky = [block.model_copy(update={"wait_s": [0.1]}) for block in one.blocks[:2]]
    one = one.model_copy(update={"blocks": [*lucky, *one.blocks[2:]]})
    assert expected_wait_share(one) == 0.25
    assert expected_wait_share(one.model_copy(update={"chosen_before": None})) == 0.7 / 6
    assert expected_wait_share(one.model_copy(update={"blocks": lucky})) is None


def test_the_trial_that_was_timed_again_stays_the_winner(trial):
    """Its later blocks took more memory, so it is no longer the cheapest of the ties."""
    chosen = trial("tf_data", [100, 101, 102] * 2, chosen_before=3, peak_memory_bytes=900)
    summary = summarize([trial("keras_pil", [101, 100, 102], peak_memory_bytes=500), chosen])
    assert summary.trials[0].tied_with_best
    assert summary.winner == 1


def test_without_blocks_after_the_choice_nothing_is_predicted(trial):
    trials = [trial("keras_pil", [99, 100, 101]), trial("tf_data", [120, 121, 122])]
    assert summarize(trials).predicted is None
    assert to_confirm(trials) == 1


def test_a_trial_without_rivals_needs_no_blocks_after_the_choice(trial):
    trials = [trial("tf_data", [120, 121, 122]), trial("synthetic", [200, 201, 202])]
    assert summarize(trials).predicted.value == 121
    assert to_confirm(trials) is None


def test_a_winner_that_fails_when_it_is_timed_again_does_not_win(trial):
    failed = trial("tf_data", [120, 121, 122], chosen_before=3, error="out of memory")
    summary = summarize([failed, trial("keras_pil", [99, 100, 101])])
    assert summary.winner == 1


def test_the_utilization_of_an_old_summary_is_a_number():
    old = {"loader": "tf_data", "settings": {}, "accelerator_utilization": 0.9}
    assert TrialSummary.model_validate(old).accelerator_utilization == Estimate(value=0.9)


def test_synthetic_batches_are_compared_but_never_win(trial):
    summary = summarize([trial("synthetic", [200, 200, 200]), trial("tf_data", [100, 100, 100])])
    assert summary.winner == 1
    assert summary.trials[0].ratio_to_best.value == 2
    assert not summary.trials[0].tied_with_best
    assert summary.trials[1].accelerator_utilization.value == 0.5


def test_without_a_trainer_there_is_no_utilization(trial):
    ceiling = trial("synthetic", [9e6], consumer="drain")
    summary = summarize([ceiling, trial("tf_data", [100], consumer="drain")])
    assert summary.trials[1].accelerator_utilization is None


def test_a_failed_trial_keeps_its_reason_and_never_wins(trial):
    summary = summarize([trial("tf_data", [900], error="crashed"), trial("keras_pil", [5, 5])])
    assert summary.winner == 1
    assert summary.trials[0].error == "crashed"
    assert summary.trials[0].images_per_second.value == 900


def test_without_a_measured_block_there_is_no_winner(trial):
    assert summarize([trial("tf_data", [], error="out of memory")]).winner is None


def test_fractions_and_sums_are_over_the_timed_blocks_only(trial):
    warm_up = WarmUp(start_s=3, first_batch_s=0.5, seconds=60, images=9_999)
    summary = summarize([trial("tf_data", [100] * 4, wait=0.5, cpu_s=3.0, warm_ups=[warm_up])])
    one = summary.trials[0]
    assert one.wait_share == 0.25
    assert one.cpu_cores == 1.5
    assert one.disk_read_bytes == 28
    assert one.first_batch_s == 0.5
    assert one.images_per_second.value == 100


def test_gpu_utilization_is_the_mean_over_blocks_and_gpus(trial):
    gpus = [
        Gpu(index=0, utilization=[1.0, 0.8], memory_bytes=[10, 30]),
        Gpu(index=1, utilization=[0.3], memory_bytes=[20]),
    ]
    one = summarize([trial("tf_data", [100, 100], gpus=gpus)]).trials[0]
    assert one.gpu_utilization == pytest.approx(0.7)
    assert one.gpu_memory_bytes == 30


def test_an_old_record_without_a_network_is_of_mobilenetv2(trial):
    old = trial("tf_data", [100]).model_copy(update={"recipe": {"alpha": 0.35}})
    assert consumer_text(old) == "the MobileNetV2 trainer, alpha 0.35"


def test_without_a_gpu_its_utilization_is_none(trial):
    assert summarize([trial("tf_data", [100])]).trials[0].gpu_utilization is None
