"""An OMOP folder becomes canonical tables, and every row that does not is counted with its reason."""

import gzip
import warnings
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from independent_data import ROOT, find_external, read_rows
from somv_risk.errors import ConfigError, InputError, SourceError, SourceWarning
from somv_risk.registers import schema
from somv_risk.sources import deliver_omop
from somv_risk.sources.omop.delivery import scan_omop
from somv_risk.sources.omop.mapping import read_mapping
from somv_risk.store import ingest

PERSON = """
    person_id, gender_concept_id, year_of_birth
    7,         8532,              1980
"""
VISIT = """
    visit_occurrence_id, person_id, visit_concept_id, visit_start_date, visit_end_date
    70,                  7,         9203,             2024-03-01,       2024-03-03
"""
CONDITION_HEAD = "visit_occurrence_id,person_id,condition_source_value,condition_source_concept_id"
CONCEPT = """
    concept_id, concept_name,          vocabulary_id
    5,          Type 2 diabetes,       SNOMED
    9,          Diseases and injuries, ICD9CM
    10,         Diseases,              ICD10CM
    800,        ELECTIVE,              local
    801,        EW EMER.,              local
    802,        AMBULATORY OBSERVATION,local
    803,        EU OBSERVATION,        local
"""


def to_csv(drawing: str) -> str:
    lines = (line.split(",") for line in drawing.strip().splitlines())
    return "".join(",".join(cell.strip() for cell in cells) + "\n" for cells in lines)


def write_folder(folder: Path, **tables: str) -> Path:
    folder.mkdir(exist_ok=True)
    for table, drawing in {"person": PERSON, "visit_occurrence": VISIT, **tables}.items():
        (folder / f"{table}.csv").write_text(to_csv(drawing))
    return folder


def write_visit(folder: Path, *, config: str = "", tables: dict[str, str] | None = None, **cells: str):
    """One visit with the given cells besides the necessary ones; its admission."""
    given = {
        "visit_occurrence_id": "70",
        "person_id": "7",
        "visit_concept_id": "9201",
        "visit_start_date": "2024-03-01",
        "visit_end_date": "2024-03-03",
        **cells,
    }
    visit = f"{','.join(given)}\n{','.join(given.values())}"
    path = write_folder(folder / "omop", visit_occurrence=visit, **(tables or {}))
    return scan_omop(path, write_config(folder, config))


def write_config(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text)
    return path


def only_row(frame: pl.LazyFrame) -> dict[str, object]:
    return frame.collect().row(0, named=True)


def reasons(delivery) -> dict[str, int]:
    return dict(delivery.dropped.select("reason", "rows").iter_rows())


def rows_of(frame: pl.LazyFrame) -> int:
    return frame.collect().height


# --- The whole delivery


def test_a_delivery_has_the_columns_and_types_of_the_contract(tmp_path):
    tables = scan_omop(write_folder(tmp_path, condition_occurrence=CONDITION_HEAD)).tables
    assert list(tables) == ["persons", "admissions", "diagnoses"]
    for table, frame in tables.items():
        for column, dtype in frame.collect_schema().items():
            expected = schema.get_columns(table)[column]
            assert dtype == (pl.String if isinstance(expected, pl.Enum) else expected), column


def test_without_conditions_there_are_no_diagnoses_rather_than_none_found(tmp_path):
    assert "diagnoses" not in scan_omop(write_folder(tmp_path)).tables


def test_nothing_is_dropped_from_a_delivery_that_is_taken_whole(tmp_path):
    delivery = scan_omop(write_folder(tmp_path))
    assert delivery.dropped.schema == {"source_table": pl.String, "reason": pl.String, "rows": pl.Int64}
    assert delivery.dropped.is_empty()


def test_64_bit_ids_survive_digit_by_digit(tmp_path):
    person = "person_id,gender_concept_id,year_of_birth\n-9223372036854775807,8507,1980"
    path = write_folder(tmp_path, person=person)
    assert only_row(scan_omop(path).tables["persons"])["person_id"] == "-9223372036854775807"


def test_the_data_end_is_the_day_after_the_last_observation_period(tmp_path):
    periods = "person_id,observation_period_start_date,observation_period_end_date\n7,2020-01-01,2024-12-31"
    delivery = scan_omop(write_folder(tmp_path, observation_period=periods))
    assert delivery.data_end == datetime(2025, 1, 1)
    person = only_row(delivery.tables["persons"])
    assert (person["observed_from"], person["observed_until"]) == (date(2020, 1, 1), date(2025, 1, 1))


def test_several_observation_periods_of_a_person_become_one_span(tmp_path):
    periods = """
        person_id, observation_period_start_date, observation_period_end_date
        7,         2022-01-01,                    2023-05-31
        7,         2020-01-01,                    2021-12-31
    """
    person = only_row(scan_omop(write_folder(tmp_path, observation_period=periods)).tables["persons"])
    assert (person["observed_from"], person["observed_until"]) == (date(2020, 1, 1), date(2023, 6, 1))


def test_without_observation_periods_the_data_end_with_the_last_visit(tmp_path):
    delivery = scan_omop(write_folder(tmp_path))
    assert delivery.data_end == datetime(2024, 3, 3)
    assert only_row(delivery.tables["persons"])["observed_from"] is None


def test_data_without_any_end_are_refused(tmp_path):
    with pytest.raises(InputError, match="nothing says where the data end"):
        write_visit(tmp_path, visit_end_date="")


# --- Persons


