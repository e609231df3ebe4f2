"""The steps of scaling: regions of one, two, four and eight equal buckets, scored here and by Spark."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, Final

import polars as pl

import somv_risk as sr
from benchmarks.nightly_steps import hash_folder
from somv_risk.batch import run_batch
from somv_risk.batch.spark import score_spark, start_spark
from somv_risk.store import scan_store, write_store

Report = dict[str, Any]

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CPU: Final = slice(11, 15)  # own and reaped children's time, in what stands after the name in /proc/N/stat
_PARENT: Final = 1


def cut_regions(folder: Path, store: str, regions: list[tuple[int, int]]) -> Report:
    """Write stores of so many persons in so many buckets, drawn from a larger one, unless they are there."""
    whole = sr.read_histories(store)
    ids = whole.persons.select("person_id").collect()
    for persons, buckets in regions:
        path = folder / name_region(persons, buckets)
        if not path.exists():
            chosen = ids.sample(min(persons, ids.height), seed=1)
            write_store(whole.keep_persons(chosen.lazy()), path, buckets=buckets)
    return {"persons": ids.height}


def name_region(persons: int, buckets: int) -> str:
    return f"store-{persons}-in-{buckets}"


def run_here(folder: Path, model: str, store: str, index_time: str, workers: int = 1) -> Report:
    """Score a store by processes of this machine, and tell how long each phase took."""
    shutil.rmtree(folder, ignore_errors=True)
    marks = {"begin": _mark()}

    def follow(step: str, done: int, total: int) -> None:  # noqa: ARG001 - what a progress is given
        if not done:
            marks[step] = _mark()

    result = run_batch(model, store, folder, index_time=index_time, workers=workers, progress=follow)
    marks["end"] = _mark()
    return {
        **_tell_between(marks, "begin", "end"),
        "checks": _tell_between(marks, "begin", "risk"),
        "risk": _tell_between(marks, "risk", "reasons"),
        "reasons": _tell_between(marks, "reasons", "writing"),
        "writing": _tell_between(marks, "writing", "end"),
        **_describe(folder, result.counts.scored, result.counts.flagged),
    }


def _mark() -> tuple[float, float]:
    return time.perf_counter(), read_processor_seconds()


def _tell_between(marks: dict[str, tuple[float, float]], first: str, last: str) -> Report:
    (begin, cpu_begin), (end, cpu_end) = marks[first], marks[last]
    return {"seconds": end - begin, "cpu_seconds": cpu_end - cpu_begin}


def run_spark(folder: Path, model: str, store: str, index_time: str, master: str = "local[2]") -> Report:
    """Score a store by Spark twice, in executors that are new and in those that have done it before."""
    marks = {"begin": _mark()}
    spark = start_spark(master, {"spark.ui.showConsoleProgress": "false", "spark.driver.memory": "1g"})
    spark.range(1).collect()
    marks["started"] = _mark()
    for turn in ("first", "second"):
        shutil.rmtree(folder, ignore_errors=True)
        marks[turn] = _mark()
        result = score_spark(spark, store, model, folder, index_time=index_time)
        marks[f"after {turn}"] = _mark()
    java_mb = max(read_peak_of(process) for process in list_family() if is_java(process))
    spark.stop()
    return {
        **_tell_between(marks, "second", "after second"),
        "start": _tell_between(marks, "begin", "started"),
        "first": _tell_between(marks, "first", "after first"),
        "java_mb": java_mb,
        **_describe(folder, result.counts.scored, result.counts.flagged),
    }


def check_rows(folder: Path, model: str, store: str, index_time: str) -> Report:
    """Check that a run left the rows of `score`."""
    from polars.testing import assert_frame_equal  # noqa: PLC0415

    expected = sr.score(model, scan_store(store), index_time=index_time)
    assert_frame_equal(pl.read_parquet(folder / "scores.parquet"), expected, check_exact=True)
    return {"rows": expected.height}


def _describe(folder: Path, scored: int, flagged: int) -> Report:
    lines = [json.loads(line) for line in (folder / "run.log").read_text().splitlines()]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "scored": scored,
        "flagged": flagged,
        "peak_mb": max(line.get("peak_mb") or 0 for line in lines),
        "out_mb": sum(path.stat().st_size for path in files) / 2**20,
        "hash": hash_folder(folder),
    }


def measure_disk(folder: Path) -> Report:
    """Measure what a store takes on disk."""
    return {"mb": sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 2**20}


# --- Processes, as Linux tells of them


def read_processor_seconds() -> float:
    """Read the processor time of this process and all below it, those that have ended included."""
    return sum(sum(map(int, _read_stat(process)[_CPU])) for process in list_family()) / _TICKS


def list_family() -> list[int]:
    """List this process and all below it."""
    parents = {
        int(path.name): int(_read_stat(int(path.name))[_PARENT])
        for path in Path("/proc").iterdir()
        if path.name.isdigit()
    }
    family = [os.getpid()]
    for member in family:
        family.extend(process for process, parent in parents.items() if parent == member)
    return family


def _read_stat(process: int) -> list[str]:
    try:
        told = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ["0"] * 20
    return told.rpartition(")")[2].split()


def is_java(process: int) -> bool:
    return Path(f"/proc/{process}/comm").read_text().strip() == "java"


def read_peak_of(process: int) -> float:
    """Read the most memory a process has held, in MB of 2^20 bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
