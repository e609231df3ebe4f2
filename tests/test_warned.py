"""Warnings reach whoever must act: once, at the caller's line, in logs, manifests, pages and exit codes."""

import json
import warnings
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
import pytest

import somv_risk as sr
from somv_risk.batch import run_batch
from somv_risk.calls.notices import give_notice, list_notices, one_call
from somv_risk.errors import IndexTimeError, QuarantineWarning, SomvRiskWarning, StaleDataWarning
from somv_risk.registers.histories import Histories, Quarantine
from somv_risk.registers.span import infer_span
from somv_risk.sources import read_histories
from somv_risk.store import append_store, scan_store, verify_store, write_store

BUCKETS = 3
A_DAY = timedelta(days=1)


def draw_tables(*, bad: int = 0, good: int = 60) -> dict[str, pl.DataFrame]:
    """Sixty persons with an admission each in 2025, the last on 28 December, and rows without a sector."""
    ids = [f"p{number:02d}" for number in range(good)]
    starts = [datetime(2025, 12, 28) - number * A_DAY for number in range(good)]
    contacts = pl.DataFrame(
        {
            "person_id": [*ids, *ids[:bad]],
            "contact_id": [*(f"c{n}" for n in range(good)), *(f"x{n}" for n in range(bad))],
            "started_at": [*starts, *starts[:bad]],
            "ended_at": [start + A_DAY for start in [*starts, *starts[:bad]]],
            "sector": ["somatic"] * good + ["Somatisk"] * bad,
            "admission_type": "acute",
        }
    )
    persons = pl.DataFrame({"person_id": ids, "birth_date": "1980-05-01", "sex": "male"})
    return {"persons": persons, "admissions": contacts}


def write_csv(tables, folder):
    folder.mkdir()
    for table, frame in tables.items():
        frame.write_csv(folder / f"{table}.csv")
    return folder


# --- Once, at the line of the caller


def test_a_warning_is_given_once_for_a_call_and_again_for_the_next():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            with one_call():
                give_notice("a", SomvRiskWarning)
                with one_call():
                    give_notice("a", SomvRiskWarning)
                    give_notice("a", QuarantineWarning)
                assert [one["category"] for one in list_notices()] == ["SomvRiskWarning", "QuarantineWarning"]
    assert len(caught) == 4
    assert list_notices() == []


def test_one_per_cent_is_not_more_than_one_per_cent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sr.from_frames(**draw_tables(bad=1, good=99))
    with pytest.warns(QuarantineWarning, match=r"1 of 99 rows of admissions \(sector\|unknown_value: 1\)"):
        sr.from_frames(**draw_tables(bad=1, good=98))


def test_rows_set_aside_are_warned_of_at_the_line_that_reads_or_scores(model, tmp_path):
    folder = write_csv(draw_tables(bad=6), tmp_path / "delivery")
    with pytest.warns(QuarantineWarning) as read:
        histories = read_histories(folder)
    with pytest.warns(QuarantineWarning) as made:
        frames = sr.from_frames(**draw_tables(bad=6))
    with pytest.warns(QuarantineWarning) as scored:
        sr.score(model, frames, index_time="2025-12-28", allow=["absent-tables"])
    with pytest.warns(QuarantineWarning) as again:
        sr.score(model, histories, index_time="2025-12-28", allow=["absent-tables"])
    for caught in (read, made, scored, again):
        (one,) = [each for each in caught if each.category is QuarantineWarning]
        assert one.filename == __file__
        assert "6 of 66 rows of admissions" in str(one.message)


# --- The inferred end


@pytest.fixture
def undated(tmp_path):
    """A store of which no delivery says where the data end."""
    write_store(sr.from_frames(**draw_tables()), tmp_path / "store", buckets=BUCKETS)
    return tmp_path / "store"


