"""A diagnosis of each kind of loader measures the stages that the loader has, for real."""

import pytest

from feedbench.bench.diagnose.measure import diagnose
from feedbench.bench.diagnose.setup import Pace, Question
from feedbench.bench.diagnose.verdict import derive
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.accelerators import accelerator_of
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe

STAGES = {"storage", "decode", "transform", "assemble"}


@pytest.mark.parametrize(
    ("loader", "settings", "expected"),
    [
        ("turbo", {}, {"storage", "decode", "transform"}),
        ("turbo", {"cache": "decoded"}, {"assemble"}),
        ("packed", {"pack": "arrays"}, {"storage"}),
    ],
    ids=str,
)
@pytest.mark.usefixtures("beside_packs")
def test_a_real_diagnosis_measures_the_loaders_own_stages(
    loader, settings, expected, splits_folder, tmp_path
):
    pace = Pace(0.05, block_s=0.2, whole_s=0.2, warm_up_s=0.1, rounds=3, budget_s=60)
    question = Question(
        choice=Choice(loader=loader, settings=settings),
        spec=BatchSpec(batch_size=8, image_size=32),
        recipe=Recipe(),
        consumer="emulated:rtx3090",
        accelerator=accelerator_of("emulated:rtx3090"),
    )
    (tmp_path / "out").mkdir()
    record = diagnose(question, scan(splits_folder).only("train"), tmp_path / "out", print, pace)
    stages = [part for part in record.parts if part.name in STAGES]
    assert {part.name for part in stages} == expected
    assert [part.error for part in record.parts if part.error] == []
    assert all(part.blocks for part in record.parts)
    cold = {part.cache_state for part in record.parts} & {"cold"}
    assert not cold or (loader, settings) == ("turbo", {})
    blamed = {share.cause for share in derive(record).shares}
    assert ("decoding" in blamed) <= ("decode" in expected)


def test_what_reads_no_files_is_not_diagnosed_cold(tiny_photos, tmp_path):
    question = Question(
        choice=Choice(loader="turbo", settings={"cache": "decoded"}),
        spec=BatchSpec(batch_size=8, image_size=32),
        recipe=Recipe(),
        consumer="train",
        accelerator=None,
        cache_state="cold",
    )
    with pytest.raises(PlanError, match="with its cache full the loader reads no files"):
        diagnose(question, scan(tiny_photos).only("train"), tmp_path, print)
