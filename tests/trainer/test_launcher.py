"""Steps are launched from threads, so that a GPU never waits for the host."""

import threading
from concurrent.futures import wait

import pytest

from feedbench.trainer.launcher import Launcher

LIMIT_S = 120  # of patience


class Gpu:
    """One queue, as TensorFlow has it: copies and reads wait for the steps launched before."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.seen = threading.Condition()
        self.ended: list[threading.Event] = []
        self.launched: list[int] = []

    def tell(self, event: str) -> None:
        with self.seen:
            self.events.append(event)
            self.seen.notify_all()

    def until(self, event: str) -> None:
        with self.seen:
            assert self.seen.wait_for(lambda: event in self.events, LIMIT_S), (event, self.events)

    def place(self, batch: int) -> int:
        waits_for = list(self.launched)
        self.tell(f"copy of {batch} asked")
        for number in waits_for:
            assert self.ended[number].wait(LIMIT_S)
        self.tell(f"{batch} copied")
        return batch

    def launch(self, batch: int) -> int:
        self.ended.append(threading.Event())
        self.launched.append(batch)
        self.tell(f"{batch} launched")
        if batch == 99:
            raise MemoryError("no room")
        return batch

    def read(self, batch: int) -> dict[str, float]:
        assert self.ended[batch].wait(LIMIT_S)
        return {"loss": float(batch)}


@pytest.fixture
def gpu():
    return Gpu()


@pytest.fixture
def launching(gpu):
    return Launcher(gpu.place, gpu.launch, gpu.read)


def test_a_step_is_launched_and_the_next_batch_copied_while_one_runs(gpu, launching):
    logs = [launching.submit(batch) for batch in (0, 1)]
    gpu.until("0 launched")
    gpu.ended[0].set()  # for which the copy of 1 may have waited
    gpu.until("1 launched")
    logs += [launching.submit(batch) for batch in (2, 3)]
    gpu.until("copy of 2 asked")
    gpu.ended[1].set()  # the copy of 2 waited for step 1, and for no later one
    gpu.until("2 launched")
    for number in (2, 3):
        gpu.until(f"{number} launched")
        gpu.ended[number].set()
    assert [one.result(LIMIT_S)["loss"] for one in logs] == [0, 1, 2, 3]
    assert gpu.launched == [0, 1, 2, 3]


def test_a_third_step_waits_until_the_first_has_ended(gpu):
    device = Launcher(lambda batch: batch, gpu.launch, gpu.read)  # copies take no time
    logs = [device.submit(batch) for batch in range(3)]
    gpu.until("1 launched")
    assert gpu.launched == [0, 1]
    gpu.ended[0].set()
    gpu.until("2 launched")
    gpu.ended[1].set()
    gpu.ended[2].set()
    assert not wait(logs, LIMIT_S).not_done


def test_no_step_follows_one_that_failed(gpu):
    device = Launcher(lambda batch: batch, gpu.launch, gpu.read)
    logs = [device.submit(batch) for batch in (0, 99, 2, 3)]
    gpu.until("99 launched")
    gpu.ended[0].set()
    gpu.until("2 launched")  # nobody knew of the error yet
    gpu.ended[2].set()
    for failed in (logs[1], logs[3]):
        with pytest.raises(MemoryError, match="no room"):
            failed.result(LIMIT_S)
    assert gpu.launched == [0, 99, 2]
