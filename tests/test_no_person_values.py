"""Errors, warnings, counts and logs carry names of columns and counts, and never what stands in a cell."""

import traceback
import warnings
from datetime import date, datetime

import polars as pl
import pytest

import somv_risk as sr
from somv_risk.errors import InputError, SomvRiskError
from somv_risk.registers import schema as s

WORD, CPR = "SECRETVALUE", "0101701234"
INDEX = datetime(2025, 6, 1)
EVENT = {"person_id": "ada", "started_at": "2025-03-01T10:00", "ended_at": "2025-03-02T10:00", "known_at": ""}
SOUND = {
    "persons": {"person_id": "ada", "birth_date": "1980-05-01", "sex": "female"},
    "admissions": EVENT | {"contact_id": "a1", "sector": "somatic", "admission_type": "acute"},
    "diagnoses": EVENT | {"contact_id": "a1", "code": "F102", "kind": "primary"},
    "psychiatric_contacts": EVENT
    | {"contact_id": "p1", "contact_type": "outpatient", "attendance": "attended"},
    "substance_abuse": EVENT | {"episode_id": "e1", "substance": "alcohol"},
    "social_benefits": EVENT | {"benefit": "sickness"},
    "social_services": EVENT | {"service": "shelter"},
    "primary_care": EVENT | {"kind": "gp"},
}
CELLS = [(table, column) for table in SOUND for column in (*s.get_columns(table), "a_column_of_their_own")]


def plant(table, column, value):
    """A table with a sound row and a second, the same but for one cell; and the required tables."""
    frames = {name: pl.DataFrame([SOUND[name]]) for name in s.REQUIRED_TABLES}
    second = SOUND[table] | {column: value}
    return frames | {table: pl.DataFrame([SOUND[table] | dict.fromkeys({column} - {*SOUND[table]}), second])}