def test_a_store_infers_from_when_until_when_there_are_data(undated):
    span = scan_store(undated).span
    assert (span.start, span.end, span.is_given) == (datetime(2025, 10, 30), datetime(2025, 12, 28), False)
    assert scan_store(undated, 1).span == span
    assert scan_store(undated).follow_up_end().collect().item() == span.end
    assert scan_store(undated).follow_up_start().collect().item() == span.start


def test_the_inferred_end_moves_with_a_delivery(undated):
    later = draw_tables(good=1)
    later["admissions"] = later["admissions"].with_columns(
        contact_id=pl.lit("new"), started_at=datetime(2026, 1, 20), ended_at=datetime(2026, 1, 21)
    )
    append_store(sr.from_frames(**later), undated, delivered_at=datetime(2026, 2, 1))
    assert scan_store(undated).span.end == datetime(2026, 1, 20)
    assert verify_store(undated).is_empty()


def test_a_mistyped_year_among_ten_thousand_contacts_moves_no_end():
    starts = [datetime(2020, 1, 1) + timedelta(hours=n) for n in range(20_000)]
    clean = infer_span(pl.LazyFrame({"started_at": starts})).collect().row(0)
    typed = [datetime(1926, 1, 1), *starts, datetime(2039, 1, 1)]
    spoiled = infer_span(pl.LazyFrame({"started_at": typed})).collect().row(0)
    assert len(clean) == 2
    for found, expected in zip(spoiled, clean, strict=True):
        assert abs(found - expected) <= timedelta(hours=1)


def test_few_contacts_end_with_the_last_of_them():
    starts = [datetime(2020, 1, 1), datetime(2024, 5, 1)]
    assert infer_span(pl.LazyFrame({"started_at": starts})).collect().row(0) == tuple(starts)
    none = pl.LazyFrame(schema={"started_at": pl.Datetime("us")})
    assert infer_span(none).collect().row(0) == (None, None)


@pytest.mark.parametrize("hours", [24, 24 * 700])
def test_nothing_is_scored_after_the_inferred_end_of_a_store(model, undated, tmp_path, hours):
    moment = datetime(2025, 12, 28) + timedelta(hours=hours)
    allow = ["absent-tables"]
    with pytest.raises(IndexTimeError, match=r"2025-12-28 00:00:00 \(inferred"):
        sr.score(model, scan_store(undated), index_time=moment, allow=allow)
    with pytest.raises(IndexTimeError, match="inferred"):
        run_batch(model, undated, tmp_path / "out", index_time=moment, allow=allow)
    allow.append("index-time")
    with pytest.warns(StaleDataWarning) as caught:
        scored = sr.score(model, scan_store(undated), index_time=moment, allow=allow, language="en")
    assert [one.filename for one in caught if one.category is StaleDataWarning] == [__file__]
    assert all("The data end on 28 December 2025" in notes[-1] for notes in scored["warnings"])
    with pytest.warns(StaleDataWarning):
        result = run_batch(model, undated, tmp_path / "out", index_time=moment, allow=allow)
    run = json.loads((result.folder / "manifest.json").read_text())
    assert "StaleDataWarning" in [one["category"] for one in run["warnings"]]


def test_a_moment_less_than_a_day_after_the_end_is_within_the_data(model, undated):
    moment = datetime(2025, 12, 28, 23, 59, 59)
    assert sr.score(model, scan_store(undated), index_time=moment, allow=["absent-tables"]).height