@pytest.mark.parametrize(
    ("columns", "cells", "birth_date"),
    [
        ("year_of_birth", "1980", date(1980, 7, 1)),
        ("year_of_birth,month_of_birth", "1980,2", date(1980, 2, 15)),
        ("year_of_birth,month_of_birth,day_of_birth", "1980,2,3", date(1980, 2, 3)),
        ("year_of_birth,month_of_birth,day_of_birth", "1980,,3", date(1980, 7, 1)),
        ("year_of_birth,month_of_birth,day_of_birth", "1980.0,2.0,3.0", date(1980, 2, 3)),
        ("year_of_birth,birth_datetime", "1980,1981-12-31 23:30:00", date(1981, 12, 31)),
        ("year_of_birth,month_of_birth,day_of_birth", "1980,2,31", None),
    ],
)
def test_a_birth_date_is_as_exact_as_it_is_given(tmp_path, columns, cells, birth_date):
    person = f"person_id,gender_concept_id,{columns}\n7,8532,{cells}"
    assert (
        only_row(scan_omop(write_folder(tmp_path, person=person)).tables["persons"])["birth_date"]
        == birth_date
    )


@pytest.mark.parametrize(
    ("concept", "text", "sex"),
    [("8532", "", "female"), ("8507", "F", "male"), ("0", "f", "female"), ("0", "", "unknown")],
)
def test_sex_comes_from_the_concept_and_else_from_the_sources_word(tmp_path, concept, text, sex):
    person = f"person_id,gender_concept_id,year_of_birth,gender_source_value\n7,{concept},1980,{text}"
    assert only_row(scan_omop(write_folder(tmp_path, person=person)).tables["persons"])["sex"] == sex


def test_the_register_of_deaths_comes_before_a_death_in_hospital(tmp_path):
    died = {"discharged_to_source_value": "DIED"}
    assert only_row(write_visit(tmp_path, **died).tables["persons"])["death_date"] == date(2024, 3, 3)
    register = {"death": "person_id,death_date\n7,2024-03-02"}
    delivery = write_visit(tmp_path, tables=register, **died)
    assert only_row(delivery.tables["persons"])["death_date"] == date(2024, 3, 2)


def test_a_death_without_a_readable_date_is_counted(tmp_path):
    delivery = scan_omop(write_folder(tmp_path, death="person_id,death_date\n7,soon"))
    assert reasons(delivery) == {"no readable date of death": 1}


# --- Visits


def test_a_moment_is_taken_before_a_date(tmp_path):
    moments = {"visit_start_datetime": "2024-03-01T22:15:00", "visit_end_datetime": ""}
    admission = only_row(write_visit(tmp_path, **moments).tables["admissions"])
    assert admission["started_at"] == datetime(2024, 3, 1, 22, 15)
    assert admission["ended_at"] == datetime(2024, 3, 3)


def test_a_bare_end_date_does_not_lie_before_a_start_on_the_same_day(tmp_path):
    cells = {"visit_start_datetime": "2024-03-01 22:15", "visit_end_date": "2024-03-01"}
    admission = only_row(write_visit(tmp_path, **cells).tables["admissions"])
    assert admission["ended_at"] == admission["started_at"]


@pytest.mark.parametrize("text", ["2024-03-01T12:00:00Z", "2024-03-01 14:00:00+0200", "2024-03-01 13:00:00"])
def test_zoned_moments_become_local_time(tmp_path, text):
    delivery = write_visit(tmp_path, visit_start_datetime=text)
    assert only_row(delivery.tables["admissions"])["started_at"] == datetime(2024, 3, 1, 13)


@pytest.mark.parametrize("column", ["visit_start_date", "visit_start_datetime", "visit_end_date"])
def test_a_visit_with_an_unreadable_moment_is_neither_open_nor_moved(tmp_path, column):
    periods = "person_id,observation_period_start_date,observation_period_end_date\n7,2020-01-01,2024-12-31"
    cells = {column: "03/04/2024"}
    delivery = write_visit(tmp_path, tables={"observation_period": periods}, **cells)
    assert rows_of(delivery.tables["admissions"]) == 0
    assert reasons(delivery) == {"start or end is not a readable moment": 1}


def test_outpatient_visits_are_dropped_and_counted_by_their_concept(tmp_path):
    visits = f"""{VISIT.strip()}
        71, 7, 9202, 2024-03-05, 2024-03-05
        72, 7, 9202, 2024-03-06, 2024-03-06
        73, 7, 0,    2024-03-07, 2024-03-07
    """
    delivery = scan_omop(write_folder(tmp_path, visit_occurrence=visits))
    assert rows_of(delivery.tables["admissions"]) == 1
    assert delivery.dropped.rows() == [
        ("visit_occurrence", "visit concept 9202 is mapped to no table", 2),
        ("visit_occurrence", "visit concept 0 is mapped to no table", 1),
    ]


def test_a_stay_with_an_outpatient_concept_is_found_by_the_sources_own_key(tmp_path):
    delivery = write_visit(tmp_path, visit_concept_id="38004207", visit_source_value="10000032|22595853")
    assert rows_of(delivery.tables["admissions"]) == 1


