"""The batch: the rows of `score`, the same bytes however often it was ended, and clear words for faults."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from rich.progress import Progress

import somv_risk as sr
from runs import ASKED, BUCKETS, INDEX, read_bytes, read_log, without_bucket
from somv_risk import batch
from somv_risk.batch import Options, _files, _run, run_batch
from somv_risk.batch._files import hash_files
from somv_risk.batch._ranking import rank_parts
from somv_risk.cli import EXIT_BUCKETS_FAILED, EXIT_CODES
from somv_risk.cli._console import RateColumn
from somv_risk.errors import (
    CohortError,
    ConfigError,
    EmptyBucketError,
    FolderInUseError,
    IndexTimeError,
    MisplacedPersonError,
    OtherRunError,
    OtherTablesError,
    SourceError,
    StoreVersionError,
)
from somv_risk.registers.histories import Histories
from somv_risk.store import read_manifest, write_store

LISTED = Options(**ASKED)


@pytest.fixture(scope="module")
def undisturbed(saved, store, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("batch") / "undisturbed"
    run_batch(saved, store, out, index_time=INDEX, options=LISTED)
    return out


# --- The rows of score


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"capacity": 25, "reasons": 2, "language": "en"},
        {"threshold": 0.02, "language": "sv"},
        {"explain": "all", "capacity": 0},
        {"explain": "none", "threshold": 0.0},
        {"capacity": 10_000},
    ],
)
def test_every_row_is_that_of_score(model, saved, store, crowded, tmp_path, options):
    out = tmp_path / "out"
    result = run_batch(saved, store, out, index_time=INDEX, options=Options(**options))
    expected = sr.score(model, crowded, index_time=INDEX, **options)
    assert_frame_equal(pl.read_parquet(out / "scores.parquet"), expected, check_exact=True)
    assert_frame_equal(pl.scan_parquet(out / "scores").sort("rank").collect(), expected, check_exact=True)
    flagged = expected.filter("flagged")
    assert pl.read_csv(out / "worklist.csv")["person_id"].to_list() == flagged["person_id"].to_list()
    new = flagged.filter(pl.col("known_or_new") == "new").height
    told = result.counts
    assert (told.scored, told.flagged, told.flagged_new) == (expected.height, flagged.height, new)


def test_many_slices_give_the_same_rows(monkeypatch, undisturbed, saved, store, tmp_path):
    monkeypatch.setattr(batch._bucket, "TOLD_AT_ONCE", 7)
    monkeypatch.setattr(batch._outputs, "_ROWS_AT_ONCE", 100)
    monkeypatch.setattr(batch._passes, "rank_parts", partial(rank_parts, at_once=50))
    run_batch(saved, store, tmp_path / "out", index_time=INDEX, options=LISTED)
    expected = pl.read_parquet(undisturbed / "scores.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "out" / "scores.parquet"), expected, check_exact=True)


def test_a_delivery_is_scored_as_a_store_is(model, crowded, tmp_path):
    for name, table in crowded.tables.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        table.collect().write_parquet(tmp_path / "in" / f"{name}.parquet")
    run_batch(model, tmp_path / "in", tmp_path / "out", index_time=INDEX, options=LISTED)
    expected = sr.score(model, crowded, index_time=INDEX, **ASKED)
    assert_frame_equal(pl.read_parquet(tmp_path / "out" / "scores.parquet"), expected, check_exact=True)
    assert not (tmp_path / "out" / ".work").exists()


def test_the_page_is_the_one_of_the_whole_region(model, crowded, undisturbed):
    from somv_risk.report import render_page  # noqa: PLC0415

    scores = sr.score(model, crowded, index_time=INDEX, **ASKED)
    expected = render_page(model, crowded, scores, language="en")
    assert (undisturbed / "worklist.html").read_text(encoding="utf-8") == expected


def test_the_manifest_tells_what_the_run_is_of(undisturbed, saved):
    told = json.loads((undisturbed / "manifest.json").read_text())
    assert told["model"] == json.loads((saved / "model.json").read_text())["hash"]
    assert told["index_time"] == "2026-01-01T00:00:00"
    assert told["options"]["capacity"] == 40
    assert told["complete"] is True
    assert [part["bucket"] for part in told["parts"]] == list(range(BUCKETS))
    assert sum(part["flagged"] for part in told["parts"]) == 40
    assert told["libraries"]["polars"] == pl.__version__


def test_neither_log_nor_manifest_names_a_person(undisturbed, crowded):
    text = (undisturbed / "run.log").read_text() + (undisturbed / "manifest.json").read_text()
    assert not [person for person in crowded.persons.collect()["person_id"] if person in text]
    risk = read_log(undisturbed, "risk")
    assert sorted(line["bucket"] for line in risk) == list(range(BUCKETS))
    assert all(line["rows"] > 0 and line["seconds"] > 0 and line["peak_mb"] > 50 for line in risk)


# --- The same bytes


def test_two_workers_leave_the_same_bytes(undisturbed, saved, store, tmp_path):
    run_batch(saved, store, tmp_path / "out", index_time=INDEX, options=LISTED, workers=2)
    assert read_bytes(tmp_path / "out") == read_bytes(undisturbed)


class Cut(BaseException):
    """The power was cut."""


def test_cut_off_at_every_write_it_goes_on_and_leaves_the_same_bytes(
    monkeypatch, undisturbed, saved, store, tmp_path
):
    expected, out = read_bytes(undisturbed), tmp_path / "out"
    write_whole = _files.write_whole
    for writes in count(1):
        left = iter(range(writes))

        def cut(path, fill, left=left):
            if next(left, None) is None:
                raise Cut
            write_whole(path, fill)

        for room in (_files, batch._outputs):
            monkeypatch.setattr(room, "write_whole", cut)
        try:
            run_batch(saved, store, out, index_time=INDEX, options=LISTED)
        except Cut:
            standing = read_bytes(out)
            parts = [name for name in standing if name.endswith((".parquet", ".csv", ".html"))]
            assert all(standing[name] == expected[name] for name in parts)
        else:
            break
    assert writes > BUCKETS
    assert read_bytes(out) == expected


def start(saved, store, out, *options, before=()):
    return subprocess.Popen(  # noqa: S603 - our own command
        [
            *before,
            *(sys.executable, "-c", "from somv_risk.cli import main; main()", "score"),
            *("--store", store, "--model", saved, "--out", out, "--index-time", "2026-01-01"),
            *("--capacity", "40", "--language", "en", *options),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def count_parts(out):
    return sum(len(list((out / name).glob("bucket-*.parquet"))) for name in ("risks", "scores"))


def list_children(pid):
    tasks = Path("/proc", str(pid), "task")
    return [int(child) for task in tasks.iterdir() for child in read_children(task)]


def read_children(task):
    """The children of a thread; one that has ended meanwhile has none."""
    try:
        return (task / "children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_moments_it_goes_on_and_leaves_the_same_bytes(
    undisturbed, saved, store, tmp_path, workers
):
    expected, out, moment = read_bytes(undisturbed), tmp_path / "out", random.Random(workers)
    for parts in (1, 2 * BUCKETS - 1):  # amid the risks, and amid the reasons
        process = start(saved, store, out, "--workers", str(workers))
        while count_parts(out) < parts and process.poll() is None:
            time.sleep(0.005)
        time.sleep(moment.random() / 50)
        helpers = list_children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for _ in range(200):
            if not any(map(is_alive, helpers)):
                break
            time.sleep(0.05)
        else:
            pytest.fail("a worker outlived the run that started it")
        for name, content in read_bytes(out).items():
            if name.startswith(("risks/bucket", "scores/bucket")):
                assert content == expected[name]
    process = start(saved, store, out, "--workers", str(workers))
    assert process.wait() == 0, process.stderr.read()
    assert read_bytes(out) == expected
    assert [line["seconds"] for line in read_log(out)[-12:] if line["event"] == "risk"].count(None) > 0


def test_a_run_that_has_ended_is_not_done_again(undisturbed, saved, store, tmp_path):
    out = Path(shutil.copytree(undisturbed, tmp_path / "out"))
    run_batch(saved, store, out, index_time=INDEX, options=LISTED)
    assert read_bytes(out) == read_bytes(undisturbed)
    last = read_log(out)[len(read_log(undisturbed)) :]
    assert [line["seconds"] for line in last if "seconds" in line] == [None] * 2 * BUCKETS


def test_a_model_that_took_the_place_of_another_is_the_one_that_scores(model, store, crowded, tmp_path):
    other = replace(model, heads={"frequent_admission": model.main})
    for scorer in (model, other):
        run_batch(scorer, store, tmp_path / "out", index_time=INDEX, options=LISTED, fresh=True)
        expected = sr.score(scorer, crowded, index_time=INDEX, **ASKED)
        scores = pl.read_parquet(tmp_path / "out" / "scores.parquet")
        assert_frame_equal(scores, expected, check_exact=True)


# --- Damage


def spoil_footer(file):
    file.write_bytes(b"PAR1 but not for long")


def spoil_pages(file):
    content = bytearray(file.read_bytes())
    content[4 : len(content) // 2] = os.urandom(len(content) // 2 - 4)
    file.write_bytes(bytes(content))


SPOILS = [spoil_footer, spoil_pages, Path.unlink]


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("table", ["admissions", "persons"])
def test_a_damaged_bucket_is_told_and_the_rest_is_scored(
    model, saved, own_store, store, crowded, undisturbed, tmp_path, spoil, table
):
    out, bad = tmp_path / "out", own_store / "bucket=02" / f"{table}.parquet"
    sound = bad.read_bytes()
    spoil(bad)
    result = run_batch(saved, own_store, out, index_time=INDEX, options=LISTED)
    assert [failed.bucket for failed in result.failed] == [2]
    assert "2" in result.failed[0].reason or table in result.failed[0].reason
    rest = without_bucket(crowded, store, 2)
    expected = sr.score(model, rest, index_time=INDEX, **ASKED)
    assert_frame_equal(pl.read_parquet(out / "scores.parquet"), expected, check_exact=True)
    told = json.loads((out / "manifest.json").read_text())
    assert (told["complete"], told["failed"]) == (False, [2])
    # Mended, the run goes on: all others' ranks are made anew, their risks are not.
    bad.write_bytes(sound)
    assert not run_batch(saved, own_store, out, index_time=INDEX, options=LISTED).failed
    assert read_bytes(out) == read_bytes(undisturbed)
    again = [line["bucket"] for line in read_log(out, "risk")[-BUCKETS:] if line["seconds"] is not None]
    assert again == [2]


def test_a_damaged_bucket_has_its_exit_code(run, saved, own_store, tmp_path):
    spoil_footer(own_store / "bucket=01" / "primary_care.parquet")
    told = run(*call(saved, own_store, tmp_path / "out"))
    assert told.code == EXIT_BUCKETS_FAILED
    assert "Bucket 1 is left out." in told.out
    assert "Traceback" not in told.out + told.err


def test_all_buckets_damaged_is_an_error(saved, own_store, tmp_path):
    for file in own_store.glob("bucket=*/admissions.parquet"):
        spoil_footer(file)
    with pytest.raises(SourceError, match="damaged"):
        run_batch(saved, own_store, tmp_path / "out", index_time=INDEX)


def test_a_bucket_that_changes_meanwhile_is_refused(saved, own_store, tmp_path):
    run_batch(saved, own_store, tmp_path / "out", index_time=INDEX)
    file = own_store / "bucket=01" / "admissions.parquet"
    pl.read_parquet(file).head(5).write_parquet(file)
    with pytest.raises(OtherRunError, match=r"Bucket 1 of store .* has changed"):
        run_batch(saved, own_store, tmp_path / "out", index_time=INDEX)


# --- Disks and permissions


@contextmanager
def small_disk(folder, size):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603
        pytest.skip("a disk of its own cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607


def tell_whether_it_fits(saved, store, out, expected):
    """Run on a small disk; what has its name when the disk is full is whole."""
    try:
        run_batch(saved, store, out, index_time=INDEX, options=LISTED)
    except SourceError as error:
        standing = read_bytes(out) if out.exists() else {}
        parts = {name: whole for name, whole in standing.items() if name not in ("manifest.json", ".lock")}
        if "No space left" not in str(error) or list(out.rglob("*.unfinished")):
            raise
        assert parts == {name: expected[name] for name in parts}
        return False
    return True


def test_a_full_disk_leaves_no_half_file_and_more_room_lets_it_go_on(undisturbed, saved, store, tmp_path):
    expected = read_bytes(undisturbed)
    needed = sum(map(len, expected.values()))
    model_size = sum(file.stat().st_size for file in saved.iterdir())
    failures = 0
    with small_disk(tmp_path / "disk", 4096) as disk:
        out = disk / "out"
        for size in (4096, model_size // 2, *(model_size + part * needed // 5 for part in range(6)), 2**26):
            command = ["mount", "-o", f"remount,size={size}", str(disk)]
            subprocess.run(command, check=True)  # noqa: S603
            failures += not tell_whether_it_fits(saved, store, out, expected)
        assert read_bytes(out) == expected
    assert failures > 3


# Root may write anywhere, so the command starts without that one right: PR_CAPBSET_DROP, CAP_DAC_OVERRIDE.
# All that it reads stays readable, wherever the library is installed.
AS_AN_OWNER = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.parametrize("name", ["", "risks", "scores"])
def test_a_folder_that_may_not_be_written_is_one_sentence(saved, store, tmp_path, name):
    out = tmp_path / "out"
    (out / name).mkdir(parents=True)
    (out / name).chmod(0o555)
    process = start(saved, store, out, before=[sys.executable, "-c", AS_AN_OWNER])
    _, complaint = process.communicate()
    (out / name).chmod(0o755)
    assert process.returncode == EXIT_CODES[SourceError]
    assert "Permission denied" in complaint
    assert "Traceback" not in complaint
    assert not (out / "scores.parquet").exists()
    assert not list(out.rglob("*.unfinished"))


def test_an_output_folder_that_is_a_file_is_one_sentence(saved, store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot be written"):
        run_batch(saved, store, tmp_path / "file", index_time=INDEX)


# --- Two runs


HOLD = """
import sys, time
from pathlib import Path
from somv_risk.batch._lock import hold_folder
with hold_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes into the folder."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_into_the_folder_is_refused_until_the_first_is_dead(
    run, saved, store, undisturbed, tmp_path, holder
):
    told = run(*call(saved, store, tmp_path / "out"))
    assert told.code == EXIT_CODES[FolderInUseError]
    assert f"process {holder.pid} on " in told.err
    assert not (tmp_path / "out" / "manifest.json").exists()
    holder.kill()
    holder.wait()
    assert str(holder.pid) in (tmp_path / "out" / ".lock").read_text()
    run_batch(saved, store, tmp_path / "out", index_time=INDEX, options=LISTED)
    assert read_bytes(tmp_path / "out") == read_bytes(undisturbed)


