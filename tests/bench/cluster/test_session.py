"""What the other workers do when one is killed, stopped, fails or leaves; real processes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from namespaces import two_hosts

pytestmark = pytest.mark.beyond
MEMBER = Path(__file__).with_name("member.py")
SILENCE_S = 3


def start(path, worker, how, *before):
    """A worker, once it has met the others, unless it waits for them."""
    command = [*before, sys.executable, str(MEMBER), str(path), str(worker), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def started(path, *hows):
    workers = [start(path, worker, how) for worker, how in enumerate(hows)]
    for one in workers:
        assert one.stdout.readline() == "met\n", one.communicate()
    return workers


def ended(process):
    """The exit code and the last line of a process, which has hung if it does not end."""
    output, _ = process.communicate(timeout=180)
    return process.returncode, output.strip()


def test_a_killed_worker_ends_all_others(hosts):
    chief, second, third = started(hosts(3), "trains", "trains", "trains")
    second.kill()
    lines = [ended(one) for one in (chief, third)]
    second.communicate()
    assert [code for code, _ in lines] == [1, 1]
    assert all("error: worker 1 (127.0.0.1:" in line for _, line in lines)
    assert all("has ended or was killed" in line for _, line in lines)


def test_a_killed_chief_ends_all_workers(hosts):
    chief, *others = started(hosts(3), "trains", "trains", "trains")
    chief.kill()
    for code, line in [ended(one) for one in others]:
        assert code == 1
        assert "error: the chief (127.0.0.1:" in line
    chief.communicate()


def test_a_worker_whose_step_never_ends_is_ended_too(hosts):
    chief, other = started(hosts(), "stuck", "trains")
    other.kill()
    code, line = ended(chief)
    other.communicate()
    assert code == 1
    assert "at once: worker 1" in line


@pytest.mark.parametrize("silent", [0, 1])
def test_a_worker_that_gives_no_sign_of_life_ends_the_others(hosts, silent):
    workers = started(hosts(silence_s=SILENCE_S), "trains", "trains")
    workers[silent].send_signal(signal.SIGSTOP)
    code, line = ended(workers[1 - silent])
    assert code == 1
    assert "is lost: no sign of life for 3 s" in line
    workers[silent].send_signal(signal.SIGCONT)
    code, line = ended(workers[silent])  # it ends too, as soon as it runs again
    assert code == 1


def test_the_error_of_a_worker_is_told_to_the_others(hosts):
    chief, failing = started(hosts(), "trains", "fails")
    code, line = ended(chief)
    failing.communicate()
    assert code == 1
    assert "worker 1 (127.0.0.1:" in line
    assert "ended: this worker's disk is full" in line


def test_an_interrupted_worker_is_told_to_the_others(hosts):
    chief, other = started(hosts(), "trains", "interrupted")
    code, line = ended(chief)
    other.communicate()
    assert code == 1
    assert line.endswith("was interrupted")


def test_a_worker_that_waits_for_a_step_can_be_asked_to_stop(hosts):
    chief, waiting = started(hosts(silence_s=SILENCE_S), "trains", "asks")
    assert ended(chief)[0] == 0
    code, line = ended(waiting)
    assert (code, line) == (0, "at once: stopped")


def test_a_worker_that_has_done_its_part_ends_nobody(hosts):
    chief, leaving = started(hosts(silence_s=SILENCE_S), "trains", "leaves")
    assert ended(leaving)[0] == 0
    time.sleep(SILENCE_S + 1)  # longer than the longest silence
    assert chief.poll() is None
    chief.kill()
    chief.communicate()


def test_a_cut_network_ends_all_workers(tmp_path):
    path = tmp_path / "hosts.toml"
    with two_hosts() as hosts:
        addresses = [f"{address}:4711" for address in hosts.addresses]
        path.write_text(f"workers = {addresses}\nsilence_s = {SILENCE_S}")
        workers = [start(path, number, "trains", *hosts.on(number)) for number in range(2)]
        for one in workers:
            assert one.stdout.readline() == "met\n", one.communicate()
        hosts.cut()
        lines = [ended(one) for one in workers]
    assert [code for code, _ in lines] == [1, 1]
    assert all("is lost: no sign of life for 3 s" in line for _, line in lines)


def test_each_host_finds_itself_by_its_address(tmp_path):
    path = tmp_path / "hosts.toml"
    code = (
        "import sys; from pathlib import Path;"
        "from feedbench.bench.cluster.hosts import cluster_of;"
        f"sys.stdout.write(str(cluster_of(Path({str(path)!r}), None).worker))"
    )
    with two_hosts() as hosts:
        path.write_text(f"workers = {[f'{address}:4711' for address in hosts.addresses]}")
        for number in range(2):
            command = [*hosts.on(number), sys.executable, "-c", code]
            found = subprocess.run(command, capture_output=True, text=True, check=True)
            assert found.stdout == str(number)
