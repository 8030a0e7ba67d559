"""Which of a user's settings says how many calls a stage makes at a time."""

from __future__ import annotations

from feedbench.bench.diagnose.tf_graph.edited import Argument, variable_in
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.stages import GraphStage
from feedbench.loaders import Loader, Settings, short_name

_CALLS = "num_parallel_calls"
_PARALLEL = {
    "map": Argument(_CALLS, 1),
    "interleave": Argument(_CALLS, 3),
    "TFRecordDataset": Argument("num_parallel_reads", 3),
}


def parallel_argument(method: str) -> Argument:
    """Return the argument of a method that says how many calls it makes at a time."""
    return _PARALLEL[method.removesuffix("V2")]


def with_settings(graph: Graph, loader: Loader, settings: Settings) -> Graph:
    """Return the graph of a user's function with the settings that its stages pass.

    Args:
        settings: of the function. Only one that is None now is what a stage without parallel calls
            passes: a variable of the same name may be another.
    """
    unset = {name for name, value in settings if value is None}
    stages = [_with_setting(stage, unset, short_name(loader.name)) for stage in graph.stages]
    return graph.model_copy(update={"stages": stages})


def _with_setting(stage: GraphStage, unset: set[str], function: str) -> GraphStage:
    if not stage.parallel_none or stage.method.removesuffix("V2") not in _PARALLEL:
        return stage
    name = variable_in(stage.text, stage.method, parallel_argument(stage.method))
    return stage.model_copy(update={"setting": f"{function}.{name}"}) if name in unset else stage
