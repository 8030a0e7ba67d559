"""The bottlenecks that the self-test injects."""

from __future__ import annotations

from typing import Final

from feedbench.bench.selftest.case import WITHOUT, Case, Injection, WhatIf

_FASTER: Final = "faster storage"
_FOUR_TIMES = 4.0  # `faster storage` predicts storage four times as fast
# Images per second of the slow storage, relative to those of the loader from memory. Four times as
# fast, the storage of workers is still their limit: whether they would wait for their own reads
# depends on how it is slow, and a control group does not delay reads below its limit.
_SLOW_READS, _SLOWER_READS, _SLOWEST_READS = 0.35, 0.1, 0.02
_HALF = {"image_size": 112}
_HEAVY = {"rotation": 30.0, "zoom": (0.7, 1.3), "contrast": 0.4, "jpeg_quality": (60, 90)}


def _throttled(reads: float, *, operations: bool = False) -> Injection:
    return Injection(reads=reads, operations=operations)


CASES = (
    Case(
        name="throttled storage, in line",
        loader="keras_pil",
        cause="storage",
        state="cold",
        injection=_throttled(_SLOW_READS),
        what_ifs=(
            WhatIf(_FASTER, injection=_throttled(_SLOW_READS * _FOUR_TIMES)),
            WhatIf("files in memory", injection=Injection(), state="warm"),
        ),
    ),
    Case(
        name="throttled storage, pipelined",
        loader="tf_data",
        settings={"num_parallel_calls": 2, "prefetch": 2},
        cause="storage",
        state="cold",
        injection=_throttled(_SLOWER_READS),
        consumer=0.8,
        what_ifs=(
            WhatIf(_FASTER, injection=_throttled(_SLOWER_READS * _FOUR_TIMES)),
            WhatIf("files in memory", injection=Injection(), state="warm"),
        ),
    ),
    Case(
        name="throttled storage, threads",
        loader="turbo",
        cause="storage",
        state="cold",
        injection=_throttled(_SLOWER_READS),
        what_ifs=(WhatIf(_FASTER, injection=_throttled(_SLOWER_READS * _FOUR_TIMES)),),
    ),
    Case(
        name="tiny files on a disk of few operations",
        loader="turbo",
        photos="tiny photos",
        spec={"image_size": 32},
        cause="storage",
        state="cold",
        injection=_throttled(_SLOWEST_READS, operations=True),
        what_ifs=(
            WhatIf(_FASTER, injection=_throttled(_SLOWEST_READS * _FOUR_TIMES, operations=True)),
        ),
    ),
    Case(
        name="storage of high latency",
        loader="delay",
        settings={"read_s": 0.016, "decode_s": 0.001, "workers": 2},
        cause="storage",
        what_ifs=(
            WhatIf(_FASTER, settings={"read_s": 0.004}),
            WhatIf(WITHOUT, settings={"read_s": 0.0}),
        ),
    ),
    Case(
        name="one core",
        loader="turbo",
        cause="decoding",
        injection=Injection(cores=1),
        what_ifs=(WhatIf("twice the cores", injection=Injection(cores=2)),),
    ),
    Case(
        name="a pack of JPEGs on one core",
        loader="packed",
        pack="jpeg",
        cause="decoding",
        injection=Injection(cores=1),
        what_ifs=(WhatIf("twice the cores", injection=Injection(cores=2)),),
    ),
    Case(
        name="large photos, in line",
        loader="keras_pil",
        photos="large photos",
        cause="decoding",
        consumer=2.0,
        what_ifs=(
            WhatIf("decoded images in memory", loader="turbo", settings={"cache": "decoded"}),
        ),
    ),
    Case(
        name="large photos, Keras' own pipeline",
        loader="keras_directory",
        photos="large photos",
        cause="decoding",
        what_ifs=(WhatIf("another image size", spec=_HALF),),
    ),
    Case(
        name="slow decoding without the lock",
        loader="delay",
        settings={"decode_s": 0.008, "workers": 2},
        cause="decoding",
        consumer=2.0,
        what_ifs=(WhatIf(WITHOUT, settings={"decode_s": 0.0}),),
    ),
    Case(
        name="heavy augmentation, threads",
        loader="turbo",
        spec={"image_size": 448, "augment": _HEAVY},
        cause="transform",
        what_ifs=(WhatIf("another image size", spec={"image_size": 224}),),
    ),
    Case(
        name="heavy augmentation, pipelined",
        loader="tf_data",
        spec={"image_size": 448, "augment": _HEAVY},
        cause="transform",
        what_ifs=(WhatIf("another image size", spec={"image_size": 224}),),
    ),
    Case(
        name="heavy augmentation, in line",
        loader="keras_pil",
        spec={"image_size": 448, "augment": _HEAVY},
        cause="transform",
        what_ifs=(WhatIf("another image size", spec={"image_size": 224}),),
    ),
    Case(
        name="threads that hold Python's lock",
        loader="delay",
        settings={"locked_s": 0.008, "decode_s": 0.001, "workers": 2},
        cause="Python",
        what_ifs=(WhatIf(WITHOUT, settings={"locked_s": 0.0}),),
    ),
    Case(
        name="a slow batch copy",
        loader="delay",
        settings={"copy_s": 0.008, "decode_s": 0.001},
        cause="batch copy",
        what_ifs=(WhatIf(WITHOUT, settings={"copy_s": 0.0}),),
    ),
    Case(
        name="a full cache and a fast accelerator",
        loader="tf_data",
        settings={"cache": "decoded", "num_parallel_calls": 2, "prefetch": 2},
        cause="batch copy",
    ),
    Case(
        name="a slow consumer",
        loader="turbo",
        cause="accelerator",
        consumer=0.3,
        what_ifs=(WhatIf("one more accelerator", accelerators=2),),
    ),
    Case(
        name="cores shared with the trainer",
        loader="turbo",
        spec={"image_size": 64},
        cause="interference",
        injection=Injection(cores=1),  # on several, the trainer may leave one to the loader
        consumer=None,
        what_ifs=(WhatIf("decoded images in memory", settings={"cache": "decoded"}),),
    ),
)