@pytest.mark.parametrize(
    ("cells", "admission_type"),
    [
        ({"visit_concept_id": "9203"}, "acute"),
        ({"visit_concept_id": "262"}, "acute"),
        ({"visit_concept_id": "8883"}, "planned"),
        ({"visit_concept_id": "9201"}, "planned"),
        ({"visit_concept_id": "9201", "admitted_from_source_value": "Emergency room"}, "acute"),
        ({"visit_concept_id": "9201", "admitted_from_concept_id": "8870"}, "acute"),
        ({"visit_concept_id": "9201", "visit_source_value": "non-urgent"}, "planned"),
        ({"visit_concept_id": "9201", "visit_source_value": "Akut"}, "acute"),
        ({"visit_concept_id": "262", "visit_source_concept_id": "800"}, "planned"),
        ({"visit_concept_id": "9201", "visit_source_concept_id": "801"}, "acute"),
        ({"visit_concept_id": "581385", "visit_source_concept_id": "802"}, "planned"),
        ({"visit_concept_id": "9201", "visit_source_concept_id": "803"}, "acute"),
    ],
)
def test_the_hospitals_word_decides_on_acute_before_the_concept_and_the_origin(
    tmp_path, cells, admission_type
):
    delivery = write_visit(tmp_path, tables={"concept": CONCEPT}, **cells)
    assert only_row(delivery.tables["admissions"])["admission_type"] == admission_type


@pytest.mark.parametrize(
    ("concept", "text", "discharge"),
    [
        ("4021968", "", "left_early"),
        ("40482021", "", "left_early"),
        ("32216.0", "", "left_early"),
        ("581476", "Left against medical advice", "left_early"),
        ("4216643", "", "died"),
        ("0", "EXPIRED", "died"),
        ("8717", "", "transferred"),
        ("0", "PSYCH FACILITY", "transferred"),
        ("8863", "SKILLED NURSING FACILITY", "completed"),
        ("0", "HOME", "completed"),
        ("0", "", "unknown"),
        ("", "", "unknown"),
    ],
)
@pytest.mark.parametrize("name", ["discharge_to", "discharged_to"])
def test_dispositions_are_read_in_both_versions_of_the_model(tmp_path, name, concept, text, discharge):
    cells = {f"{name}_concept_id": concept, f"{name}_source_value": text}
    delivery = write_visit(tmp_path, **cells)
    assert only_row(delivery.tables["admissions"])["discharge"] == discharge


def test_the_care_site_gives_places_and_sector_and_unknown_is_no_place(tmp_path):
    care_sites = """
        care_site_id, care_site_name,   care_site_source_value, location_id
        1,            Ungdomspsykiatri, Unknown,                North
        2,            Medicine,         M2,                     South
    """
    tables = {"care_site": care_sites}
    psychiatry = only_row(write_visit(tmp_path, tables=tables, care_site_id="1").tables["admissions"])
    assert (psychiatry["sector"], psychiatry["hospital"]) == ("psychiatric", None)
    medicine = only_row(write_visit(tmp_path, tables=tables, care_site_id="2").tables["admissions"])
    assert (medicine["sector"], medicine["hospital"], medicine["department"]) == ("somatic", "M2", "Medicine")
    config = "[care_sites]\nhospital = 'location_id'"
    south = write_visit(tmp_path, tables=tables, config=config, care_site_id="2")
    assert only_row(south.tables["admissions"])["hospital"] == "South"


def test_a_site_can_name_its_outpatient_psychiatry_and_primary_care(tmp_path):
    visits = """
        visit_occurrence_id, person_id, visit_concept_id, visit_start_date, visit_end_date
        70,                  7,         2000000101,       2024-03-01,       2024-03-01
        71,                  7,         581477,           2024-03-02,       2024-03-02
    """
    config = (
        "[visit_table.psychiatric_contacts]\nvisit_concept_id = [2000000101]\n"
        "[visit_table.primary_care]\nvisit_concept_id = [581477]"
    )
    path = write_folder(tmp_path / "omop", visit_occurrence=visits)
    delivery = scan_omop(path, write_config(tmp_path, config))
    contact = only_row(delivery.tables["psychiatric_contacts"])
    assert (contact["contact_type"], contact["attendance"]) == ("outpatient", "attended")
    assert only_row(delivery.tables["primary_care"])["kind"] == "gp"
    assert delivery.dropped.is_empty()


# --- Conditions


def scan_conditions(folder: Path, *rows: str, head: str = CONDITION_HEAD, **tables: str):
    conditions = "\n".join([head, *rows])
    return scan_omop(write_folder(folder, condition_occurrence=conditions, concept=CONCEPT, **tables))


def codes_of(delivery) -> list[tuple[str, str]]:
    return sorted(delivery.tables["diagnoses"].select("code", "kind").collect().rows())


@pytest.mark.parametrize(
    ("code", "concept", "taken"),
    [
        ('" f10.2  "', "", "F102"),
        ("E119", "10", "E119"),
        ("DF102", "", "F102"),
        ("D509", "", "D509"),
        ("E119", "9", None),
        ("E119", "5", None),
        ("2809", "", None),
        ("44054006", "5", None),
        ("SR (Sinus Rhythm)", "", None),
        ("", "10", None),
        ("F", "10", None),
    ],
)
def test_only_icd10_codes_become_diagnoses(tmp_path, code, concept, taken):
    delivery = scan_conditions(tmp_path, f"70,7,{code},{concept}")
    assert codes_of(delivery) == ([(taken, "secondary")] if taken else [])
    assert delivery.dropped["rows"].sum() == (0 if taken else 1)