def test_two_runs_at_once_leave_one_whole_result(undisturbed, saved, store, tmp_path):
    both = [start(saved, store, tmp_path / "out") for _ in range(2)]
    codes = sorted(process.wait() for process in both)
    assert codes in ([0, 0], [0, EXIT_CODES[FolderInUseError]])
    assert read_bytes(tmp_path / "out") == read_bytes(undisturbed)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"index_time": datetime(2025, 12, 1)}, "index moment"),
        ({"options": Options(capacity=41, language="en")}, "options"),
    ],
)
def test_a_folder_of_another_run_is_refused_unless_it_is_to_be_forgotten(
    undisturbed, saved, store, tmp_path, changed, word
):
    out = Path(shutil.copytree(undisturbed, tmp_path / "out"))
    asked = {"index_time": INDEX, "options": LISTED} | changed
    with pytest.raises(OtherRunError, match=f"differs in: {word}\\."):
        run_batch(saved, store, out, **asked)
    assert read_bytes(out) == read_bytes(undisturbed)
    run_batch(saved, store, out, fresh=True, **asked)
    run_batch(saved, store, tmp_path / "new", **asked)
    assert read_bytes(out) == read_bytes(tmp_path / "new")


@pytest.mark.parametrize("left", ["risks", "scores"])
def test_parts_without_a_manifest_are_not_taken_for_this_run(undisturbed, saved, store, tmp_path, left):
    """They might be of a later moment, and nothing says so."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed / left, out / left)
    with pytest.raises(OtherRunError, match=f"holds {left} of a run that does not say what it is of"):
        run_batch(saved, store, out, index_time=INDEX, options=LISTED)
    run_batch(saved, store, out, index_time=INDEX, options=LISTED, fresh=True)
    assert read_bytes(out) == read_bytes(undisturbed)


def test_what_says_of_which_run_a_folder_is_goes_last(undisturbed, saved, store, tmp_path, monkeypatch):
    out = Path(shutil.copytree(undisturbed, tmp_path / "out"))
    other = {"index_time": datetime(2025, 12, 1), "options": LISTED}

    def fail(path, *_, ignore_errors=False, **__):
        if not ignore_errors:
            raise PermissionError(13, "denied", str(path))

    with monkeypatch.context() as broken:
        broken.setattr(shutil, "rmtree", fail)
        with pytest.raises(SourceError):
            run_batch(saved, store, out, fresh=True, **other)
    with pytest.raises(OtherRunError, match="differs in: index moment"):
        run_batch(saved, store, out, **other)


# --- Bad input


def call(model, store, out, index_time="2026-01-01", *options):
    return (
        *("score", "--model", model, "--store", store, "--out", out, "--index-time", index_time),
        *("--capacity", "40", "--language", "en", *options),
    )


def change_manifest(store, **changes):
    (store / "manifest.json").write_text(json.dumps(read_manifest(store) | changes))


def empty(store, bucket):
    for file in (store / f"bucket={bucket:02d}").iterdir():
        pl.read_parquet(file).clear().write_parquet(file)


def seal(store):
    """Let the manifest tell the files as they are, so that nothing else gives the fault away."""
    files = [
        entry
        | {
            "bytes": (store / entry["file"]).stat().st_size,
            "sha256": hash_files([store / entry["file"]]),
            "crc32": zlib.crc32((store / entry["file"]).read_bytes()),
        }
        for entry in read_manifest(store)["files"]
    ]
    change_manifest(store, files=files)


def copy_person(store):
    first, second = (pl.read_parquet(store / f"bucket=0{n}" / "persons.parquet") for n in (0, 1))
    guest = first.head(1).with_columns(pl.lit(second["person"].max() + 1, pl.Int32).alias("person"))
    pl.concat([second, guest]).write_parquet(store / "bucket=01" / "persons.parquet")


def repeat_person(store):
    file = store / "bucket=01" / "persons.parquet"
    persons = pl.read_parquet(file)
    pl.concat([persons, persons.tail(1)]).write_parquet(file)


def sealed(spoil):
    def spoil_and_seal(store):
        spoil(store)
        seal(store)

    return spoil_and_seal


FAULTS = [
    (partial(change_manifest, store_version=1), StoreVersionError, "has version 1"),
    (partial(empty, bucket=3), EmptyBucketError, "Bucket 3 of store"),
    (sealed(partial(empty, bucket=3)), EmptyBucketError, "Bucket 3 of store"),
    (copy_person, MisplacedPersonError, "1 persons belong to another bucket"),
    (sealed(copy_person), MisplacedPersonError, "1 persons belong to another bucket"),
    (repeat_person, MisplacedPersonError, "1 stand twice"),
    (sealed(repeat_person), MisplacedPersonError, "1 stand twice"),
    (
        lambda store: change_manifest(store, tables=["persons", "admissions"]),
        OtherTablesError,
        "was trained with diagnoses, psychiatric_contacts, substance_abuse",
    ),
    (
        lambda store: change_manifest(store, data_end="2025-12-30"),
        IndexTimeError,
        "after the end of the data",
    ),
]


@pytest.mark.parametrize(("spoil", "error", "word"), FAULTS)
def test_a_fault_of_the_store_is_one_line_and_its_exit_code(
    run, saved, own_store, tmp_path, spoil, error, word
):
    spoil(own_store)
    told = run(*call(saved, own_store, tmp_path / "out"))
    assert told.code == EXIT_CODES[error]
    assert told.err.startswith("Error: ")
    assert told.err.count("\n") == 1
    assert word in told.err
    assert not (tmp_path / "out" / "scores.parquet").exists()


def test_an_index_time_before_the_data_has_its_exit_code(run, saved, store, tmp_path):
    told = run(*call(saved, store, tmp_path / "out", "1990-01-01"))
    assert told.code == EXIT_CODES[IndexTimeError]
    assert "before the data" in told.err


def test_what_is_allowed_is_scored_with_a_warning(model, saved, own_store, crowded, tmp_path):
    change_manifest(own_store, data_end="2025-12-30T00:00:00")
    shutil.rmtree(own_store / "quarantine")
    out = tmp_path / "out"
    run_batch(saved, own_store, out, index_time=INDEX, options=LISTED, allow=["index-time"])
    ended = Histories(crowded.tables, datetime(2025, 12, 30))
    expected = sr.score(model, ended, index_time=INDEX, **ASKED)
    assert_frame_equal(pl.read_parquet(out / "scores.parquet"), expected, check_exact=True)
    assert len(expected["warnings"][0]) == 1


def test_a_bucket_that_never_had_anybody_is_a_note(run, model, saved, crowded, tmp_path):
    few = crowded.keep_persons(crowded.persons.sort("birth_date").select("person_id").head(5))
    write_store(few, tmp_path / "few", buckets=16)
    told = run(*call(saved, tmp_path / "few", tmp_path / "out"))
    assert told.code == 0
    assert "has no persons." in told.out
    expected = sr.score(model, few, index_time=INDEX, **ASKED)
    assert_frame_equal(pl.read_parquet(tmp_path / "out" / "scores.parquet"), expected, check_exact=True)


def test_nobody_eligible_is_an_error(saved, crowded, tmp_path):
    children = (
        crowded.persons.filter(pl.col("birth_date") > datetime(2010, 1, 1)).select("person_id").head(40)
    )
    write_store(crowded.keep_persons(children), tmp_path / "children", buckets=2)
    with pytest.raises(CohortError, match="Nobody is eligible"):
        run_batch(saved, tmp_path / "children", tmp_path / "out", index_time=INDEX)


@pytest.mark.parametrize("workers", [0, -1, True])
def test_workers_are_a_number_from_1(saved, store, tmp_path, workers):
    with pytest.raises(ConfigError, match="workers is"):
        run_batch(saved, store, tmp_path / "out", index_time=INDEX, workers=workers)


# --- The bar


def test_the_bar_tells_how_many_persons_a_second():
    seconds = iter(range(100))
    bars = Progress(RateColumn(), get_time=lambda: next(seconds), disable=True)
    task = bars.add_task("risk", total=5_000)
    assert RateColumn().render(bars.tasks[0]).plain == ""
    for done in (1_000, 2_000, 3_000):
        bars.update(task, completed=done)
    assert RateColumn().render(bars.tasks[0]).plain == "1,000/s"


def test_a_run_tells_its_progress_in_persons(saved, store, tmp_path):
    told = []
    run_batch(saved, store, tmp_path / "out", index_time=INDEX, progress=lambda *step: told.append(step))
    for step in ("risk", "reasons"):
        done = [so_far for name, so_far, total in told if name == step and total == 3_000]
        assert done[0] == 0
        assert done == sorted(done)
        assert done[-1] == 3_000


# --- Ranks


@given(
    st.lists(st.lists(st.sampled_from([-2.5, -1.0, 0.0, 0.25, 3.0]), max_size=6), min_size=1, max_size=4),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_ranks_are_those_of_sorting_everybody(tmp_path_factory, raws, at_once, chance):
    folder = tmp_path_factory.mktemp("ranks")
    names = [f"p{number}" for number in range(100)]
    chance.shuffle(names)
    parts = [[(raw, names.pop()) for raw in part] for part in raws]
    ordered = [sorted(part, key=lambda row: (-row[0], row[1])) for part in parts]
    everybody = sorted((row for part in ordered for row in part), key=lambda row: (-row[0], row[1]))
    files = []
    for number, part in enumerate(ordered):
        frame = pl.DataFrame(part, schema={"raw": pl.Float64, "person_id": pl.String}, orient="row")
        files.append(folder / f"{number}.parquet")
        frame.write_parquet(files[-1])
    expected = [[everybody.index(row) + 1 for row in part] for part in ordered]
    assert [ranks.tolist() for ranks in rank_parts(files, at_once)] == expected


def test_work_of_a_run_is_gone_when_it_has_ended(undisturbed):
    assert {path.name for path in undisturbed.iterdir()} == {
        *(".lock", "manifest.json", "run.log", "risks", "scores"),
        *("scores.parquet", "worklist.csv", "worklist.html"),
    }
    assert _run.WORK_FOLDER == ".work"
