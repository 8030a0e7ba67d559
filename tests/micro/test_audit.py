"""The audit compared with its decoders alone, a second audit of many files, and skipping."""

import multiprocessing
import os
from time import perf_counter

import numpy as np
from PIL import Image

from feedbench.bench.analysis.stats import median_interval
from feedbench.loaders import BatchSpec, open_loader, scan
from feedbench.loaders.audit.facts import audit
from feedbench.loaders.audit.pool import probe_all
from feedbench.loaders.audit.probe import ProbeLimits, probe
from feedbench.loaders.audit.store import Store
from feedbench.loaders.cores import usable_cores

MANY = 100_000
PAIRS = 3


def decode_all(paths):
    """Decode all files with the same decoders and nothing else, in one process."""
    import io

    import tensorflow as tf

    for path in paths:
        with open(path, "rb") as file:  # noqa: PTH123
            data = file.read()
        with Image.open(io.BytesIO(data)) as image:
            image.load()
        tf.io.decode_image(data, channels=3, expand_animations=False)


def one_thread():
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def audited_rate(paths, log):
    """Files per second from the first result to the last, without the start of the processes."""
    begin = 0.0
    for count, _ in enumerate(probe_all(enumerate(paths), ProbeLimits(), usable_cores(), log)):
        if not count:
            begin = perf_counter()
    return (len(paths) - 1) / (perf_counter() - begin)


def test_the_audit_against_its_decoders_alone(benchmark, manifest, tmp_path):
    """`ratio` of the rates on all cores for the same files; the target is at least 0.8."""
    repeat, pairs, cores = (1, 1, 1) if benchmark.disabled else (40, PAIRS, usable_cores())
    paths = manifest.paths(np.arange(len(manifest))) * repeat
    parts = [paths[part::cores] for part in range(cores)]
    ratios = []
    with multiprocessing.get_context("spawn").Pool(cores, one_thread) as pool:
        pool.map(decode_all, [part[:5] for part in parts], chunksize=1)

        def alone():
            begin = perf_counter()
            pool.map(decode_all, parts, chunksize=1)
            return len(paths) / (perf_counter() - begin)

        def all_pairs():
            for number in range(pairs):
                if number % 2:
                    decoders, rate = alone(), audited_rate(paths, tmp_path / "log")
                else:
                    rate, decoders = audited_rate(paths, tmp_path / "log"), alone()
                ratios.append(rate / decoders)

        benchmark.pedantic(all_pairs, rounds=1, iterations=1)
    benchmark.extra_info["ratio"] = median_interval(ratios).model_dump()
    assert len(ratios) == pairs


def test_a_second_audit_of_many_unchanged_files(benchmark, tmp_path):
    """Seconds for 100,000 files, listing included; the target is at most 5."""
    many = 1_000 if benchmark.disabled else MANY
    folder = tmp_path / "many" / "any"
    folder.mkdir(parents=True)
    for number in range(many):
        if number % 50_000 == 0:  # file systems allow about 65,000 links to one file
            first = folder / f"{number:06}.png"
            Image.new("RGB", (2, 2)).save(first)
        else:
            os.link(first, folder / f"{number:06}.png")
    manifest = scan(folder.parent, validation=0, test=0)
    store = Store(tmp_path / "store")
    store.begin(ProbeLimits())
    rows = []
    facts = {}
    for path, name in zip(
        manifest.paths(np.arange(many)), manifest.table["path"].to_pylist(), strict=True
    ):
        about = os.stat(path)
        if about.st_ino not in facts:
            facts[about.st_ino] = probe(path, ProbeLimits())
        rows.append({"path": name, **facts[about.st_ino]})
    with store.journal() as journal:
        for row in rows:
            journal.add(row)
    read = []

    def again():
        listed = scan(folder.parent, validation=0, test=0)
        audit(listed, store, ProbeLimits(), processes=1, start=lambda total: read.append(total))

    benchmark.pedantic(again, rounds=1, iterations=1)
    assert read == [0]


def test_what_skipping_costs_on_clean_data(benchmark, manifest):
    """`ratio` of the rates of `tf_data` with on_error "skip" and "raise"; the target is 0.99."""
    steps, pairs = (2, 1) if benchmark.disabled else (40, 11)
    spec = BatchSpec(batch_size=32)
    ratios = []
    with (
        open_loader("tf_data", manifest, spec, on_error="skip") as skipping,
        open_loader("tf_data", manifest, spec, on_error="raise") as raising,
    ):

        def rate(stream):
            for _ in range(6):  # batches that are ready in its buffers
                next(stream)
            begin = perf_counter()
            for _ in range(steps):
                next(stream)
            return steps / (perf_counter() - begin)

        def all_pairs():
            for number in range(pairs):
                first, second = (skipping, raising) if number % 2 else (raising, skipping)
                rates = {id(first): rate(first), id(second): rate(second)}
                ratios.append(rates[id(skipping)] / rates[id(raising)])

        benchmark.pedantic(all_pairs, rounds=1, iterations=1)
    benchmark.extra_info["ratio"] = median_interval(ratios).model_dump()