def test_e_and_v_codes_of_a_visit_billed_in_icd9_are_icd9(tmp_path):
    head = f"{CONDITION_HEAD},condition_type_concept_id"
    visits = f"{VISIT.strip()}\n    71, 7, 9203, 2024-04-01, 2024-04-03"
    rows = ["70,7,2809,,32821", "70,7,V1582,,32821", "70,7,E9342,,32821", "71,7,V1582,,32821"]
    delivery = scan_conditions(tmp_path, *rows, head=head, visit_occurrence=visits)
    assert delivery.tables["diagnoses"].select("contact_id", "code").collect().rows() == [("71", "V1582")]
    assert reasons(delivery) == {"ICD-9 code": 3}


def test_a_digit_in_a_row_that_is_not_billed_does_not_make_a_visit_icd9(tmp_path):
    head = f"{CONDITION_HEAD},condition_type_concept_id"
    delivery = scan_conditions(tmp_path, "70,7,225106,,32817", "70,7,V1582,,32821", head=head)
    assert codes_of(delivery) == [("V1582", "secondary")]


def test_a_condition_without_a_hospital_contact_is_counted_with_its_reason(tmp_path):
    visits = f"{VISIT.strip()}\n    71, 7, 9202, 2024-04-01, 2024-04-03"
    rows = ["70,7,F102,", ",7,F102,", "99,7,F102,", "71,7,F102,", "70,8,F102,"]
    delivery = scan_conditions(tmp_path, *rows, visit_occurrence=visits)
    assert codes_of(delivery) == [("F102", "secondary")]
    conditions = delivery.dropped.filter(pl.col("source_table") == "condition_occurrence")
    assert set(conditions["reason"]) == {
        "no visit given",
        "visit is not in visit_occurrence",
        "visit is not a hospital contact",
        "visit is of another person",
    }
    assert conditions["rows"].to_list() == [1, 1, 1, 1]


def test_a_code_counts_once_per_contact_and_is_primary_if_any_of_its_rows_is(tmp_path):
    head = f"{CONDITION_HEAD},condition_status_concept_id"
    rows = ["70,7,F10.2,,32908", "70,7,F102,,32902", "70,7,E119,,"]
    delivery = scan_conditions(tmp_path, *rows, head=head)
    assert codes_of(delivery) == [("E119", "secondary"), ("F102", "primary")]
    assert reasons(delivery) == {"repeats a code of the same visit": 1}
    assert only_row(delivery.tables["admissions"])["diagnosis"] == "F102"


def test_a_row_that_is_left_does_not_make_the_next_one_a_repeat(tmp_path):
    delivery = scan_conditions(tmp_path, "70,7,F102,5", "70,7,F102,10")
    assert codes_of(delivery) == [("F102", "secondary")]
    assert reasons(delivery) == {"not an ICD-10 code (vocabulary SNOMED)": 1}


def test_conditions_without_a_visit_do_not_share_one(tmp_path):
    head = f"{CONDITION_HEAD},condition_type_concept_id"
    delivery = scan_conditions(tmp_path, ",7,2809,,32821", ",7,V1582,,32821", head=head)
    assert reasons(delivery) == {"ICD-9 code": 1, "no visit given": 1}


def test_a_contact_whose_source_names_no_main_diagnosis_has_none(tmp_path):
    delivery = scan_conditions(tmp_path, "70,7,F102,")
    assert only_row(delivery.tables["admissions"])["diagnosis"] is None


def test_a_diagnosis_is_timed_as_its_contact_is(tmp_path):
    diagnosis = only_row(scan_conditions(tmp_path, "70,7,F102,").tables["diagnoses"])
    assert (diagnosis["started_at"], diagnosis["ended_at"]) == (datetime(2024, 3, 1), datetime(2024, 3, 3))


VISITS = st.tuples(
    st.sampled_from(["1", "2", "3", ""]),
    st.sampled_from(["7", "8"]),
    st.sampled_from(["9201", "9202", "38004207", "0", ""]),
    st.sampled_from(["2024-03-01", "", "x"]),
    st.sampled_from(["2024-03-03", "", "x"]),
)
CONDITIONS = st.tuples(
    st.sampled_from(["1", "2", "3", "4", ""]),
    st.sampled_from(["7", "8"]),
    st.sampled_from(["F102", "f10.2", "V15", "2809", "SR", ""]),
    st.sampled_from(["", "5", "9", "10"]),
)


@settings(max_examples=40, deadline=None)
@given(visits=st.lists(VISITS, max_size=6), conditions=st.lists(CONDITIONS, max_size=8))
def test_every_row_is_taken_over_or_counted_as_dropped(visits, conditions):
    head = VISIT.strip().splitlines()[0]
    tables = {
        "visit_occurrence": "\n".join([head, *map(",".join, visits)]),
        "condition_occurrence": "\n".join([CONDITION_HEAD, *map(",".join, conditions)]),
        "observation_period": (
            "person_id,observation_period_start_date,observation_period_end_date\n7,2024-01-01,2024-12-31"
        ),
    }
    with TemporaryDirectory() as folder:
        delivery = scan_omop(write_folder(Path(folder), concept=CONCEPT, **tables))
        assert count_rows(delivery, "visit_occurrence", "admissions") == len(visits)
        assert count_rows(delivery, "condition_occurrence", "diagnoses") == len(conditions)


def count_rows(delivery, source_table: str, table: str) -> int:
    dropped = delivery.dropped.filter(pl.col("source_table") == source_table)["rows"].sum()
    return dropped + rows_of(delivery.tables[table])


# --- Observations


OBSERVATION_HEAD = (
    "visit_occurrence_id,person_id,observation_source_value,observation_source_concept_id,"
    "observation_type_concept_id"
)


