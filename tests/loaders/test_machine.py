"""Cores and memory that a container or a scheduler allows."""

import os

import psutil
import pytest

from feedbench.loaders import available_memory, control_groups, usable_cores

MB = 2**20


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Makes the control groups of this process: the lines of its membership, and their files."""

    def make(membership, files):
        (tmp_path / "membership").write_text("\n".join(membership) + "\n")
        monkeypatch.setattr(control_groups, "MEMBERSHIP", tmp_path / "membership")
        monkeypatch.setattr(control_groups, "ROOT", tmp_path / "groups")
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return make


def test_there_is_a_plausible_amount_of_memory_and_a_core():
    assert 0 < available_memory() <= psutil.virtual_memory().total
    assert 1 <= usable_cores() <= os.cpu_count()


def test_files_in_the_page_cache_of_a_group_are_available(groups):
    groups(
        ["0::/"],
        {
            "memory.max": str(100 * MB),
            "memory.current": str(99 * MB),
            "memory.stat": f"anon {9 * MB}\ninactive_file {80 * MB}\nactive_file {10 * MB}\n",
        },
    )
    assert available_memory() == 81 * MB


def test_the_tightest_of_nested_groups_counts(groups):
    groups(
        ["0::/slurm/job/step"],
        {
            "slurm/job/step/memory.max": "max",
            "slurm/job/step/memory.current": str(MB),
            "slurm/job/memory.max": str(50 * MB),
            "slurm/job/memory.current": str(20 * MB),
            "slurm/memory.max": str(900 * MB),
            "slurm/memory.current": str(100 * MB),
            "slurm/job/cpu.max": "150000 100000",
            "slurm/cpu.max": "max 100000",
        },
    )
    assert available_memory() == 30 * MB
    assert usable_cores() == min(2, len(os.sched_getaffinity(0)))


def test_groups_of_version_1_count_too(groups):
    groups(
        ["4:memory:/docker/abc", "3:cpu,cpuacct:/docker/abc", "0::/"],
        {
            "memory/docker/abc/memory.limit_in_bytes": str(60 * MB),
            "memory/docker/abc/memory.usage_in_bytes": str(50 * MB),
            "memory/docker/abc/memory.stat": f"cache {30 * MB}\ntotal_inactive_file {20 * MB}\n",
            "memory/memory.limit_in_bytes": str(2**62),
            "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "50000",
            "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
        },
    )
    assert available_memory() == 30 * MB
    assert usable_cores() == 1


def test_a_group_that_a_container_does_not_see_is_sought_at_the_mount(groups):
    groups(
        ["4:memory:/docker/abc"],
        {"memory/memory.limit_in_bytes": str(60 * MB), "memory/memory.usage_in_bytes": str(MB)},
    )
    assert available_memory() == 59 * MB


@pytest.mark.parametrize("text", ["", "nonsense", "0::"])
def test_without_groups_there_is_no_limit(groups, text):
    groups([text] if text else [], {})
    assert available_memory() > 0
    assert usable_cores() == len(os.sched_getaffinity(0))


def test_a_full_group_has_nothing_left(groups):
    groups(["0::/"], {"memory.max": str(MB), "memory.current": str(2 * MB)})
    assert available_memory() == 0
