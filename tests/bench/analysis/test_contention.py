"""A busy machine is named where it may change the order of the loaders."""

import pytest

from feedbench.bench.analysis.contention import busy_text, busy_warning, other_cores
from feedbench.bench.record import Host


@pytest.fixture
def timed(trial):
    """Return a function that makes a trial that itself used one core of two."""

    def make(*in_use):
        made = trial("turbo", [100, 101, 102])
        host = Host(at_s=[1.0, 2.0], cores=dict(enumerate(in_use))) if in_use else None
        blocks = [
            block.model_copy(update={"cpu_s": block.seconds, "host": host}) for block in made.blocks
        ]
        return made.model_copy(update={"blocks": blocks})

    return make


def test_cores_of_other_programs_are_those_of_the_machine_without_its_own(timed):
    assert other_cores(timed([1.0, 1.0], [0.8, None])) == pytest.approx(0.8)


@pytest.mark.parametrize("in_use", [(), ([None, None], [0.5, 0.5])])
def test_nothing_is_known_without_a_reading_of_each_core(timed, in_use):
    assert other_cores(timed(*in_use)) is None
    assert not busy_warning([timed(*in_use)])


def test_a_quiet_machine_needs_no_warning(timed):
    assert not busy_warning([timed([1.0, 1.0], [0.1, 0.1])])


def test_the_busiest_trial_is_what_the_warning_names(timed):
    (line,) = busy_warning([timed([1.0, 1.0], [0.1, 0.1]), timed([1.0, 1.0], [0.7, 0.7])])
    assert line.startswith("Other programs used up to 0.7 of 2 cores")


def test_what_other_programs_used_is_a_phrase_for_other_sentences(timed):
    assert busy_text([timed([1.0, 1.0], [0.7, 0.7])]) == "up to 0.7 of 2 cores"
    assert busy_text([timed([1.0, 1.0], [0.1, 0.1])]) == busy_text([]) == ""


def test_what_evicts_cold_files_is_not_called_another_program(timed):
    cold = timed([1.0, 1.0], [0.7, 0.7]).model_copy(update={"cache_state": "cold"})
    assert busy_text([cold]) == ""


@pytest.mark.parametrize(
    ("cores", "in_use", "warns"),
    [(1, 0.2, False), (1, 0.3, True), (16, 0.7, False), (64, 3.0, False), (64, 3.4, True)],
)
def test_of_many_cores_a_share_counts(timed, cores, in_use, warns):
    """The trial itself uses one core; the share is that by which the best may be missed anyway."""
    load = (1 + in_use) / cores
    assert bool(busy_text([timed(*[[load, load]] * cores)])) == warns