@pytest.mark.parametrize(
    ("code", "concept", "taken"),
    [
        ("Z59.0", "10", "Z590"),  # its concept is of ICD-10-CM
        ("z590 ", "123", "Z590"),  # the concept is not in the delivered vocabulary: the look decides
        ("DT404", "123", "T404"),
        ("B12", "", None),  # no concept: a blood test, say
        ("Z59.0", "0", None),
        ("Z59.0", "5", None),  # of SNOMED
        ("V60.0", "9", None),  # of ICD-9
        ("871", "123", None),  # a case group
        ("MARRIED", "123", None),
        ("", "10", None),
    ],
)
def test_observations_with_an_icd10_code_are_diagnoses(tmp_path, code, concept, taken):
    rows = f"{OBSERVATION_HEAD}\n70,7,{code},{concept},32821"
    delivery = scan_omop(write_folder(tmp_path, observation=rows, concept=CONCEPT))
    found = delivery.tables["diagnoses"].collect()
    assert found["code"].to_list() == ([taken] if taken else [])
    assert found["kind"].to_list() == (["secondary"] if taken else [])
    left = delivery.dropped.filter(pl.col("source_table") == "observation")["rows"].sum()
    assert left + found.height == 1


def test_a_code_that_is_condition_and_observation_counts_once(tmp_path):
    tables = {
        "condition_occurrence": f"{CONDITION_HEAD}\n70,7,F102,10",
        "observation": f"{OBSERVATION_HEAD}\n70,7,F10.2,10,0\n70,7,Z590,10,0",
    }
    delivery = scan_omop(write_folder(tmp_path, concept=CONCEPT, **tables))
    assert delivery.tables["diagnoses"].collect()["code"].to_list() == ["F102", "Z590"]
    assert dict(delivery.dropped.select("source_table", "reason").iter_rows()) == {
        "observation": "repeats a code of the same visit"
    }


def test_a_case_group_does_not_make_a_visit_icd9(tmp_path):
    rows = f"{OBSERVATION_HEAD}\n70,7,871,123,32821\n70,7,V150,123,32821"
    delivery = scan_omop(write_folder(tmp_path, observation=rows))
    assert delivery.tables["diagnoses"].collect()["code"].to_list() == ["V150"]


# --- What is left


PERIOD_HEAD = "person_id,observation_period_start_date,observation_period_end_date"


def test_gaps_between_observation_periods_are_counted_and_warned_of(tmp_path):
    periods = f"{PERIOD_HEAD}\n7,2020-01-01,2020-12-31\n7,2021-01-01,2021-05-31\n7,2022-01-01,2022-12-31"
    with pytest.warns(SourceWarning, match="1 gaps between the periods of 1 persons"):
        scan_omop(write_folder(tmp_path, observation_period=periods))


@pytest.mark.parametrize(
    "periods",
    ["7,2020-01-01,2020-12-31\n7,2021-01-01,2021-05-31", "7,2020-01-01,2022-12-31\n7,2021-01-01,2021-05-31"],
)
def test_periods_without_a_gap_are_not_warned_of(tmp_path, periods):
    with warnings.catch_warnings():
        warnings.simplefilter("error", SourceWarning)
        scan_omop(write_folder(tmp_path, observation_period=f"{PERIOD_HEAD}\n{periods}"))


def test_deaths_and_periods_of_strangers_and_second_deaths_are_counted(tmp_path):
    tables = {
        "death": "person_id,death_date\n7,2024-05-02\n7,2024-05-01\n8,2024-05-01\n,2024-05-01",
        "observation_period": f"{PERIOD_HEAD}\n7,2020-01-01,2024-12-31\n8,2020-01-01,2024-12-31",
    }
    delivery = scan_omop(write_folder(tmp_path, **tables))
    assert only_row(delivery.tables["persons"])["death_date"] == date(2024, 5, 1)
    assert sorted(delivery.dropped.rows()) == [
        ("death", "another death of the same person", 1),
        ("death", "person is not in person", 2),
        ("observation_period", "person is not in person", 1),
    ]


def test_tables_that_are_not_read_are_counted(tmp_path):
    tables = {"measurement": 'a,b\n1,"x\ny"\n2,z', "drug_exposure": "a\n1"}
    write_folder(tmp_path)
    for table, text in tables.items():
        (tmp_path / f"{table}.csv").write_text(text)
    (tmp_path / "note.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "readme.txt").write_text("hello")
    assert sorted(scan_omop(tmp_path).dropped.rows()) == [
        ("drug_exposure", "table is not read", 1),
        ("measurement", "table is not read", 2),
        ("note", "table is not read, and its rows cannot be counted", 0),
    ]


@pytest.mark.parametrize("secret", ["Jens Hansen", "010190-1234", "0101901234", "home of his mother"])
def test_an_unmapped_text_is_never_shown(tmp_path, secret):
    visit = VISIT + f"71,7,{secret},2024-03-01,2024-03-03"
    concept = f"{CONCEPT}    11,x,{secret}"
    conditions = f"{CONDITION_HEAD}\n70,7,{secret},11\n70,7,F102,11"
    folder = write_folder(
        tmp_path / "in", visit_occurrence=visit, concept=concept, condition_occurrence=conditions
    )
    told = " ".join(scan_omop(folder).dropped["reason"])
    assert "of" in told
    assert secret not in told
    ingest(deliver_omop(folder), tmp_path / "store")
    assert secret not in (tmp_path / "store" / "manifest.json").read_text()


def test_a_public_concept_is_shown_and_another_by_its_length(tmp_path):
    concepts = "71,7,9202,2024-03-01,2024-03-03\n72,7,2000000001,2024-03-01,2024-03-03"
    delivery = scan_omop(write_folder(tmp_path, visit_occurrence=VISIT + concepts))
    assert reasons(delivery) == {
        "visit concept 9202 is mapped to no table": 1,
        "visit concept of 10 digits is mapped to no table": 1,
    }


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-03-01 12:00:00+01", datetime(2024, 3, 1, 12)),
        ("2024-03-01T11:00Z", datetime(2024, 3, 1, 12)),
        ("2024-03-01 11:00:00 UTC", datetime(2024, 3, 1, 12)),
        ("20240301", datetime(2024, 3, 1)),
        ("2024-03-01 12:00:00.5", datetime(2024, 3, 1, 12, 0, 0, 500_000)),
    ],
)
def test_moments_are_read_as_at_every_other_door(tmp_path, text, moment):
    admission = write_visit(tmp_path, visit_start_datetime=text).tables["admissions"]
    assert only_row(admission)["started_at"] == moment