def tell(act):
    """Everything that is said while something is done: the error with its trace, warnings, and counts."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            said = describe(act())
        except SomvRiskError as error:
            said = "".join(traceback.format_exception(error))
    return said + "".join(str(warning.message) for warning in warned)


def describe(histories):
    quarantine = histories.quarantine
    return f"{quarantine} {quarantine.summary()} {quarantine.count()} {histories.dropped}"


def assert_silent(said, *secrets):
    assert said
    for secret in secrets or (WORD, CPR):
        assert secret not in said


@pytest.mark.parametrize(("table", "column"), CELLS)
@pytest.mark.parametrize("value", [WORD, CPR])
def test_no_cell_is_told_when_frames_are_checked(table, column, value, caplog):
    frames = plant(table, column, value)
    assert_silent(tell(lambda: sr.from_frames(**frames)))
    assert_silent(tell(lambda: sr.from_frames(**frames, pseudonymise_key="b7e14ac09d3f58c2")))
    assert not caplog.records


@pytest.mark.parametrize("column", ["person_id", "started_at", "sector", "diagnosis", "contact_id"])
@pytest.mark.parametrize(
    "wrap", [lambda word: [word], lambda word: {"inside": word}, str.encode], ids=["list", "struct", "bytes"]
)
def test_no_cell_is_told_when_a_column_has_a_wrong_type(column, wrap):
    admissions = pl.DataFrame([SOUND["admissions"]]).with_columns(pl.Series(column, [wrap(WORD)]))
    with pytest.raises(InputError) as caught:
        sr.from_frames(persons=pl.DataFrame([SOUND["persons"]]), admissions=admissions)
    assert WORD not in str(caught.value)


def write_csv(folder, frames):
    folder.mkdir(exist_ok=True)
    for name, frame in frames.items():
        frame.write_csv(folder / f"{name}.csv")
    return folder


@pytest.mark.parametrize(("table", "column"), [cell for cell in CELLS if cell[0] in s.REQUIRED_TABLES])
def test_no_cell_is_told_by_the_command_line(tmp_path, run, table, column):
    for value in (WORD, CPR):
        told = run("check", write_csv(tmp_path / "in", plant(table, column, value)))
        assert told.code in {0, 5, 10}
        assert_silent(told.out + told.err)


@pytest.mark.parametrize(
    "line", [f"{WORD},{CPR},{'x,' * 30}", f'"{WORD},{CPR}', f'"x"{WORD}"', f"æ{WORD}".encode("latin-1")]
)
def test_no_cell_is_told_when_a_file_cannot_be_read(tmp_path, run, line):
    folder = write_csv(tmp_path / "in", plant("persons", "sex", "male"))
    with (folder / "admissions.csv").open("ab") as file:
        file.write(line if isinstance(line, bytes) else line.encode())
    assert_silent(tell(lambda: sr.read_histories(folder)))
    told = run("check", folder)
    assert told.code in {3, 10}
    assert_silent(told.out + told.err)


def test_no_cell_is_told_when_a_file_has_no_header(tmp_path):
    folder = write_csv(tmp_path / "in", plant("persons", "sex", "male"))
    (folder / "persons.csv").write_text(f"{CPR},1970-01-01,{WORD}\n{CPR},1970-01-01,{WORD}\n")
    assert_silent(tell(lambda: sr.read_histories(folder)))


def test_no_cell_is_told_when_histories_are_shown():
    histories = sr.from_frames(**plant("admissions", "person_id", WORD))
    assert_silent(repr(histories))


PERSON = {
    "person_id": "7",
    "gender_concept_id": "8532",
    "year_of_birth": "1980",
    "month_of_birth": "5",
    "day_of_birth": "1",
    "birth_datetime": "",
    "gender_source_value": "F",
}
VISIT = {
    "visit_occurrence_id": "70",
    "person_id": "7",
    "visit_concept_id": "9203",
    "visit_start_date": "2024-03-01",
    "visit_start_datetime": "",
    "visit_end_date": "2024-03-03",
    "visit_end_datetime": "",
    "visit_source_value": "",
    "care_site_id": "",
    "discharged_to_source_value": "",
}
CONDITION = {
    "visit_occurrence_id": "70",
    "person_id": "7",
    "condition_source_value": "F10.2",
    "condition_status_concept_id": "32902",
}
DEATH = {"person_id": "7", "death_date": "2025-01-01", "death_datetime": ""}
PERIOD = {
    "person_id": "7",
    "observation_period_start_date": "2020-01-01",
    "observation_period_end_date": "2025-01-01",
}
OMOP = {
    "person": PERSON,
    "visit_occurrence": VISIT,
    "condition_occurrence": CONDITION,
    "death": DEATH,
    "observation_period": PERIOD,
}
# What is no concept is a count's reason by its concept id, which is a word of the code list.
OMOP_CELLS = [
    (table, column) for table, row in OMOP.items() for column in row if not column.endswith("concept_id")
]


@pytest.mark.parametrize(("table", "column"), OMOP_CELLS)
def test_no_cell_is_told_when_an_omop_delivery_is_read(tmp_path, table, column):
    value = CPR if column == "person_id" else WORD
    frames = {
        name: pl.DataFrame([row, row | {column: value}] if name == table else [row])
        for name, row in OMOP.items()
    }
    folder = write_csv(tmp_path / "in", frames)
    assert_silent(tell(lambda: sr.from_omop(folder)))


# --- Those who are scored


def make_people(*person_ids, birth_date=date(1980, 5, 1)):
    """Persons to whom nothing has happened."""
    persons = pl.DataFrame(
        {"person_id": person_ids, "birth_date": birth_date, "sex": "female"},
        schema={"person_id": pl.String, "birth_date": pl.Date, "sex": pl.String},
    )
    return sr.from_frames(persons=persons, admissions=pl.DataFrame(SOUND["admissions"]).clear())


def test_no_id_is_told_when_some_persons_have_no_score(model):
    histories = make_people("ada")
    with pytest.warns(UserWarning, match="1 of 2 persons have no score") as warned:
        sr.score(model, histories, index_time=INDEX, person_ids=["ada", WORD], allow=["absent-tables"])
    assert all(WORD not in str(warning.message) for warning in warned)


def test_no_id_is_told_when_nobody_is_eligible(model):
    histories = make_people(WORD, birth_date=date(2020, 5, 1))
    allow = ["absent-tables"]
    for act in (
        lambda: sr.score(model, histories, index_time=INDEX, allow=allow),
        lambda: sr.score(model, histories, index_time=INDEX, person_ids=[WORD], allow=allow),
        lambda: sr.explain_person(model, histories, WORD, INDEX, allow=allow),
        lambda: sr.train(histories),
    ):
        assert_silent(tell(act))


def test_no_id_is_told_by_score_and_explain_on_the_command_line(model, tmp_path, run):
    model.save(tmp_path / "model")
    folder = write_csv(
        tmp_path / "in",
        {
            name: frame.collect()
            for name, frame in make_people(*(f"{WORD}-{number}" for number in range(20))).tables.items()
        },
    )
    common = ("--store", folder, "--model", tmp_path / "model", "--index-time", "2025-06-01")
    scored = run("score", *common, "--out", tmp_path / "out", "--capacity", 5, "--allow", "absent-tables")
    assert scored.code == 0
    assert "Scored: 20. Flagged: 5" in scored.out
    assert_silent(scored.out + scored.err)
    unknown = run("explain", *common, "--person", f"{WORD}-unknown", "--allow", "absent-tables")
    assert unknown.code == 8
    assert_silent(unknown.out + unknown.err)
    assert_silent(run("train", "--store", folder, "--model", tmp_path / "other").err)
