"""A line of the user's with one argument changed is code that can be copied."""

import pytest

from feedbench.bench.diagnose.tf_graph.edited import Argument, variable_in, with_argument

CALLS = Argument("num_parallel_calls", 1)


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        ("return f.map(load).batch(4)", "return f.map(load, num_parallel_calls=N).batch(4)"),
        (".map(load)", ".map(load, num_parallel_calls=N)"),
        (".map(load, )  # größer", ".map(load, num_parallel_calls=N)  # größer"),
        ("x = 'ü', files.map(load, workers)", "x = 'ü', files.map(load, N)"),
        (".map(load, num_parallel_calls=None)", ".map(load, num_parallel_calls=N)"),
        ("d = files.map(lambda p: p, deterministic=False)",
         "d = files.map(lambda p: p, deterministic=False, num_parallel_calls=N)"),
        ("d = f(map(str, n)).map(load)", "d = f(map(str, n)).map(load, num_parallel_calls=N)"),
        ("d = files.map(", ""),
        ("d = files.map(one).map(two)", ""),
        ("d = files.map(*given)", ""),
        ("d = files.map(load, **options)", ""),
        ("for x in files.map(load):", ""),
        ("d = helper(files)", ""),
    ],
)  # fmt: skip
def test_the_argument_is_added_or_replaced(line, edited):
    assert with_argument(line, "map", CALLS, "N") == edited


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (".map(load, num_parallel_calls=workers)", "workers"),
        (".map(load, workers)", "workers"),
        (".map(load, num_parallel_calls=None)", ""),
        (".map(load, num_parallel_calls=self.workers)", ""),
        (".map(load)", ""),
    ],
)
def test_the_variable_that_is_passed_is_known(line, name):
    assert variable_in(line, "map", CALLS) == name