# --- Files


@pytest.mark.parametrize("name", ["o[1]", "e*", "a b", "år", "file:x"])
def test_an_omop_folder_is_read_by_its_own_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for folder, visit in (
        (name, VISIT),
        ("o1", VISIT.replace("70", "99")),
        ("e1", VISIT.replace("70", "99")),
    ):
        write_folder(Path(folder), visit_occurrence=visit)
    assert only_row(scan_omop(name).tables["admissions"])["contact_id"] == "70"


def test_a_table_may_be_a_folder_of_parts(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "person.csv").unlink()
    (tmp_path / "PERSON.parquet").mkdir()
    for person in (7, 8):
        row = pl.DataFrame({"person_id": [person], "gender_concept_id": [8507], "year_of_birth": [1980]})
        row.write_parquet(tmp_path / "PERSON.parquet" / f"part-{person}.parquet")
    assert rows_of(scan_omop(tmp_path).tables["persons"]) == 2


def test_files_in_another_encoding_are_read_when_it_is_named(tmp_path):
    site = "care_site_id,care_site_name,care_site_source_value\n3,Nykøbing,NF"
    visit = VISIT.strip().splitlines()
    write_folder(tmp_path, visit_occurrence=f"{visit[0]},care_site_id\n{visit[1]},3")
    (tmp_path / "care_site.csv").write_bytes(site.encode("cp1252"))
    with pytest.raises(SourceError, match="encoding cp1252"):
        scan_omop(tmp_path)
    admission = scan_omop(tmp_path, encoding="cp1252").tables["admissions"]
    assert only_row(admission)["department"] == "Nykøbing"


def test_a_column_named_twice_is_refused(tmp_path):
    person = "person_id,gender_concept_id,year_of_birth, PERSON_ID\n7,8507,1980,8"
    with pytest.raises(InputError, match=r"the same name above columns \[1, 4\]"):
        scan_omop(write_folder(tmp_path, person=person))


def test_a_link_to_nothing_is_no_absent_omop_table(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "death.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(SourceError, match=r"death\.csv is a link to nothing"):
        scan_omop(tmp_path)


@pytest.mark.parametrize("name", ["PERSON.CSV", "Person.csv", "2b_person.csv", "01-PERSON.csv"])
def test_files_and_columns_are_found_in_any_case_with_or_without_a_number(tmp_path, name):
    write_folder(tmp_path)
    (tmp_path / "person.csv").unlink()
    (tmp_path / name).write_text(to_csv(PERSON).upper())
    assert rows_of(scan_omop(tmp_path).tables["persons"]) == 1


def test_gzipped_csv_is_read(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "person.csv").unlink()
    (tmp_path / "person.csv.gz").write_bytes(gzip.compress(to_csv(PERSON).encode()))
    assert rows_of(scan_omop(tmp_path).tables["persons"]) == 1


def test_a_tab_separated_vocabulary_with_loose_quotation_marks_is_read(tmp_path):
    text = 'concept_id\tconcept_name\tvocabulary_id\n801\tEW "EMER.\tlocal\n'
    write_folder(tmp_path / "omop")
    (tmp_path / "omop" / "CONCEPT.csv").write_text(text)
    admission = write_visit(tmp_path, visit_source_concept_id="801").tables["admissions"]
    assert only_row(admission)["admission_type"] == "acute"


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "person.csv").write_text(to_csv(PERSON), encoding="utf-8-sig")
    assert rows_of(scan_omop(tmp_path).tables["persons"]) == 1


def test_parquet_with_its_own_types_gives_what_csv_gives(tmp_path):
    from_csv = write_visit(tmp_path, visit_start_datetime="2024-03-01 13:00:00")
    expected = only_row(from_csv.tables["admissions"])
    typed = pl.DataFrame(
        {
            "VISIT_OCCURRENCE_ID": [70],
            "PERSON_ID": [7],
            "VISIT_CONCEPT_ID": [9201.0],
            "VISIT_START_DATE": [date(2024, 3, 1)],
            "VISIT_START_DATETIME": [datetime(2024, 3, 1, 12, tzinfo=ZoneInfo("UTC"))],
            "VISIT_END_DATE": [date(2024, 3, 3)],
        }
    )
    (tmp_path / "omop" / "visit_occurrence.csv").unlink()
    typed.write_parquet(tmp_path / "omop" / "visit_occurrence.parquet")
    assert only_row(scan_omop(tmp_path / "omop").tables["admissions"]) == expected


