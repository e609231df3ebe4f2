"""Notes: what holds for one person's score stands beside it, by whatever way it was scored."""

from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
from somv_risk.batch import Options, run_batch
from somv_risk.errors import QuarantineWarning
from somv_risk.registers.histories import Histories, Quarantine
from somv_risk.store import scan_store, write_store

BUCKETS = 3
SENTENCES = {
    "da": ("Én oplysning om personen kunne ikke", "3 oplysninger om personen kunne ikke"),
    "en": ("One row about this person could not", "3 rows about this person could not"),
    "nb": ("Én opplysning om personen kunne ikke", "3 opplysninger om personen kunne ikke"),
    "sv": ("En uppgift om personen kunde inte", "3 uppgifter om personen kunde inte"),
}


@pytest.fixture(scope="module")
def few(crowded) -> Histories:
    """Some hundred persons."""
    ids = crowded.persons.select("person_id").head(400).collect()
    kept = crowded.keep_persons(ids.lazy())
    return Histories({name: t.collect().lazy() for name, t in kept.tables.items()}, crowded.data_end)


@pytest.fixture(scope="module")
def eligible(model, few) -> list[str]:
    return sorted(sr.score(model, few, index_time=few.data_end, explain="none")["person_id"])


@pytest.fixture(scope="module")
def spoiled(few, eligible) -> Histories:
    """The first person has three rows set aside, one of which broke two rules; the second has one."""
    first, second = eligible[:2]
    contacts = pl.DataFrame(
        {
            "row": pl.Series([5, 5, 9, 4], dtype=pl.UInt32),
            "rule": ["type", "duplicate", "type", "type"],
            "person_id": [f" {first} ", f" {first} ", first, second],
        }
    )
    support = pl.DataFrame(
        {"row": pl.Series([0, 1], dtype=pl.UInt32), "rule": ["type"] * 2, "person_id": [first, None]}
    )
    return replace(few, quarantine=Quarantine({"admissions": contacts, "social_services": support}))


def list_notes(scores: pl.DataFrame) -> dict[str, list[str]]:
    return {person: notes for person, notes in scores.select("person_id", "warnings").iter_rows() if notes}


@pytest.mark.parametrize("language", SENTENCES)
def test_rows_set_aside_are_noted_beside_the_score_of_their_person_alone(model, spoiled, eligible, language):
    scored = sr.score(model, spoiled, index_time=spoiled.data_end, explain="none", language=language)
    one, three = SENTENCES[language]
    notes = list_notes(scored)
    assert sorted(notes) == eligible[:2]
    assert notes[eligible[0]][0].startswith(three)
    assert notes[eligible[1]][0].startswith(one)
    assert [len(own) for own in notes.values()] == [1, 1]


def test_rows_that_lost_a_part_are_noted_beside_the_score_of_their_person_alone(model, few, eligible):
    """A code that is no ICD-10 costs the diagnosis; the contact counts."""
    contacts = few.admissions.collect()
    person = contacts["person_id"].value_counts(sort=True)["person_id"]
    (chosen,) = [name for name in person if name in eligible][:1]
    own = contacts["person_id"] == chosen
    spoiled = contacts.with_columns(diagnosis=pl.when(own).then(pl.lit("nonsense")).otherwise("diagnosis"))
    tables = {name: frame.collect() for name, frame in few.tables.items()} | {"admissions": spoiled}
    with pytest.warns(QuarantineWarning, match="Kept without an attribute were"):
        read = sr.from_frames(**tables, data_end=few.data_end)
    with pytest.warns(QuarantineWarning, match="Kept without an attribute were"):
        scored = sr.score(model, read, index_time=few.data_end, explain="none", language="en")
    assert own.sum() > 1
    assert list_notes(scored) == {
        chosen: [f"{own.sum()} rows about this person are counted without a part that could not be read."]
    }


def test_a_note_stands_after_what_holds_for_every_score(model, spoiled, eligible):
    tables = {name: frame for name, frame in spoiled.tables.items() if name != "primary_care"}
    poorer = replace(spoiled, tables={n: f for n, f in tables.items() if n != "social_services"})
    scored = sr.score(
        model,
        poorer,
        index_time=spoiled.data_end,
        explain="none",
        language="en",
        allow=["absent-tables"],
    )
    notes = list_notes(scored)
    assert set(notes) == set(eligible)
    common = notes[eligible[2]]
    assert notes[eligible[0]] == [*common, "3 rows about this person could not be used and are not counted."]


def test_a_store_a_bucket_and_one_citizen_have_the_same_notes(model, spoiled, eligible, tmp_path):
    write_store(spoiled, tmp_path / "store", buckets=BUCKETS)
    options = {"explain": "none", "language": "en"}
    expected = sr.score(model, spoiled, index_time=spoiled.data_end, **options)
    scanned = scan_store(tmp_path / "store")
    assert_frame_equal(sr.score(model, scanned, index_time=spoiled.data_end, **options), expected)
    one = sr.score(model, scanned, index_time=spoiled.data_end, person_ids=[eligible[0]], **options)
    assert list_notes(one) == {eligible[0]: list_notes(expected)[eligible[0]]}
    run_batch(
        model, tmp_path / "store", tmp_path / "out", index_time=spoiled.data_end, options=Options(**options)
    )
    assert_frame_equal(pl.read_parquet(tmp_path / "out" / "scores.parquet"), expected)


def test_what_holds_for_one_person_is_no_warning_of_a_run(model, spoiled, tmp_path):
    write_store(spoiled, tmp_path / "store", buckets=BUCKETS)
    result = run_batch(model, tmp_path / "store", tmp_path / "out", index_time=spoiled.data_end)
    assert result.counts.warnings == ()


def test_a_change_of_a_person_has_their_notes(model, spoiled, eligible):
    moments = (spoiled.data_end.replace(year=spoiled.data_end.year - 1), spoiled.data_end)
    change = sr.explain_change(model, spoiled, eligible[0], *moments, language="en")
    assert change.warnings == ("3 rows about this person could not be used and are not counted.",)
