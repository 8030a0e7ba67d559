"""The environment names the machine and the versions; cores can be restricted."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from feedbench.bench.environment import began_at, environment, machine, restrict_cores, written_at
from feedbench.bench.errors import PlanError
from feedbench.bench.quantities import quantity

needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the system cannot restrict cores"
)


def test_the_environment_has_no_name_of_a_host_or_user():
    facts = environment()
    assert facts["cores"] >= 1
    assert 0 < facts["available_memory_bytes"] <= facts["memory_bytes"]
    assert facts["packages"]["numpy"]
    assert os.uname().nodename not in str(facts).split()


def test_other_libraries_are_named_only_where_they_are_installed(monkeypatch):
    monkeypatch.setattr("feedbench.bench.environment._OPTIONAL", ("pytest", "no-such-package"))
    packages = environment()["packages"]
    assert packages["pytest"]
    assert "no-such-package" not in packages


@pytest.mark.parametrize(
    ("named", "written", "expected"),
    [
        ("torch", {"backend": "jax"}, "torch"),
        (None, {"backend": "jax"}, "jax"),
        (None, {"floatx": "float32"}, "tensorflow"),
        (None, [], "tensorflow"),
    ],
)
def test_the_backend_is_the_one_that_keras_takes(tmp_path, monkeypatch, named, written, expected):
    (tmp_path / "keras.json").write_text(json.dumps(written))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if named is None:
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
    else:
        monkeypatch.setenv("KERAS_BACKEND", named)
    assert environment()["keras_backend"] == expected


def test_the_machine_is_the_part_that_rates_depend_on():
    facts = environment()
    assert machine(facts) == {name: facts[name] for name in ("processor", "cores", "gpus")}


def test_the_date_of_a_record_is_when_its_run_began(tmp_path):
    begun = datetime.now(UTC)
    record = tmp_path / "training.json"
    record.write_text(json.dumps({"environment": environment()}))
    assert abs(began_at(record) - begun) < timedelta(hours=1)
    created = "2026-01-02T03:04:05+00:00"
    (tmp_path / "environment.json").write_text(json.dumps({"created": created}))
    for name in ("training.json", "trials.jsonl"):
        (tmp_path / name).touch()
        assert began_at(tmp_path / name).isoformat() == created


@pytest.mark.parametrize("text", ["{}", "[]", "7", "no JSON", '{"created": "yesterday"}'])
def test_a_record_that_does_not_say_it_has_only_the_date_of_its_file(tmp_path, text):
    record = tmp_path / "record.json"
    for path in (record, tmp_path / "environment.json"):
        path.write_text(text)
    os.utime(record, (1e9, 1e9))
    assert began_at(record) is None
    assert written_at(record).timestamp() == 1e9


@needs_affinity
def test_more_cores_than_available_are_refused():
    count = len(os.sched_getaffinity(0))
    with pytest.raises(PlanError, match=f"may use only {quantity(count, 'core')}; give fewer"):
        restrict_cores(count + 1)


@needs_affinity
def test_child_processes_run_on_the_restricted_cores_too():
    code = (
        "import os, subprocess, sys\n"
        "from feedbench.bench.environment import restrict_cores\n"
        "restrict_cores(1)\n"
        "child = 'import os; print(len(os.sched_getaffinity(0)))'\n"
        "subprocess.run([sys.executable, '-c', child], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