def test_frames_of_a_few_citizens_are_warned_of_after_a_silent_year_and_not_refused(model):
    frames = sr.from_frames(**draw_tables())
    options = {"allow": ["absent-tables"], "language": "en"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", StaleDataWarning)
        quiet = sr.score(model, frames, index_time="2026-12-27", **options)
    assert not any("latest entry" in note for notes in quiet["warnings"] for note in notes)
    with pytest.warns(StaleDataWarning, match="365 days before"):
        stale = sr.score(model, frames, index_time="2026-12-28", **options)
    told = "The latest entry in the data is from 28 December 2025, 365 days before the index moment."
    assert all(told in notes for notes in stale["warnings"])


def test_a_folder_is_scored_as_frames_are_and_not_refused(model, tmp_path):
    folder = write_csv(draw_tables(), tmp_path / "in")
    options = {"allow": ["absent-tables"]}
    for moment, is_silent in ((datetime(2026, 12, 27), False), (datetime(2026, 12, 28), True)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            expected = sr.score(model, read_histories(folder), index_time=moment, **options)
            run_batch(model, folder, tmp_path / str(moment.day), index_time=moment, **options)
        assert len([one for one in caught if one.category is StaleDataWarning]) == 2 * is_silent
        assert any("28. december 2025" in note for note in expected["warnings"][0]) is is_silent
        made = pl.read_parquet(tmp_path / str(moment.day) / "scores.parquet")
        assert made.equals(expected)


# --- Runs


@pytest.fixture
def spoiled(crowded, tmp_path):
    """A store of which two per cent of the admissions were set aside."""
    contacts = crowded.admissions.collect()
    bad = contacts.head(contacts.height // 50).with_columns(
        pl.col("sector").cast(pl.String).replace("somatic", "?").replace("psychiatric", "?"),
        contact_id=pl.lit("bad-") + pl.col("contact_id"),
    )
    tables = {name: frame.collect() for name, frame in crowded.tables.items()}
    mixed = pl.concat([contacts.with_columns(pl.col("sector").cast(pl.String)), bad], how="vertical_relaxed")
    with pytest.warns(QuarantineWarning):
        histories: Histories = sr.from_frames(**tables | {"admissions": mixed}, data_end=crowded.data_end)
    write_store(histories, tmp_path / "store", buckets=BUCKETS)
    return tmp_path / "store"


def test_a_run_writes_what_it_warns_of_into_its_log_and_manifest(model, spoiled, crowded, tmp_path):
    with pytest.warns(QuarantineWarning) as caught:
        result = run_batch(model, spoiled, tmp_path / "out", index_time=crowded.data_end)
    (sentence,) = {str(one.message) for one in caught if one.category is QuarantineWarning}
    told = {"category": "QuarantineWarning", "sentence": sentence}
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["warnings"] == [told]
    lines = [json.loads(line) for line in (tmp_path / "out" / "run.log").read_text().splitlines()]
    assert [{k: line[k] for k in told} for line in lines if line["event"] == "warning"] == [told]
    noted = pl.read_parquet(tmp_path / "out" / "scores.parquet").filter(pl.col("warnings").list.len() > 0)
    assert result.counts.noted == noted.height > 0


def test_a_resumed_run_leaves_the_same_bytes_with_its_warnings(model, spoiled, crowded, tmp_path):
    for name in ("once", "resumed"):
        run_batch(model, spoiled, tmp_path / name, index_time=crowded.data_end)
    for part in (tmp_path / "resumed" / "scores").iterdir():
        part.unlink()
        break
    run_batch(model, spoiled, tmp_path / "resumed", index_time=crowded.data_end)
    for file in ("manifest.json", "scores.parquet", "worklist.html"):
        assert (tmp_path / "once" / file).read_bytes() == (tmp_path / "resumed" / file).read_bytes()


@pytest.fixture
def mixed(spoiled):
    """The histories of that store, in memory."""
    scanned = scan_store(spoiled)
    return replace(scanned, tables={name: t.collect().lazy() for name, t in scanned.tables.items()})


def test_training_evaluating_and_monitoring_warn_of_rows_set_aside(model, mixed, plan):
    calls = {
        "train": lambda: sr.train(mixed, plan),
        "evaluate": lambda: sr.evaluate(model, mixed, index_times=[mixed.data_end - 365 * A_DAY], draws=20),
        "monitor": lambda: sr.monitor(model, mixed, index_time=mixed.data_end),
    }
    for name, call in calls.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        told = [str(one.message) for one in caught if one.category is QuarantineWarning]
        assert len(told) == 1, name
        assert "rows of admissions (sector|unknown_value:" in told[0]


# --- Command line


def test_ingest_says_which_end_it_inferred(run, tmp_path):
    delivery = write_csv(draw_tables(), tmp_path / "in")
    told = run("ingest", "--input", delivery, "--store", tmp_path / "store")
    assert told.code == 0
    assert "The data end was not given; inferred: the last hospital contact, 2025-12-28 00:00:00." in told.out
    given = ("--data-end", "2026-01-01")
    told = run("ingest", "--input", delivery, "--store", tmp_path / "dated", *given)
    assert "inferred" not in told.out


def test_ingest_of_too_many_bad_rows_has_its_own_exit_code_and_writes_nothing(run, tmp_path):
    delivery = write_csv(draw_tables(bad=6), tmp_path / "in")
    arguments = ("ingest", "--input", delivery, "--store", tmp_path / "store", "--max-set-aside")
    told = run(*arguments, "0.05")
    assert (told.code, told.out) == (12, "")
    assert "6 of 66 rows of admissions" in told.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in"]
    assert run(*arguments, "0.1").code == 0
    assert run(*arguments, "1.5").code != 0


def test_a_large_table_may_lose_five_per_cent_by_default(run, tmp_path):
    few = write_csv(draw_tables(bad=6, good=93), tmp_path / "few")
    many = write_csv(draw_tables(bad=6, good=94), tmp_path / "many")
    assert run("ingest", "--input", few, "--store", tmp_path / "one").code == 0
    assert run("ingest", "--input", many, "--store", tmp_path / "two").code == 12


def test_check_only_says_all_that_ingest_would_and_writes_nothing(run, tmp_path, monkeypatch):
    delivery = write_csv(draw_tables(bad=6), tmp_path / "in")
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))
    arguments = ("ingest", "--input", delivery, "--store", tmp_path / "store")
    told = run(*arguments, "--check-only")
    assert told.code == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in", "private"]
    assert list(private.iterdir()) == []
    assert "Rows set aside: 6" in told.out
    assert "sector|unknown_value" in told.out
    assert "inferred: the last hospital contact, 2025-12-28" in told.out
    assert "6 of 66 rows of admissions" in told.err
    assert run(*arguments, "--check-only", "--max-set-aside", "0.01").code == 12
    assert not (tmp_path / "store").exists()
    assert run(*arguments).err == told.err


