"""Spark: the bytes of the local run, in one process and on a cluster, and clear words for faults."""

import json
import os
import shutil
import sys
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
import somv_risk.batch.spark
from runs import ASKED, BUCKETS, INDEX, read_bytes, read_log, without_bucket
from somv_risk.batch import Failed, Options, list_libraries, run_batch
from somv_risk.batch.spark import score_spark, start_spark
from somv_risk.errors import (
    CohortError,
    ConfigError,
    MisplacedPersonError,
    OtherRunError,
    SourceError,
    SystemLibraryError,
)
from somv_risk.store import write_store

LISTED = Options(**ASKED)
MASTERS = ["local[2]", "local-cluster[2,1,1024]"]

# Java tells thousands of lines where a task fails; they go to a file.
LOG_SETTINGS = """
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c: %m%n
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("spark")
    described = folder / "log4j2.properties"
    described.write_text(LOG_SETTINGS.format(file=folder / "spark.log"))
    logged = f"-Dlog4j2.configurationFile=file:{described}"
    return {
        "spark.driver.extraJavaOptions": logged,
        "spark.executor.extraJavaOptions": logged,
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }


@pytest.fixture(scope="module", params=MASTERS)
def spark(request, settings):
    """A session for all tests of a kind of master; a cluster takes long to start."""
    pyspark = pytest.importorskip("pyspark", reason="PySpark is not installed; `make spark` installs it")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java, and there is none")
    session = start_spark(request.param, settings)
    yield session
    session.stop()
    if request.param != "local[2]":
        shutil.rmtree(Path(pyspark.__file__).parent / "work", ignore_errors=True)  # logs of the executors


@pytest.fixture(scope="module")
def local(saved, store, tmp_path_factory) -> Path:
    """What a local run leaves."""
    out = tmp_path_factory.mktemp("spark") / "local"
    run_batch(saved, store, out, index_time=INDEX, options=LISTED)
    return out


# --- The rows of score, the bytes of the batch


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"capacity": 25, "reasons": 2, "language": "en"},
        {"threshold": 0.02, "language": "sv"},
        {"explain": "all", "capacity": 0},
        {"explain": "none", "threshold": 0.0},
    ],
)
def test_every_row_is_that_of_score_and_every_byte_that_of_the_local_run(
    spark, model, saved, store, crowded, tmp_path, options
):
    out, alone = tmp_path / "out", tmp_path / "alone"
    result = score_spark(spark, store, saved, out, index_time=INDEX, **options)
    expected = sr.score(model, crowded, index_time=INDEX, **options)
    assert_frame_equal(pl.read_parquet(out / "scores.parquet"), expected, check_exact=True)
    told = run_batch(saved, store, alone, index_time=INDEX, options=Options(**options))
    assert read_bytes(out) == read_bytes(alone)
    assert (result.counts, result.failed, result.empty) == (told.counts, told.failed, told.empty)
    assert result.counts.flagged == expected["flagged"].sum()


def test_every_bucket_is_a_task_of_its_own_outside_the_driver(spark, saved, store, tmp_path):
    score_spark(spark, store, saved, tmp_path / "out", index_time=INDEX, **ASKED)
    for event in ("risk", "reasons"):
        assert [line["bucket"] for line in read_log(tmp_path / "out", event)] == list(range(BUCKETS))

    def tell_place():
        from pyspark import TaskContext  # noqa: PLC0415

        return Failed(TaskContext.get().partitionId(), str(os.getpid()))

    told = list(somv_risk.batch.spark._Executors(spark).run([tell_place] * 9))
    assert [one.bucket for one in told] == list(range(9))
    assert str(os.getpid()) not in {one.reason for one in told}


def test_a_relative_path_is_the_drivers(spark, saved, store, local, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    score_spark(spark, os.path.relpath(store), saved, "out", index_time="2026-01-01", **ASKED)
    assert read_bytes(tmp_path / "out") == read_bytes(local)


def test_a_model_in_memory_need_not_be_where_executors_see_it(spark, model, store, local, tmp_path):
    score_spark(spark, store, model, tmp_path / "out", index_time=INDEX, **ASKED)
    assert read_bytes(tmp_path / "out") == read_bytes(local)


def test_a_delta_table_has_the_rows_and_gets_a_version_with_each_run(
    spark, saved, own_store, local, tmp_path
):
    pytest.importorskip("deltalake", reason="install the extra delta")
    out, asked = tmp_path / "out", {"index_time": INDEX, "format": "delta", **ASKED}
    sound = (own_store / "bucket=01" / "admissions.parquet").read_bytes()
    spoil(own_store)
    assert score_spark(spark, own_store, saved, out, **asked).failed
    table = str(out / "scores.delta")
    assert_frame_equal(pl.read_delta(table).sort("rank"), pl.read_parquet(out / "scores.parquet"))
    (own_store / "bucket=01" / "admissions.parquet").write_bytes(sound)
    assert not score_spark(spark, own_store, saved, out, **asked).failed
    expected = pl.read_parquet(local / "scores.parquet")
    assert_frame_equal(pl.read_delta(table).sort("rank"), expected, check_exact=True)
    assert pl.read_delta(table, version=0).height < expected.height
    assert read_bytes(out) == read_bytes(local)


# --- Where it stopped


def test_a_run_begun_on_one_machine_is_ended_on_the_cluster(spark, saved, store, local, tmp_path):
    out = Path(shutil.copytree(local, tmp_path / "out"))
    for gone in ("risks/bucket-02.parquet", "scores/bucket-01.parquet", "scores.parquet"):
        (out / gone).unlink()
    score_spark(spark, store, saved, out, index_time=INDEX, **ASKED)
    assert read_bytes(out) == read_bytes(local)
    for event, done in (("risk", 2), ("reasons", 1)):
        again = [line["bucket"] for line in read_log(out, event)[-BUCKETS:] if line["seconds"] is not None]
        assert again == [done]


def test_a_run_begun_on_the_cluster_is_ended_on_one_machine(spark, saved, store, local, tmp_path):
    out = tmp_path / "out"
    score_spark(spark, store, saved, out, index_time=INDEX, **ASKED)
    (out / "scores" / "bucket-03.parquet").unlink()
    run_batch(saved, store, out, index_time=INDEX, options=LISTED)
    assert read_bytes(out) == read_bytes(local)
    assert [line["seconds"] is None for line in read_log(out, "risk")[-BUCKETS:]] == [True] * BUCKETS


def test_a_folder_of_another_run_is_refused(spark, saved, store, local, tmp_path):
    out = Path(shutil.copytree(local, tmp_path / "out"))
    with pytest.raises(OtherRunError, match="differs in: options"):
        score_spark(spark, store, saved, out, index_time=INDEX, capacity=41, language="en")


# --- Faults


def spoil(store):
    (store / "bucket=01" / "admissions.parquet").write_bytes(b"PAR1 but not for long")


def test_a_damaged_bucket_is_told_and_the_rest_is_scored(
    spark, model, saved, own_store, crowded, store, tmp_path
):
    spoil(own_store)
    out = tmp_path / "out"
    result = score_spark(spark, own_store, saved, out, index_time=INDEX, **ASKED)
    assert [failed.bucket for failed in result.failed] == [1]
    assert "admissions" in result.failed[0].reason
    expected = sr.score(model, without_bucket(crowded, store, 1), index_time=INDEX, **ASKED)
    assert_frame_equal(pl.read_parquet(out / "scores.parquet"), expected, check_exact=True)
    told = json.loads((out / "manifest.json").read_text())
    assert (told["complete"], told["failed"]) == (False, [1])


def test_an_error_in_an_executor_is_the_one_of_the_local_run(spark, saved, own_store, tmp_path):
    file = own_store / "bucket=01" / "persons.parquet"
    persons = pl.read_parquet(file)
    pl.concat([persons, persons.tail(1)]).write_parquet(file)
    told = json.loads((own_store / "manifest.json").read_text())
    for entry in told["files"]:  # so that the fault is not taken for damage
        entry["bytes"] = (own_store / entry["file"]).stat().st_size
    (own_store / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(MisplacedPersonError) as alone:
        run_batch(saved, own_store, tmp_path / "alone", index_time=INDEX)
    with pytest.raises(MisplacedPersonError) as together:
        score_spark(spark, own_store, saved, tmp_path / "out", index_time=INDEX)
    assert str(together.value) == str(alone.value)
    assert not (tmp_path / "out" / "scores.parquet").exists()


def test_nobody_eligible_is_an_error(spark, saved, crowded, tmp_path):
    born = pl.col("birth_date") > datetime(2010, 1, 1)
    children = crowded.persons.filter(born).select("person_id").head(40)
    write_store(crowded.keep_persons(children), tmp_path / "children", buckets=2)
    with pytest.raises(CohortError, match="Nobody is eligible"):
        score_spark(spark, tmp_path / "children", saved, tmp_path / "out", index_time=INDEX)


def test_executors_of_other_versions_are_refused(spark, saved, store, tmp_path, monkeypatch):
    own = list_libraries()
    monkeypatch.setattr(somv_risk.batch.spark, "list_libraries", lambda: {**own, "polars": "0.1"})
    with pytest.raises(ConfigError, match=f"other versions than the driver: polars {own['polars']}"):
        score_spark(spark, store, saved, tmp_path / "out", index_time=INDEX)


def test_executors_without_the_library_are_one_sentence(spark, saved, store, tmp_path, monkeypatch):
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')  # sees no installed package
    bare.chmod(0o755)
    monkeypatch.setattr(spark.sparkContext, "pythonExec", str(bare))
    with pytest.raises(SourceError, match="An executor has no ") as told:
        score_spark(spark, store, saved, tmp_path / "out", index_time=INDEX)
    assert "\n" not in str(told.value)


def test_an_executor_that_dies_is_one_sentence(spark):
    with pytest.raises(SourceError, match="Spark gave up a task") as told:
        list(somv_risk.batch.spark._Executors(spark).run([partial(os._exit, 3)]))
    assert "\n" not in str(told.value)


# --- Without Spark


def test_pyspark_that_is_missing_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    for call in (start_spark, partial(score_spark, None, tmp_path, tmp_path, tmp_path, index_time=INDEX)):
        with pytest.raises(ConfigError, match=r"pip install \"somv-risk\[spark\]\""):
            call()


def test_java_that_is_missing_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(somv_risk.batch.spark, "check_installed", lambda *_: None)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SystemLibraryError, match="openjdk-17-jre-headless"):
        start_spark()


@pytest.mark.parametrize(
    ("asked", "word"), [("csv", "'parquet' or 'delta'"), ("delta", r"somv-risk\[delta\]")]
)
def test_a_format_that_cannot_be_written_is_refused_before_the_run(monkeypatch, tmp_path, asked, word):
    monkeypatch.setitem(sys.modules, "pyspark", sys)  # as if it were installed
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ConfigError, match=word):
        score_spark(None, tmp_path, tmp_path, tmp_path / "out", index_time=INDEX, format=asked)
    assert not (tmp_path / "out").exists()
