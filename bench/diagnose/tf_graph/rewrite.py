"""Rewrites one stage of a user's dataset, where tf.data's API allows it without their code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from feedbench.bench.diagnose.tf_graph.recording import Call, rebuilt
from feedbench.bench.diagnose.tf_graph.stages import BATCHES

Chain = Sequence[Call]
_Rewrite = Callable[[list[Call], int], list[Call]]


def rewrites(name: str) -> bool:
    """Whether a mistake of this name can be undone without the user's code."""
    return name in _REWRITES


def rewritten(chain: Chain, name: str, stage: int) -> Any:
    """Return the dataset without a mistake.

    Args:
        chain: the calls that built it.
        name: of the mistake, for which `rewrites` is true.
        stage: index of its call in the chain.
    """
    return rebuilt(_REWRITES[name](list(chain), stage))


def _appended(chain: list[Call], stage: int) -> list[Call]:
    import tensorflow as tf

    last = chain[stage]
    return [*chain, Call("prefetch", None, {"buffer_size": tf.data.AUTOTUNE}, last.place, None)]


def _with(**arguments: Any) -> _Rewrite:
    def change(chain: list[Call], stage: int) -> list[Call]:
        chain[stage] = _changed(chain[stage], **arguments)
        return chain

    return change


def _changed(call: Call, **arguments: Any) -> Call:
    return replace(call, arguments={**call.arguments, **arguments})


def _whole_shuffle(chain: list[Call], stage: int) -> list[Call]:
    size = int(chain[stage - 1].dataset.cardinality())
    return _with(buffer_size=size)(chain, stage)


def _shuffle_first(chain: list[Call], stage: int) -> list[Call]:
    """Move a shuffle before the batch, with as many images in its buffer."""
    batch = _last(chain[:stage], BATCHES)
    size = int(chain[batch].arguments["batch_size"]) * int(chain[stage].arguments["buffer_size"])
    shuffle = _changed(chain.pop(stage), buffer_size=size)
    chain.insert(batch, shuffle)
    return chain


def _repeat_last(chain: list[Call], stage: int) -> list[Call]:
    repeat = chain.pop(_last(chain[:stage], ("repeat",)))
    chain.insert(stage, repeat)
    return chain


def _cache_first(chain: list[Call], stage: int) -> list[Call]:
    """Move a cache before the first random function."""
    from feedbench.bench.diagnose.tf_graph.functions import facts_of

    cache = chain.pop(stage)
    first = next(
        number
        for number, call in enumerate(chain)
        if call.method == "map" and facts_of(call.dataset).random
    )
    chain.insert(first, cache)
    return chain


def _batch_first(chain: list[Call], stage: int) -> list[Call]:
    chain[stage], chain[stage + 1] = chain[stage + 1], chain[stage]
    return chain


def _with_cache(chain: list[Call], stage: int) -> list[Call]:
    chain.insert(stage + 1, Call("cache", None, {}, chain[stage].place, None))
    return chain


def _last(chain: list[Call], methods: Sequence[str]) -> int:
    return max(number for number, call in enumerate(chain) if call.method in methods)


_AUTOTUNE = -1  # tf.data.AUTOTUNE
_REWRITES: dict[str, _Rewrite] = {
    "no prefetch": _appended,
    "serial map": _with(num_parallel_calls=_AUTOTUNE),
    "serial interleave": _with(num_parallel_calls=_AUTOTUNE),
    "deterministic": _with(deterministic=False),
    "small shuffle buffer": _whole_shuffle,
    "shuffle after batch": _shuffle_first,
    "repeat before shuffle": _repeat_last,
    "cache after random augmentation": _cache_first,
    "map before batch": _batch_first,
    "no cache": _with_cache,
}
