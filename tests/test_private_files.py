"""Private files: nobody else reads what is written about persons, however a command ends."""

import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

import somv_risk as sr
from shared import hold
from somv_risk.batch import run_batch
from somv_risk.errors import SourceError
from somv_risk.files.private_files import make_inner_folder, make_private_file, make_private_folder
from somv_risk.store import append_store, deliver_histories, ingest, scan_store, verify_store, write_store

INDEX = datetime(2026, 1, 1)
COMMAND = (sys.executable, "-c", "from somv_risk.cli import main; main()")


def read_mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def list_modes(folder):
    """The modes of folders and those of files, of a folder and all below it."""
    paths = [folder, *folder.rglob("*")]
    return {read_mode(p) for p in paths if p.is_dir()}, {read_mode(p) for p in paths if p.is_file()}


PRIVATE, GROUP = ({0o700}, {0o600}), ({0o750}, {0o640})


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def small():
    return hold(sr.simulate(persons=300, seed=5))


# --- Modes


def test_a_private_folder_is_its_owners_and_one_that_is_there_keeps_its_mode(tmp_path):
    make_private_folder(tmp_path / "a" / "b")
    assert (read_mode(tmp_path / "a"), read_mode(tmp_path / "a" / "b")) == (0o755, 0o700)
    (tmp_path / "open").mkdir(0o755)
    make_private_folder(tmp_path / "open")
    assert read_mode(tmp_path / "open") == 0o755
    make_private_folder(tmp_path / "open", group_readable=True)
    assert read_mode(tmp_path / "open") == 0o750


@pytest.mark.parametrize(
    ("outer", "folder", "file"), [(0o700, 0o700, 0o600), (0o750, 0o750, 0o640), (0o755, 0o700, 0o600)]
)
def test_what_lies_in_a_folder_is_open_to_the_group_where_the_folder_is_and_never_to_others(
    tmp_path, outer, folder, file
):
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer").chmod(outer)
    make_inner_folder(tmp_path / "outer" / "inner")
    made = make_private_file(tmp_path / "outer" / "file")
    assert (read_mode(tmp_path / "outer" / "inner"), read_mode(made)) == (folder, file)


def test_a_file_that_is_there_is_emptied_and_closed_to_others(tmp_path):
    (tmp_path / "file").write_text("old")
    assert make_private_file(tmp_path / "file").read_text() == ""
    assert read_mode(tmp_path / "file") == 0o600


@pytest.mark.parametrize(("group_readable", "modes"), [(False, PRIVATE), (True, GROUP)])
def test_a_store_is_its_owners_or_the_groups_too_and_stays_so(tmp_path, small, group_readable, modes):
    written, ingested = tmp_path / "written", tmp_path / "ingested"
    write_store(small, written, buckets=2, group_readable=group_readable)
    ingest(deliver_histories(small), ingested, buckets=2, group_readable=group_readable)
    assert list_modes(written) == list_modes(ingested) == modes
    later = sr.from_frames(
        persons=pl.DataFrame({"person_id": ["new"], "birth_date": "1980-05-01", "sex": "male"}),
        admissions=small.admissions.collect().head(0),
        data_end=datetime(2026, 2, 1),
    )
    append_store(later, written, delivered_at=datetime(2026, 2, 1))
    assert scan_store(written).persons.collect().height == 301
    assert list_modes(written) == modes


