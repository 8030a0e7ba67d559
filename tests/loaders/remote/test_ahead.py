"""Reading ahead ends with its stream, whatever another thread asks for meanwhile."""

import threading

import pytest

from feedbench.loaders import LoaderError
from feedbench.loaders.remote import ahead
from feedbench.loaders.remote.ahead import ReadAhead

ADDRESSES = [f"s3://photos/{number}.jpg".encode() for number in range(4)]


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("feedbench-fetch")]


@pytest.mark.parametrize("has_read", [False, True], ids=["never used", "used before"])
def test_what_is_asked_for_after_closing_is_refused_and_leaves_no_thread(monkeypatch, has_read):
    monkeypatch.setattr(ahead, "read_object", lambda *_: b"bytes")
    before = threads()
    reads = ReadAhead(2)
    if has_read:
        (read,) = reads.start(ADDRESSES[:1])
        assert read.result() == b"bytes"
    reads.close()
    with pytest.raises(LoaderError, match="this stream is closed"):
        reads.start(ADDRESSES)
    assert threads() == before


def test_closing_while_another_thread_begins_reads_cancels_what_has_not_begun(monkeypatch):
    reading, closed = threading.Event(), threading.Event()

    def held(address, extent, is_closed):
        reading.set()
        closed.wait()
        return b"bytes"

    monkeypatch.setattr(ahead, "read_object", held)
    reads = ReadAhead(1)
    first, second = reads.start(ADDRESSES[:2])
    reading.wait()
    closing = threading.Thread(target=reads.close)
    closing.start()
    while not second.future.cancelled():
        pass
    with pytest.raises(LoaderError, match="this stream is closed"):
        reads.start(ADDRESSES)
    closed.set()
    closing.join()
    assert first.result() == b"bytes"
    with pytest.raises(OSError, match="reading was stopped"):
        second.result()