@pytest.mark.parametrize("bad", ["7.0", "-4.4060538e+18", "4.4E18", "4e+18"])
def test_ids_that_went_through_a_float_are_refused_without_showing_them(tmp_path, bad):
    person = f"person_id,gender_concept_id,year_of_birth\n{bad},8507,1980"
    with pytest.raises(InputError, match="Table person, column person_id: 1 ids") as caught:
        scan_omop(write_folder(tmp_path, person=person))
    assert bad not in str(caught.value)


def test_float_ids_in_parquet_are_refused(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "person.csv").unlink()
    person = {"person_id": [7.0], "gender_concept_id": [8507], "year_of_birth": [1980]}
    pl.DataFrame(person).write_parquet(tmp_path / "person.parquet")
    with pytest.raises(InputError, match="column person_id"):
        scan_omop(tmp_path)


def test_pseudonyms_may_look_a_little_like_numbers(tmp_path):
    person = "person_id,gender_concept_id,year_of_birth\n123e4567,8507,1980"
    assert rows_of(scan_omop(write_folder(tmp_path, person=person)).tables["persons"]) == 1


def test_a_missing_folder_is_a_source_error(tmp_path):
    with pytest.raises(SourceError, match="There is no folder"):
        scan_omop(tmp_path / "nowhere")


@pytest.mark.parametrize("table", ["person", "visit_occurrence"])
def test_a_missing_table_is_named(tmp_path, table):
    write_folder(tmp_path)
    (tmp_path / f"{table}.csv").unlink()
    with pytest.raises(InputError, match=f"Table {table} is missing"):
        scan_omop(tmp_path)


def test_a_missing_column_is_named_with_its_table(tmp_path):
    visits = "visit_occurrence_id,person_id,visit_start_date,visit_end_date\n70,7,2024-03-01,2024-03-03"
    with pytest.raises(InputError, match="Table visit_occurrence has no column visit_concept_id"):
        scan_omop(write_folder(tmp_path, visit_occurrence=visits))


def test_two_files_for_one_table_are_refused(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "1_person.csv").write_text(to_csv(PERSON))
    with pytest.raises(InputError, match=r"'1_person\.csv' and 'person\.csv' claim to be table person"):
        scan_omop(tmp_path)


@pytest.mark.parametrize("content", [b"", b"person_id,year\xff", b"PAR1"])
def test_a_broken_file_is_a_source_error_that_names_it(tmp_path, content):
    write_folder(tmp_path)
    (tmp_path / "person.csv").unlink()
    name = "person.parquet" if content == b"PAR1" else "person.csv"
    (tmp_path / name).write_bytes(content)
    with pytest.raises((SourceError, InputError), match="person"):
        scan_omop(tmp_path)


def test_a_file_that_breaks_further_down_does_not_show_its_cells(tmp_path):
    write_folder(tmp_path, person=f"{PERSON.strip()}\n    8, 8532, 1980, secret, secret")
    with pytest.raises(SourceError) as caught:
        scan_omop(tmp_path)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


# --- The mapping


def test_a_sites_file_changes_what_it_states_and_nothing_else(tmp_path):
    config = "[discharge.left_early]\ndischarged_to_source_value = ['^RAN OFF$']"
    ran = write_visit(tmp_path, config=config, discharged_to_source_value="ran off")
    assert only_row(ran.tables["admissions"])["discharge"] == "left_early"
    replaced = write_visit(tmp_path, config=config, discharged_to_source_value="AGAINST ADVICE")
    assert only_row(replaced.tables["admissions"])["discharge"] == "completed"
    kept = write_visit(tmp_path, config=config, discharged_to_concept_id="4021968")
    assert only_row(kept.tables["admissions"])["discharge"] == "left_early"


def test_a_site_can_take_out_what_the_default_lets_in(tmp_path):
    config = "[visit_table.dropped]\nvisit_source_value = ['^TELEPHONE']"
    delivery = write_visit(tmp_path, config=config, visit_source_value="Telephone call")
    assert reasons(delivery) == {"visit concept 9201 is mapped to no table": 1}


def test_a_one_hospital_site_can_name_its_hospital(tmp_path):
    config = "[care_sites]\nsingle_hospital = 'North'"
    assert only_row(write_visit(tmp_path, config=config).tables["admissions"])["hospital"] == "North"