def test_a_store_with_open_modes_is_read_and_appended_to(tmp_path, small):
    write_store(small, tmp_path / "store", buckets=2)
    for path in (tmp_path / "store", *(tmp_path / "store").rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert verify_store(tmp_path / "store").is_empty()
    assert scan_store(tmp_path / "store").persons.collect().height == 300


@pytest.mark.parametrize(("group_readable", "modes"), [(False, PRIVATE), (True, GROUP)])
def test_the_scores_of_a_run_are_its_owners_or_the_groups_too(tmp_path, saved, store, group_readable, modes):
    run_batch(saved, store, tmp_path / "out", index_time=INDEX, group_readable=group_readable)
    assert list_modes(tmp_path / "out") == modes


def test_files_in_a_folder_that_is_open_to_all_are_the_owners_still(tmp_path, saved, store):
    (tmp_path / "out").mkdir(0o755)
    run_batch(saved, store, tmp_path / "out", index_time=INDEX)
    assert list_modes(tmp_path / "out") == ({0o755, 0o700}, {0o600})


# --- Ended from outside


@pytest.fixture(scope="module")
def delivery(tmp_path_factory):
    """A delivery that takes some seconds to ingest."""
    folder = tmp_path_factory.mktemp("delivery")
    crowd = hold(sr.simulate(persons=10_000, seed=3))
    for name, frame in crowd.tables.items():
        frame.collect().write_csv(folder / f"{name}.csv")
    return folder


@contextmanager
def start(*words):
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_for(process, is_reached):
    while not is_reached():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_ingest_that_is_ended_leaves_nothing(tmp_path, delivery, number, code):
    place = tmp_path / "stores"
    with start(
        "ingest", "--input", delivery, "--store", place / "region", "--data-end", "2026-01-01"
    ) as process:
        wait_for(process, lambda: list(place.glob(".region.unfinished/.staging/rows/*")))
        begun = place / ".region.unfinished"
        assert list_modes(begun)[0] == {0o700}
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == code
    assert said == f"Ended by {number.name}. What was not finished is removed; start again.\n"
    assert list(place.iterdir()) == []


def test_an_append_that_is_ended_leaves_the_store_as_it_was(tmp_path, small, delivery):
    store = tmp_path / "store"
    write_store(small, store, buckets=2)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    words = ("ingest", "--append", "--delivered-at", "2026-01-02", "--data-end", "2026-01-01")
    with start(*words, "--input", delivery, "--store", store) as process:
        wait_for(process, lambda: list(store.glob(".staging/rows/*")))
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_what_a_killed_ingest_leaves_is_closed_and_goes_with_the_next(tmp_path, delivery):
    words = ("ingest", "--input", delivery, "--store", tmp_path / "region", "--data-end", "2026-01-01")
    with start(*words) as process:
        wait_for(process, lambda: list(tmp_path.glob(".region.unfinished/.staging/rows/*")))
        process.kill()
        process.wait()
    folders, files = list_modes(tmp_path / ".region.unfinished")
    assert (folders, files - {0o600}) == ({0o700}, set())
    with start(*words) as process:
        assert process.wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["region"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_scoring_that_is_ended_leaves_no_unfinished_file_and_goes_on(tmp_path, saved, store, workers):
    out = tmp_path / "out"
    words = ("score", "--store", store, "--model", saved, "--out", out, "--index-time", "2026-01-01")
    words = (*words, "--capacity", 40, "--workers", workers)
    with start(*words) as process:
        wait_for(process, lambda: list(out.glob("risks/bucket-*.parquet")))
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
    assert not (out / ".work").exists()
    assert not list(out.rglob("*.unfinished"))
    assert list_modes(out) == PRIVATE
    with start(*words) as process:
        assert process.wait() == 0


def test_a_signal_that_is_ignored_stays_ignored(tmp_path, delivery):
    words = ("ingest", "--input", delivery, "--store", tmp_path / "region", "--data-end", "2026-01-01")
    command = ["nohup", *COMMAND, *map(str, words)]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as process:
        wait_for(process, lambda: list(tmp_path.glob(".region.unfinished/.staging/rows/*")))
        process.send_signal(signal.SIGHUP)
        assert process.wait() == 0
    assert verify_store(tmp_path / "region").is_empty()


# --- No room


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [("features",), ("features", "--out", "/dev/full")])
def test_where_the_result_finds_no_room_one_sentence_says_so(words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 3
    assert done.stderr.startswith("Error: ")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_the_exit_code_stands_where_even_the_error_finds_no_room(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, "check", tmp_path / "nowhere"], stdout=full, stderr=full, check=False
        )
    assert done.returncode == 3


# --- Odd outputs


def run_through_shell(words, **environment):
    """Run a command line of the shell, in which `somv` is the command."""
    line = f'somv() {{ {shlex.join(map(str, COMMAND))} "$@"; }}; {words}'
    return subprocess.run(  # noqa: S603 - our own command
        ["bash", "-c", line],  # noqa: S607 - wherever it is
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def test_letters_that_a_terminal_cannot_show_are_written_as_numbers():
    shown = run_through_shell("somv features", PYTHONIOENCODING="ascii")
    whole = run_through_shell("somv features", PYTHONIOENCODING="utf-8")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "benævnes" not in shown.stdout
    assert r"\xe6" in shown.stdout
    assert shown.stdout.count("\n") == whole.stdout.count("\n") > 100


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output_changes_nothing_but_what_is_seen(closed, tmp_path):
    page = tmp_path / "features.md"
    done = run_through_shell(f"somv features --out {page} {closed}; echo $? > {tmp_path}/code")
    assert done.stderr == ""
    assert done.stdout in {"", f"Page: {page}\n"}
    assert (tmp_path / "code").read_text() == "0\n"
    assert page.read_text(encoding="utf-8").startswith("# Features")
    refused = run_through_shell(f"somv check {tmp_path}/nowhere {closed}; echo $? > {tmp_path}/code")
    assert "Traceback" not in refused.stderr
    assert (tmp_path / "code").read_text() == "3\n"


def test_a_reader_who_has_seen_enough_ends_the_command_without_a_word():
    done = run_through_shell("somv features | sed 1q > /dev/null; echo ${PIPESTATUS[0]} >&2")
    assert done.stderr in {"0\n", "1\n"}  # it may have been done before


@contextmanager
def mount_small_disk(folder):
    folder.mkdir()
    done = subprocess.run(  # noqa: S603 - only where the tests run as root
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", folder],  # noqa: S607
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
    free = os.statvfs(folder)
    (folder / "ballast").write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - left)))


@pytest.mark.parametrize("left", [100_000, 700_000])
def test_a_scoring_on_a_full_disk_is_one_sentence_and_goes_on_when_there_is_room(
    tmp_path, saved, store, left
):
    with mount_small_disk(tmp_path / "disk") as disk:
        fill(disk, left)
        with pytest.raises(SourceError, match="No space left on device"):
            run_batch(saved, store, disk / "out", index_time=INDEX)
        assert list_modes(disk / "out") == PRIVATE
        assert not (disk / "out" / ".work").exists()
        (disk / "ballast").unlink()
        run_batch(saved, store, disk / "out", index_time=INDEX)
        assert pl.read_parquet(disk / "out" / "scores.parquet").height > 0
