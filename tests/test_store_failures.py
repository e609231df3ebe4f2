"""Failures: killed, crowded or locked out, a store is the old or the new one, and never half of either."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from random import Random

import polars as pl
import pytest

import somv_risk as sr
from shared import hold
from somv_risk.errors import SourceError
from somv_risk.registers.histories import Histories
from somv_risk.store import (
    Batches,
    Delivery,
    append_store,
    deliver_histories,
    hash_store,
    ingest,
    is_store,
    lock_folder,
    scan_store,
    verify_store,
    write_store,
)

CUT, DELIVERED = datetime(2025, 6, 1), datetime(2026, 1, 5)
BUSY = r"is being written by another run\. Wait until that has ended\."

# Run in a process of its own: apply what lies in a store to another one, and be killed at a chosen moment.
APPLY = """
import os, signal, sys
from datetime import datetime
from somv_risk.store import append_store, deliver_histories, ingest, scan_store

what, source, store, moment = sys.argv[1:]
histories, seen = scan_store(source), 0

def count(event, arguments):
    global seen
    if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
        if arguments and os.path.basename(store) in str(arguments[0]):
            seen += 1
            if seen == int(moment):
                os.kill(os.getpid(), signal.SIGKILL)

print("ready", flush=True)
sys.addaudithook(count)
if what == "append":
    append_store(histories, store, delivered_at=datetime(2026, 1, 5))
else:
    ingest(deliver_histories(histories), store, buckets=3)