def test_the_example_of_a_sites_file_fits_the_mapping():
    mapping = read_mapping(ROOT / "configs" / "omop.toml")
    assert mapping.choices["visit_table"].can_answer("psychiatric_contacts")
    assert mapping.care_sites.hospital == "location_id"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[discharg.died]\ndischarged_to_concept_id = [1]", "names 'discharg' in 'mapping'"),
        ("[discharge.gone]\ndischarged_to_concept_id = [1]", "names 'gone' in 'discharge'"),
        ("[discharge.died]\ncare_site_name = ['x']", "names 'care_site_name' in 'discharge.died'"),
        ("[discharge]\nprecedence = ['colour']", "names 'colour' in 'discharge.precedence'"),
        ("[discharge]\nstated = 'gone'", "names 'gone' in 'discharge.stated'"),
        ("[discharge.died]\ndischarged_to_concept_id = ['DIED']", "a list of concept ids"),
        ("[discharge.died]\ndischarged_to_concept_id = [true]", "a list of concept ids"),
        ("[discharge.died]\ndischarged_to_source_value = 'DIED'", "a list of texts"),
        ("[discharge.died]\ndischarged_to_source_value = ['(']", "not a regular expression"),
        ("discharge = 3", "a table of entries"),
        ("time_zone = 'Nowhere/Land'", "names the time zone 'Nowhere/Land'"),
        ("time_zone = 1", "text in quotation marks"),
        ("[care_sites]\nhospital = 'colour'", "names 'colour' in 'care_sites'"),
        ("[care_sites]\nhospitals = 'care_site_name'", "names 'hospitals' in 'care_sites'"),
        ("[tables.visits]\nrequired = []", "names 'visits' in 'tables'"),
        ("[discharge", "is not TOML"),
    ],
)
def test_a_bad_mapping_is_refused_with_the_place_of_the_fault(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        read_mapping(write_config(tmp_path, text))


def test_a_missing_mapping_is_a_source_error(tmp_path):
    with pytest.raises(SourceError, match="cannot be read"):
        read_mapping(tmp_path / "none.toml")


# --- Independent data


@pytest.fixture(scope="module")
def mimic():
    return scan_omop(find_external("mimic_iv_demo_omop"))


@pytest.fixture(scope="module")
def synthea():
    return scan_omop(find_external("synthea_omop"))


@pytest.mark.external
def test_mimic_has_the_stays_and_dispositions_that_its_owners_report(mimic):
    admissions = mimic.tables["admissions"].collect()
    assert rows_of(mimic.tables["persons"]) == 100
    assert admissions.height == admissions["contact_id"].n_unique() == 275
    assert dict(admissions["discharge"].value_counts().iter_rows()) == {
        "completed": 202,
        "unknown": 42,
        "died": 15,
        "transferred": 12,
        "left_early": 4,
    }
    assert admissions.filter(pl.col("discharge") == "left_early")["person_id"].n_unique() == 3


@pytest.mark.external
def test_mimic_admissions_are_acute_as_the_hospital_called_them(mimic):
    admissions = mimic.tables["admissions"].collect()
    assert dict(admissions["admission_type"].value_counts().iter_rows()) == {"acute": 239, "planned": 36}


@pytest.mark.external
def test_mimic_codes_are_icd10_exactly_where_their_concept_ids_say_so(mimic):
    """The concept table lacks ICD, but ICD-9-CM lies in one block of concept ids, 44819000 to 44838999."""
    conditions = pl.read_csv(
        find_external("mimic_iv_demo_omop") / "condition_occurrence.csv", infer_schema=False
    )
    billed = conditions.filter(pl.col("condition_type_concept_id") == "32821")
    is_icd9 = pl.col("condition_source_concept_id").cast(pl.Int64).is_between(44_819_000, 44_838_999)
    expected = billed.filter(~is_icd9).select(
        pl.col("visit_occurrence_id").alias("contact_id"),
        pl.col("condition_source_value").str.strip_chars().alias("code"),
    )
    given = mimic.tables["diagnoses"].select("contact_id", "code").collect()
    assert set(given.iter_rows()) == set(expected.iter_rows())
    assert reasons(mimic)["ICD-9 code"] == billed.filter(is_icd9).height == 1852


@pytest.mark.external
def test_every_row_of_every_file_of_mimic_is_taken_or_left_with_a_reason(mimic):
    """Counted from the files by nothing that is under test."""
    folder = find_external("mimic_iv_demo_omop")
    rows = {name: read_rows(folder / f"{name}.csv") for name in ("person", "death", "observation_period")}
    rows["cdm_source"] = read_rows(folder / "cdm_source.csv")
    left = dict(mimic.dropped.group_by("source_table").agg(pl.col("rows").sum()).iter_rows())
    persons = mimic.tables["persons"].collect()
    assert len(rows["person"]) == persons.height
    assert len(rows["death"]) == persons["death_date"].count() + left.get("death", 0)
    assert len(rows["observation_period"]) == persons["observed_from"].count()
    assert len(rows["cdm_source"]) == left["cdm_source"]
    periods = {row["person_id"]: row["observation_period_end_date"] for row in rows["observation_period"]}
    ends = {
        person: str(end - timedelta(days=1))
        for person, end in persons.select("person_id", "observed_until").rows()
    }
    assert ends == periods


@pytest.mark.external
def test_mimic_deaths_agree_with_its_register(mimic):
    assert mimic.tables["persons"].collect()["death_date"].count() == 15


@pytest.mark.external
def test_synthea_gives_admissions_and_says_why_there_are_no_diagnoses(synthea):
    admissions = synthea.tables["admissions"].collect()
    assert dict(admissions["admission_type"].value_counts().iter_rows()) == {"acute": 56, "planned": 13}
    assert reasons(synthea) == {
        "visit concept 9202 is mapped to no table": 1722,
        "not an ICD-10 code (vocabulary SNOMED)": 470,
        "table is not read": 1791,  # the visits' details
    }
    assert synthea.data_end == datetime(2022, 10, 11)


@pytest.mark.external
@pytest.mark.parametrize(("name", "visits", "conditions"), [("mimic", 852, 16_441), ("synthea", 1_791, 470)])
def test_every_row_of_the_independent_data_is_accounted_for(request, name, visits, conditions):
    delivery = request.getfixturevalue(name)
    assert count_rows(delivery, "visit_occurrence", "admissions") == visits
    assert count_rows(delivery, "condition_occurrence", "diagnoses") == conditions
