"""The audit resumes, reads only changed files, and survives what it reads."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from PIL import Image

from feedbench.loaders import LOADERS, SourceError, WorkerError, scan
from feedbench.loaders.audit import store as store_module
from feedbench.loaders.audit.facts import attach, audit
from feedbench.loaders.audit.pool import probe_all
from feedbench.loaders.audit.probe import ProbeLimits, probe
from feedbench.loaders.audit.store import Journal, Store
from feedbench.loaders.audit.verdict import verdicts
from feedbench.loaders.images import jxl
from feedbench.loaders.selection import bad_rows, blacklist_of, usable, with_blacklist


def audited(source, folder, limits=None):
    """The audited manifest, and how many files were read for it."""
    read = []

    def start(total):
        return read.append

    manifest = scan(source, validation=0, test=0)
    return audit(manifest, Store(folder), limits or ProbeLimits(), processes=2, start=start), sum(
        read
    )


@pytest.fixture
def photos(class_folder, tmp_path):
    return shutil.copytree(class_folder, tmp_path / "photos")


@pytest.fixture(scope="module")
def first_audit(class_folder, tmp_path_factory):
    """An audit of the photos, which every file was read for, and its store."""
    store = tmp_path_factory.mktemp("audit") / "store"
    manifest, read = audited(class_folder, store)
    assert read == len(manifest) == 45
    return manifest, store


@pytest.fixture
def store(first_audit, tmp_path):
    """The store of an audit of the photos."""
    return shutil.copytree(first_audit[1], tmp_path / "store")


@pytest.fixture(scope="module")
def zoo_audit(zoo, tmp_path_factory):
    return audited(zoo.root, tmp_path_factory.mktemp("zoo-audit") / "store")[0]


def test_a_second_audit_reads_only_what_changed(photos, first_audit, store):
    again, read = audited(photos, store)
    assert read == 0
    assert again.table.equals(first_audit[0].table)
    (photos / "ant" / "03.jpg").write_bytes(b"text")
    (photos / "ant" / "new.jpg").write_bytes((photos / "ant" / "04.jpg").read_bytes())
    (photos / "bee" / "05.jpg").unlink()
    changed, read = audited(photos, store)
    assert read == 2
    assert len(changed) == 45
    assert [line["path"] for line in bad_rows(changed).to_pylist()] == [b"ant/03.jpg"]


def test_higher_limits_read_only_refused_files_again(photos, tmp_path):
    small, read = audited(photos, tmp_path / "store", ProbeLimits(pixels=20_000))
    refused = len(bad_rows(small))
    assert 0 < refused < 45
    assert "more than the limit of 20,000" in bad_rows(small)["reason"][0].as_py()
    whole, read = audited(photos, tmp_path / "store")
    assert read == refused
    assert not len(bad_rows(whole))


def test_a_killed_audit_resumes_and_ends_like_an_uninterrupted_one(photos, tmp_path):
    for copy in range(12):
        shutil.copytree(photos / "bee", photos / "cat" / f"more{copy}")
    code = (
        "import itertools, sys, time\n"
        "from pathlib import Path\n"
        "from feedbench.loaders import scan\n"
        "from feedbench.loaders.audit.facts import audit\n"
        "from feedbench.loaders.audit.store import Store\n"
        "from feedbench.loaders.audit.probe import ProbeLimits\n"
        "read = itertools.count(1)\n"
        "def advance(count):\n"
        "    print(count, flush=True)\n"
        "    # After a second, what is known is written; then it is killed.\n"
        "    time.sleep({50: 1.1, 100: 600}.get(next(read), 0))\n"
        "audit(scan(sys.argv[1], validation=0, test=0), Store(Path(sys.argv[2])), ProbeLimits(),\n"
        "      processes=2, start=lambda total: advance)\n"
    )
    store = tmp_path / "killed"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(photos), str(store)], stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        children = psutil.Process(process.pid).children(recursive=True)
        deadline = time.monotonic() + 60
        while not Store(store).facts().num_rows:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    known = Store(store).facts().num_rows
    assert 0 < known < 225
    psutil.wait_procs(children, timeout=120)
    assert not any(child.is_running() for child in children)
    resumed, read = audited(photos, store)
    assert read == 225 - known
    undisturbed, _ = audited(photos, tmp_path / "undisturbed")
    assert resumed.table.equals(undisturbed.table)


def test_two_audits_at_once_keep_what_each_other_found(first_audit, tmp_path):
    whole, _ = first_audit
    rows = whole.table.drop_columns(["label", "split"]).to_pylist()
    one, other = Store(tmp_path / "both"), Store(tmp_path / "both")
    one.begin(ProbeLimits())
    other.begin(ProbeLimits())
    with one.journal() as running:
        running.add(rows[0])
        with other.journal() as ended:
            ended.add(rows[1])
        other.keep_only(whole.table["path"])
        running.add(rows[2])
    one.keep_only(whole.table["path"])
    known = set(one.facts()["path"].to_pylist())
    assert known == {row["path"] for row in rows[:3]}
    assert not list(one.folder.glob("journal-*"))
    assert not list(one.folder.glob(".part.*"))


def test_facts_of_another_probe_are_found_again(photos, store, monkeypatch):
    assert Store(store).facts().num_rows
    monkeypatch.setattr(store_module, "PROBE_VERSION", "0")
    assert not Store(store).facts().num_rows
    _, read = audited(photos, store)
    assert read == 45


def test_a_file_that_many_rows_name_is_read_once(photos, tmp_path):
    table = tmp_path / "list.csv"
    lines = [f"photos/ant/0{number % 3}.jpg,ant" for number in range(300)]
    table.write_text("\n".join(["path,label", *lines]))
    manifest, read = audited(table, tmp_path / "store")
    assert read == 3
    assert len(manifest) == 300
    assert manifest.table["bytes"].null_count == 0
    assert audited(table, tmp_path / "store")[1] == 0


def test_the_longest_names_and_paths_are_read(tmp_path):
    root = tmp_path / "photos"
    folder = root / "any"
    while len(str(folder)) < 3_500:
        folder /= "\x01" * 250
    folder.mkdir(parents=True)
    for number in range(40):
        name = str(number).rjust(3, "0") + "\u00e9" * 120 + ".png"  # 247 bytes
        Image.new("RGB", (2, 2)).save(folder / name, "PNG")
    manifest, read = audited(root, tmp_path / "store")
    assert read == 40
    assert manifest.table["width"].to_pylist() == [2] * 40


def test_a_disk_that_takes_no_more_is_named(photos, tmp_path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "import pyarrow as pa\n"
        "from feedbench.loaders import SourceError, scan\n"
        "from feedbench.loaders.audit import ProbeLimits, Store\n"
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store = Store(Path(sys.argv[2]))\n"
        "store.begin(ProbeLimits())\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "paths = scan(sys.argv[1]).table['path']\n"
        "try: store.keep_only(paths)\n"
        "except SourceError as error: print(error)\n"
        "try:\n"
        "    with store.journal() as journal: journal.add({'path': b'a' * 500})\n"
        "except SourceError as error: print(error)\n"
    )
    store = tmp_path / "store"
    command = [sys.executable, "-c", code, str(photos), str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    line = f"{store}: cannot write the audit: File too large; set FEEDBENCH_CACHE to another folder"
    assert done.stdout.splitlines() == [line, line]


def test_the_torn_end_of_a_journal_is_ignored(first_audit, tmp_path):
    whole, _ = first_audit
    store = Store(tmp_path / "torn")
    store.begin(ProbeLimits())
    rows = whole.table.drop_columns(["label", "split"]).to_pylist()
    with store.journal() as journal:
        for row in rows[:10]:
            journal.add(row)
    path = next(store.folder.glob("journal-*"))
    path.write_bytes(path.read_bytes()[:-40] + b"torn")
    with store.journal() as journal:
        journal.add(rows[20])
    assert store.facts().num_rows in (1, 11)
    with pytest.raises(FileExistsError):
        Journal(path)


def files(folder):
    paths = sorted(os.fsencode(path) for path in Path(folder).rglob("*.jpg"))
    return list(enumerate(paths))


def master():
    """The process that forks those that decode."""
    leaders = [one for one in psutil.Process().children() if os.getsid(one.pid) == one.pid]
    return max(leaders, key=psutil.Process.create_time)  # others may be of other tests


def forks(count):
    """The processes that decode, once there are `count`."""
    deadline = time.monotonic() + 60
    while True:
        children = master().children()
        if len(children) == count:
            return children
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_decoder_that_crashes_costs_one_file(photos, tmp_path):
    all_files = files(photos)
    results = {}
    for number, facts in probe_all(iter(all_files), ProbeLimits(), 1, tmp_path / "log"):
        results[number] = facts
        if len(results) == 10:
            os.kill(forks(1)[0].pid, signal.SIGSEGV)
    assert sorted(results) == [number for number, _ in all_files]
    lost = [facts for facts in results.values() if facts["pillow"]]
    assert len(lost) <= 1  # none, if it died between two files
    assert all("crashed on it (SIGSEGV)" in facts["tensorflow"] for facts in lost)


def with_many_scans(side, scans):
    """A progressive JPEG whose last scan comes many times; each takes as long as an image."""
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "jpeg", progressive=True)
    data, end = file.getvalue()[:-2], file.getvalue()[-2:]
    return data + scans * data[data.rfind(b"\xff\xda") :] + end


def test_a_file_that_takes_too_long_costs_only_itself(photos, tmp_path):
    slow = tmp_path / "slow"  # takes minutes, where the others take milliseconds
    slow.write_bytes(with_many_scans(4_000, scans=5_000))
    all_files = [*files(photos), (99, os.fsencode(slow)), (100, b"/no/such")]
    limits = ProbeLimits(seconds=2)
    results = dict(probe_all(iter(all_files), limits, 1, tmp_path / "log"))
    assert sorted(results) == [number for number, _ in all_files]
    reasons = {number: facts["pillow"] for number, facts in results.items() if facts["pillow"]}
    assert reasons == {
        99: "refused: not done within the limit of 2 s",
        100: "No such file or directory",
    }


def test_processes_that_fail_to_start_are_an_error(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(SourceError, match="processes ended with exit code 1; see"):
        list(probe_all(iter(files(photos)), ProbeLimits(), 1, tmp_path / "log"))


def test_a_killed_audit_says_so_and_that_nothing_is_lost(photos, tmp_path):
    slow = tmp_path / "slow"  # else all could be done before the signal
    slow.write_bytes(with_many_scans(4_000, scans=5_000))
    all_files = [*files(photos), (99, os.fsencode(slow))]
    results = probe_all(iter(all_files), ProbeLimits(), 1, tmp_path / "log")
    next(results)
    os.kill(master().pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match=r"ended by SIGKILL.*saved; repeat the command"):
        list(results)


def test_an_abandoned_audit_leaves_no_processes(photos, tmp_path):
    results = probe_all(iter(files(photos)), ProbeLimits(), 2, tmp_path / "log")
    next(results)
    left = forks(2)
    results.close()
    psutil.wait_procs(left, timeout=120)
    assert not any(process.is_running() for process in left)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without permission")
def test_a_file_without_permission_is_named(photos, tmp_path):
    locked = photos / "bee" / "02.jpg"
    locked.chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder.is_relative_to(tmp_path.parents[1]):
            folder.chmod(0o755)
    code = (
        "import os, sys\n"
        "from feedbench.loaders.audit.probe import ProbeLimits, probe\n"
        "os.setuid(65534)\n"
        "print(probe(os.fsencode(sys.argv[1]), ProbeLimits())['tensorflow'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(locked)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "Permission denied\n"


def test_the_size_of_a_jpeg_xl_is_in_its_header():
    assert jxl.size(bytes.fromhex("ff0ae8301009080001006509")) == (40, 30)
    # Not small: height by 30 bits, no ratio, width by 30 bits.
    bits = 0 | (3 << 1) | ((99_999) << 3) | (0 << 33) | (3 << 36) | ((49_999) << 38)
    assert jxl.size(b"\xff\x0a" + bits.to_bytes(12, "little")) == (50_000, 100_000)
    assert jxl.size(b"\xff\x0a\x00") is None


def test_a_blacklist_overrides_the_audit(zoo_audit, tmp_path):
    manifest = zoo_audit
    path = tmp_path / "blacklist.csv"
    text = blacklist_of(bad_rows(manifest)).replace("any/empty.jpg,no", "any/empty.jpg,yes")
    path.write_text(text + "any/rgb.png,no,ugly\n", errors="surrogateescape")
    with_rules = with_blacklist(manifest, path)
    kept, left_out = usable(with_rules, [("pillow",), ("pillow", "tensorflow")])
    names = kept.table["path"].to_pylist()
    assert b"any/empty.jpg" in names
    assert b"any/rgb.png" not in names
    assert b"any/half.jpg" not in names
    reasons = {line["path"]: line["reason"] for line in left_out.to_pylist()}
    assert reasons[b"any/rgb.png"] == "blacklist: ugly"
    with_rules.write(tmp_path / "m.parquet")
    assert len(usable(scan(tmp_path / "m.parquet"), [("pillow",)])[0]) >= len(kept)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,use\nant/99.jpg,no\n", "no image 'ant/99.jpg'"),
        ("path,use\nant/00.jpg,maybe\n", "row 1: use must be yes or no, got 'maybe'"),
        ("file,keep\n", "must be a CSV of path,use,reason"),
    ],
)
def test_an_invalid_blacklist_is_named(photos, tmp_path, text, message):
    path = tmp_path / "b.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=message) as raised:
        with_blacklist(scan(photos), path)
    assert "b.csv" in str(raised.value)


def test_a_rule_of_a_blacklist_is_for_each_row_of_its_file(photos, tmp_path):
    (photos / "twice.csv").write_text(
        "path,label\nant/00.jpg,ant\nant/01.jpg,ant\nant/00.jpg,bee\nbee/00.jpg,bee\n"
    )
    path = tmp_path / "b.csv"
    path.write_text("path,use\nant/00.jpg,no\n")
    kept, left_out = usable(with_blacklist(scan(photos / "twice.csv"), path), [("pillow",)])
    assert sorted(kept.table["path"].to_pylist()) == [b"ant/01.jpg", b"bee/00.jpg"]
    assert left_out["path"].to_pylist() == [b"ant/00.jpg"] * 2


def test_a_blacklist_needs_no_audit(photos, tmp_path):
    path = tmp_path / "b.csv"
    path.write_text("path,use,reason\nant/00.jpg,no,\n")
    kept, left_out = usable(with_blacklist(scan(photos), path), [("pillow",)])
    assert len(kept) == 44
    assert left_out["reason"].to_pylist() == ["blacklist: no reason given"]


def test_verdicts_count_what_each_librarys_call_does(zoo, zoo_audit):
    found = verdicts(zoo_audit, LOADERS.values())
    assert found["keras_pil"].drops == found["tf_data"].drops == 0
    # .webp, .tiff, .avif, .jxl, .pic and a file without extension
    assert found["keras_directory"].drops == 18
    assert found["keras_pil"].left_out > found["tf_data"].left_out
    assert found["tf_data"].left_out == len(zoo.bad) + len(zoo.sloppy)
    turned, transparent, deep = len(zoo.upright), 7, 3
    assert found["keras_pil"].alters == turned + transparent + deep
    assert found["tf_data"].fails > found["tf_data"].left_out
    # A loader that stands for no library's call is judged by what it leaves out alone.
    assert asdict(found["turbo"]) == {
        **dict.fromkeys(("fails", "alters", "drops")),
        "left_out": found["tf_data"].left_out,
    }
    assert not {"packed", "synthetic"} & found.keys()


def test_files_newer_than_the_audit_are_used(photos, first_audit, store):
    first, _ = first_audit
    (photos / "ant" / "new.jpg").write_bytes(b"text")
    manifest = attach(scan(photos, validation=0, test=0), Store(store).facts())
    assert manifest.table["bytes"].null_count == 1
    assert len(usable(manifest, [("pillow",), ("pillow", "tensorflow")])[0]) == len(first) + 1


def test_an_unwritable_store_is_named(photos, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="set FEEDBENCH_CACHE to another folder"):
        audited(photos, tmp_path / "file" / "store")


def test_facts_of_a_source_are_found_again(photos, monkeypatch, tmp_path):
    monkeypatch.setenv("FEEDBENCH_CACHE", str(tmp_path))
    assert Store.of(photos).folder == Store.of(str(photos)).folder
    assert Store.of(photos).folder.is_relative_to(tmp_path)
    assert isinstance(Store.of(photos).facts(), pa.Table)


def test_facts_of_a_source_are_found_by_another_path_to_it(photos, monkeypatch, tmp_path):
    folder = Store.of(photos).folder
    link = tmp_path / "link"
    link.symlink_to(photos, target_is_directory=True)
    assert Store.of(link).folder == folder
    assert Store.of(link / "ant" / "..").folder == folder
    monkeypatch.chdir(link)
    assert Store.of(".").folder == folder
    assert Store.of(photos / "ant").folder != folder


@pytest.mark.parametrize("name", ["facts.parquet", "about.json"])
@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"[]"],
    ids=["empty", "truncated", "other"],
)
def test_what_is_kept_of_an_audit_is_found_again_if_it_is_damaged(photos, store, name, damage):
    path = store / name
    path.write_bytes(damage(path.read_bytes()))
    assert len(Store(store).facts()) == 0
    whole, read = audited(photos, store)
    assert read == 45
    assert not len(bad_rows(whole))


def test_facts_that_the_system_does_not_give_are_not_taken_for_damaged(store, monkeypatch):
    def refuse(file):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(store_module, "one_chunk_each", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        Store(store).facts()


@pytest.mark.parametrize("name", ["HOME", "XDG_CACHE_HOME", "FEEDBENCH_CACHE"])
def test_without_a_home_folder_one_has_to_be_named(name, photos, monkeypatch, tmp_path):
    def unknown(number):
        raise KeyError(number)

    for variable in ("HOME", "XDG_CACHE_HOME", "FEEDBENCH_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(SourceError, match="no home folder: set FEEDBENCH_CACHE to a folder"):
        Store.of(photos)
    monkeypatch.setenv(name, str(tmp_path))
    assert Store.of(photos).folder.is_relative_to(tmp_path)


def test_a_file_that_could_not_be_read_is_read_again(photos, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("feedbench.loaders.audit.probe.read_file", refuse)
    facts = probe(os.fsencode(photos / "bee" / "02.jpg"), ProbeLimits())
    assert facts["pillow"] == "Permission denied"
    assert (facts["bytes"], facts["modified_ns"]) == (0, 0)  # no file has this stamp