print(seen, flush=True)
"""


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """The store before a delivery, the delivery, and the store after it."""
    folder = tmp_path_factory.mktemp("worlds")
    histories = hold(sr.simulate(persons=300, seed=3))
    first = {
        name: frame if name == "persons" else frame.filter(pl.col("started_at") < CUT)
        for name, frame in histories.tables.items()
    }
    write_store(Histories(first, data_end=CUT), folder / "before", buckets=3)
    write_store(histories, folder / "delivery", buckets=2)
    shutil.copytree(folder / "before", folder / "after")
    append_store(scan_store(folder / "delivery"), folder / "after", delivered_at=DELIVERED)
    return folder


def run(what, worlds, store, moment=0):
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", APPLY, what, worlds / "delivery", store, str(moment)],
        stdout=subprocess.PIPE,
        text=True,
    )


def count_moments(what, worlds, store):
    process = run(what, worlds, store)
    told, _ = process.communicate()
    assert process.returncode == 0
    return int(told.split()[1])


def hash_worlds(worlds):
    return {hash_store(worlds / "before"): "before", hash_store(worlds / "after"): "after"}


def test_killed_at_any_moment_of_a_delivery_the_store_is_the_old_or_the_new_one(worlds, tmp_path):
    names = hash_worlds(worlds)
    shutil.copytree(worlds / "before", tmp_path / "counted")
    moments = count_moments("append", worlds, tmp_path / "counted")
    chosen = sorted({1, *Random(7).sample(range(2, moments - 8), 3), moments - 4, moments - 2, moments})
    seen = []
    for moment in chosen:
        store = tmp_path / f"counted{moment}"
        shutil.copytree(worlds / "before", store)
        process = run("append", worlds, store, moment)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        seen.append(names[hash_store(store)])
        assert verify_store(store).is_empty()
        append_store(scan_store(worlds / "delivery"), store, delivered_at=DELIVERED)
        assert names[hash_store(store)] == "after"
        assert verify_store(store).is_empty()
        assert not (store / ".staging").exists()
    assert seen[0] == "before"
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == "after"


def test_killed_after_any_time_of_a_delivery_the_store_is_the_old_or_the_new_one(worlds, tmp_path):
    names, random = hash_worlds(worlds), Random(5)
    for number in range(2):
        store = tmp_path / f"store{number}"
        shutil.copytree(worlds / "before", store)
        process = run("append", worlds, store)
        process.stdout.readline()
        time.sleep(random.uniform(0, 1.5))
        process.kill()
        process.communicate()
        assert hash_store(store) in names
        assert verify_store(store).is_empty()


def test_killed_at_any_moment_of_being_written_a_store_is_not_there(worlds, tmp_path):
    moments = count_moments("ingest", worlds, tmp_path / "counted")
    whole = hash_store(tmp_path / "counted")
    for moment in (moments // 3, moments // 2, moments):
        store = tmp_path / f"counted{moment}"
        process = run("ingest", worlds, store, moment)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not is_store(store)
        if not store.exists():
            ingest(deliver_histories(scan_store(worlds / "delivery")), store, buckets=3)
        assert hash_store(store) == whole
        assert verify_store(store).is_empty()


# --- Two runs at once


def test_two_deliveries_at_once_into_a_store_are_refused(worlds, tmp_path):
    shutil.copytree(worlds / "before", tmp_path / "store")
    delivery = scan_store(worlds / "delivery")
    with lock_folder(tmp_path / "store", "store"), pytest.raises(SourceError, match=BUSY):
        append_store(delivery, tmp_path / "store", delivered_at=DELIVERED)
    assert hash_store(tmp_path / "store") == hash_store(worlds / "before")
    append_store(delivery, tmp_path / "store", delivered_at=DELIVERED)
    assert hash_store(tmp_path / "store") == hash_store(worlds / "after")


def test_two_runs_at_once_into_a_new_folder_do_not_mix(worlds, tmp_path):
    """The second run begins while the first reads its delivery."""
    delivery = deliver_histories(scan_store(worlds / "delivery"))
    refused = []

    def read_slowly():
        with pytest.raises(SourceError, match=BUSY) as told:
            ingest(delivery, tmp_path / "store")
        refused.append(told)
        yield from delivery.tables["persons"].read()

    slow = {**delivery.tables, "persons": Batches(delivery.tables["persons"].columns, read_slowly)}
    ingest(Delivery(slow, latest=delivery.latest, data_end=delivery.data_end), tmp_path / "store")
    assert len(refused) == 1
    assert verify_store(tmp_path / "store").is_empty()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


# --- No room, no right


@contextmanager
def mount(folder, size):
    folder.mkdir()
    done = subprocess.run(  # noqa: S603 - only where the tests run as root
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("a small disk cannot be mounted here; run as root with the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)  # noqa: S603, S607


def fill(folder, left):
    """Leave so many bytes free on a disk."""
    free = shutil.disk_usage(folder).free
    (folder / "ballast").write_bytes(bytes(max(0, free - left)))


@pytest.mark.parametrize("left", [0, 20_000, 200_000])
def test_a_full_disk_leaves_no_store(worlds, tmp_path, left):
    histories = scan_store(worlds / "delivery")
    with mount(tmp_path / "disk", "8m") as disk:
        fill(disk, left)
        for write in (
            lambda: write_store(histories, disk / "store"),
            lambda: ingest(deliver_histories(histories), disk / "store"),
        ):
            with pytest.raises(
                SourceError, match=r"cannot be written \(.*No space left on device.*\)\. Free space"
            ):
                write()
            assert [path.name for path in disk.iterdir()] == ["ballast"]


@pytest.mark.parametrize("left", [0, 30_000, 300_000])
def test_a_full_disk_leaves_the_store_as_it_was(worlds, tmp_path, left):
    delivery = scan_store(worlds / "delivery")
    with mount(tmp_path / "disk", "16m") as disk:
        shutil.copytree(worlds / "before", disk / "store")
        fill(disk, left)
        with pytest.raises(SourceError, match=r"No space left on device.*Free space"):
            append_store(delivery, disk / "store", delivered_at=DELIVERED)
        assert hash_store(disk / "store") == hash_store(worlds / "before")
        assert verify_store(disk / "store").is_empty()
        (disk / "ballast").unlink()
        append_store(delivery, disk / "store", delivered_at=DELIVERED)
        assert hash_store(disk / "store") == hash_store(worlds / "after")


@contextmanager
def make_read_only(folder):
    """A folder in which nothing can be written, by root neither."""
    if os.geteuid():
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o500 if path.is_dir() else 0o400)
        try:
            yield
        finally:
            for path in (folder, *folder.rglob("*")):
                path.chmod(0o700)
    else:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)  # noqa: S603, S607
        yield
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)  # noqa: S603, S607


def test_where_nothing_may_be_written_one_sentence_says_so(worlds, tmp_path):
    with mount(tmp_path / "disk", "16m") if not os.geteuid() else nothing(tmp_path / "disk") as disk:
        shutil.copytree(worlds / "before", disk / "store")
        with make_read_only(disk):
            for write in (
                lambda: append_store(scan_store(worlds / "delivery"), disk / "store", delivered_at=DELIVERED),
                lambda: write_store(scan_store(worlds / "delivery"), disk / "new"),
            ):
                with pytest.raises(SourceError, match=r"cannot be written \((Read-only|Permission)"):
                    write()
            assert scan_store(disk / "store").persons.collect().height == 300
            assert verify_store(disk / "store").is_empty()
            assert [path.name for path in disk.iterdir()] == ["store"]


@contextmanager
def nothing(folder: Path):
    folder.mkdir()
    yield folder
