"""The mistakes that two of the examples make on purpose are found in their graphs, no others."""

import runpy
from pathlib import Path

import pytest

from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.mistakes import find_mistakes
from feedbench.bench.diagnose.tf_graph.model_run import ChainNode, ModelRun
from feedbench.bench.diagnose.tf_graph.recording import recorded
from feedbench.bench.diagnose.tf_graph.stages import stages_in

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPECTED = {
    "load_img_generator": {"from_generator", "no prefetch"},
    "directory_augment": {"serial map", "no prefetch"},
    "tf_data_guide": set(),
    "two_inputs": set(),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_mistakes_are_named_with_their_line(name, photos, as_script):
    make_dataset = runpy.run_path(str(EXAMPLES / f"{name}.py"))["make_dataset"]
    with recorded() as recording:
        dataset = make_dataset(photos, batch_size=16, image_size=32)
    stages = stages_in(recording.chain(dataset))
    run = ModelRun(nodes=[ChainNode(name="Any")], images=1, seconds=1.0, cpu_s=1.0)
    found = find_mistakes(Graph(stages=stages, as_is=run, plain=run))
    mistakes = {one.name: stages[one.stage] for one in found if not one.advice}
    assert set(mistakes) == EXPECTED[name]
    lines = (EXAMPLES / f"{name}.py").read_text().splitlines()
    for mistake, call in [("serial map", ".map("), ("from_generator", ".from_generator(")]:
        if mistake in mistakes:
            assert call in lines[mistakes[mistake].line - 1]
