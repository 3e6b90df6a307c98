"""How many processes `auto` is: as many as this process has processors."""

import os
from pathlib import Path

import pytest

from ramify.cpus import count_cpus
from ramify.settings import Settings

HERE = count_cpus(Path("/nowhere"))


def put(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(("quota", "n"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", HERE)])
def test_a_container_counts_its_share(tmp_path: Path, quota: str, n: int) -> None:
    """The quota of a control group counts, rounded up; without one, the processors do."""
    put(tmp_path / "proc/self/cgroup", "0::/\n")
    put(tmp_path / "sys/fs/cgroup/cpu.max", quota + "\n")

    assert n == count_cpus(tmp_path)


@pytest.mark.skipif(HERE < 2, reason="one processor is the least anyway")
def test_the_narrowest_group_counts(tmp_path: Path) -> None:
    """Each group around a process may have a quota, and a unit of systemd stands in several."""
    put(tmp_path / "proc/self/cgroup", "0::/system.slice/shop.service\n")
    put(tmp_path / "sys/fs/cgroup/system.slice/shop.service/cpu.max", "max 100000\n")
    put(tmp_path / "sys/fs/cgroup/system.slice/cpu.max", "80000 100000\n")

    assert 1 == count_cpus(tmp_path)


@pytest.mark.skipif(HERE < 2, reason="one processor is the least anyway")
@pytest.mark.parametrize(("quota", "n"), [("100000", 1), ("-1", HERE)])
def test_groups_of_the_first_version(tmp_path: Path, quota: str, n: int) -> None:
    """Quotas of the first version of control groups count, too."""
    put(tmp_path / "proc/self/cgroup", "4:memory:/jobs\n1:cpu,cpuacct:/jobs\n0::/\n")
    put(tmp_path / "sys/fs/cgroup/cpu/jobs/cpu.cfs_quota_us", quota)
    put(tmp_path / "sys/fs/cgroup/cpu/jobs/cpu.cfs_period_us", "100000")

    assert n == count_cpus(tmp_path)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or HERE < 2, reason="there is nothing to take away here")
def test_affinity_counts() -> None:
    """A process that may run on one processor has one; `auto` says so."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert (1, 1) == (count_cpus(), Settings().count_children())
    finally:
        os.sched_setaffinity(0, allowed)
