"""The environment names the machine and the versions; cores can be restricted."""

import os
import subprocess
import sys

import pytest

from feedbench.bench.environment import environment, machine, restrict_cores
from feedbench.bench.errors import PlanError

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


def test_the_machine_is_the_part_that_rates_depend_on():
    facts = environment()
    assert machine(facts) == {name: facts[name] for name in ("processor", "cores", "gpus")}


@needs_affinity
def test_more_cores_than_available_are_refused():
    count = len(os.sched_getaffinity(0))
    with pytest.raises(PlanError, match=f"may use only {count} cores; give fewer"):
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
