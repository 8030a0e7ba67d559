"""A bottleneck is injected into a real process, named, predicted without, and undone."""

import pytest

from feedbench.bench.selftest.battery import run_case
from feedbench.bench.selftest.case import WITHOUT, Case, WhatIf


@pytest.mark.alone
def test_reads_that_wait_are_named_and_undone(tmp_path, monkeypatch):
    """A wait of 40 ms per read dwarfs all else, however busy the machine is."""
    monkeypatch.setattr("feedbench.bench.selftest.photos._PHOTOS", 40)
    case = Case(
        name="reads that wait",
        loader="delay",
        settings={"read_s": 0.04},
        spec={"batch_size": 4, "image_size": 16},
        cause="storage",
        what_ifs=(WhatIf("faster storage", settings={"read_s": 0.01}), WhatIf(WITHOUT)),
    )
    lines = []
    result = run_case(case, tmp_path, lines.append)
    assert (result.error, result.skipped) == (None, None)
    assert result.named == "storage"
    faster, unchanged = result.checked
    assert faster.predicted == pytest.approx(4 * result.end_to_end, rel=0.3)
    assert faster.measured > 2 * result.end_to_end
    assert unchanged.predicted > unchanged.measured
    assert "what if: faster storage" in lines