def test_a_delivery_that_changes_nothing_shows_no_summary_unless_asked(run, undated, tmp_path):
    delivery = write_csv(draw_tables(), tmp_path / "in")
    arguments = ("ingest", "--input", delivery, "--store", undated, "--append")
    moment = ("--delivered-at", "2026-02-01")
    run(*arguments, *moment)
    told = run(*arguments, *moment)
    assert "changes nothing" in told.out
    assert "Histories" not in told.out
    assert "Histories" in run(*arguments, *moment, "--verbose").out


# --- Pages


@pytest.mark.parametrize("language", ["en", "da"])
def test_the_page_of_an_evaluation_shows_what_was_warned_of(model, region, tmp_path, language):
    aside = pl.DataFrame({"row": range(10_000), "rule": "type"})
    spoiled = Histories(region.tables, region.data_end, Quarantine({"admissions": aside}))
    index = region.data_end - timedelta(days=365)
    with pytest.warns(QuarantineWarning) as caught:
        report = sr.evaluate(model, spoiled, index_times=[index], draws=0)
    (one,) = [each for each in caught if each.category is QuarantineWarning]
    report.to_html(tmp_path / "page.html", language=language)
    assert str(one.message).split(" (")[0] in (tmp_path / "page.html").read_text(encoding="utf-8")
