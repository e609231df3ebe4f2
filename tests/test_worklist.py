"""The worklist: the flagged persons in plain columns, and a timeline of what was known and nothing later."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from drawn import draw_histories
from small_world import INDEX
from somv_risk.cohort.asof import Lags
from somv_risk.scoring.score import REASON
from somv_risk.scoring.worklist import build_timeline_events, build_worklist, describe_persons

SCORES = {
    "person_id": pl.String,
    "index_time": pl.Datetime("us"),
    "risk": pl.Float64,
    "percentile": pl.Float64,
    "rank": pl.Int64,
    "flagged": pl.Boolean,
    "known_or_new": pl.String,
    "reasons": pl.List(REASON),
    "unfinished_risk": pl.Float64,
    "warnings": pl.List(pl.String),
}
ADA = pl.DataFrame({"person_id": ["ada"], "index_time": [INDEX]}, schema_overrides=SCORES)


def a_reason(text):
    return {"theme": "bursts", "feature": "x", "value": 1.0, "contribution": 0.5, "text": text}


def score_rows(*rows):
    """Scores as `score` gives them: (person, flagged, texts of the reasons) from the highest risk down."""
    drawn = [
        (
            person,
            INDEX,
            0.9 / rank,
            99.9,
            rank,
            flagged,
            "new",
            [a_reason(text) for text in texts],
            0.1,
            ["x"],
        )
        for rank, (person, flagged, texts) in enumerate(rows, start=1)
    ]
    return pl.DataFrame(drawn, schema=SCORES, orient="row")


# --- The list


def test_the_worklist_holds_the_flagged_in_order_with_their_reasons_as_text():
    scores = score_rows(
        ("bo", True, ["One.", "Two, too."]), ("cy", False, ["No."]), ("ada", True, ["Three."])
    )
    worklist = build_worklist(scores)
    assert worklist.select("rank", "person_id", "known_or_new", "reasons").rows() == [
        (1, "bo", "new", "One. | Two, too."),
        (3, "ada", "new", "Three."),
    ]
    assert worklist["risk"].to_list() == [0.9, 0.9 / 3]


def test_the_worklist_is_flat_and_comes_back_from_csv(tmp_path):
    worklist = build_worklist(score_rows(("bo", True, ['A "quoted", long\nreason.']), ("ada", True, [])))
    assert not [name for name, dtype in worklist.schema.items() if dtype.is_nested()]
    worklist.write_csv(tmp_path / "worklist.csv")
    again = pl.read_csv(tmp_path / "worklist.csv", schema=worklist.schema)
    assert_frame_equal(again, worklist)


def test_a_worklist_of_nobody_has_its_columns():
    empty = build_worklist(score_rows(("bo", False, [])))
    assert empty.is_empty()
    assert empty.columns == build_worklist(score_rows(("bo", True, []))).columns


def test_persons_are_described_in_the_order_of_the_scores():
    histories = draw_histories(
        person={"birth_date": date(1980, 3, 2), "sex": "female", "municipality": "376"}
    )
    described = describe_persons(histories, pl.concat([ADA, ADA.with_columns(person_id=pl.lit("bo"))]))
    assert described.rows() == [("ada", 44, "female", "376"), ("bo", None, None, None)]


# --- The timeline


def list_drawn(lags=None, index=INDEX, **tables):
    """What is drawn of Ada: category, start and end from the index in days, and whether unfinished."""
    scores = ADA.with_columns(index_time=pl.lit(index))
    events = build_timeline_events(draw_histories(**tables), scores, Lags(lags or {}))
    return [
        (row["category"], days_from(row["started_at"]), days_from(row["ended_at"]), row["unfinished"])
        for row in events.iter_rows(named=True)
    ]


def days_from(moment):
    return None if moment is None else (moment - INDEX) / timedelta(days=1)


def test_a_finished_stay_is_drawn_from_its_start_to_its_end():
    drawn = list_drawn(
        admissions="""
        started_at  ended_at  discharge
        -9d         -7d       left_early
        -5d         -4d       completed
        """
    )
    assert drawn == [("acute_admission", -9, -7, True), ("acute_admission", -5, -4, False)]


@pytest.mark.parametrize("start", ["0", "+1us", "+3d"])
def test_what_starts_at_the_index_or_later_is_not_drawn(start):
    assert list_drawn(admissions=f"started_at ended_at\n{start} +9d") == []
    assert list_drawn(primary_care=f"started_at\n{start}") == []


@pytest.mark.parametrize(("known_at", "drawn"), [("-1us", 1), ("0", 0), ("+1d", 0)])
def test_what_was_known_only_later_is_not_drawn(known_at, drawn):
    events = f"started_at ended_at known_at\n-9d -7d {known_at}"
    assert len(list_drawn(admissions=events)) == drawn
    assert len(list_drawn(substance_abuse=events)) == drawn


def test_what_arrives_with_a_lag_is_not_drawn_before_it_arrived():
    events = "started_at\n-3d\n-1d"
    assert list_drawn(primary_care=events, lags={"primary_care": 2.0}) == [("primary_care", -3, None, False)]


@pytest.mark.parametrize("end", [".", "0", "+5d"])
def test_how_a_stay_ends_is_not_drawn_before_it_has_ended(end):
    drawn = list_drawn(admissions=f"started_at ended_at discharge\n-3d {end} left_early")
    assert drawn == [("acute_admission", -3, None, False)]


def test_a_contact_known_late_does_not_join_two_stays():
    drawn = list_drawn(
        admissions="""
        started_at  ended_at  known_at
        -9d         -8d       .
        -8d         -6d       +1d
        -6d         -5d       .
        """
    )
    assert [(start, end) for _, start, end, _ in drawn] == [(-9, -8), (-6, -5)]


def test_contacts_four_hours_apart_are_drawn_as_one_stay():
    drawn = list_drawn(
        admissions="""
        started_at  ended_at  discharge
        -9d         -8d       transferred
        -8d+4h      -7d       left_early
        """
    )
    assert drawn == [("acute_admission", -9, -7, True)]


@pytest.mark.parametrize(("end", "drawn"), [("-730d-1us", 0), ("-730d", 0), ("-730d+1us", 1), ("-1d", 1)])
def test_two_years_are_drawn(end, drawn):
    assert len(list_drawn(substance_abuse=f"started_at ended_at\n-900d {end}")) == drawn


def test_what_began_long_ago_and_is_open_is_drawn():
    assert list_drawn(social_services="started_at service\n-900d home_care") == [
        ("home_care", -900, None, False)
    ]


CATEGORIES = [
    ("admissions", "-3d -1d somatic acute", "acute_admission"),
    ("admissions", "-3d -1d somatic planned", "planned_admission"),
    ("admissions", "-3d -1d psychiatric acute", "psychiatric_admission"),
    ("admissions", "-3d -1d psychiatric planned", "psychiatric_admission"),
    ("admissions", "-3d -3d+12h somatic acute", "acute_admission"),
    ("admissions", "-3d -3d+719m somatic acute", "emergency_visit"),
    ("admissions", "-3d -3d+2h somatic planned", None),
    ("psychiatric_contacts", "-3d . outpatient attended", "psychiatric_contact"),
    ("psychiatric_contacts", "-3d . outpatient unknown", "psychiatric_contact"),
    ("psychiatric_contacts", "-3d . home_visit no_show", "no_show"),
    ("psychiatric_contacts", "-3d . outpatient cancelled", None),
    ("substance_abuse", "-3d -1d alcohol completed", "substance_treatment"),
    ("social_services", "-3d -1d shelter .", "shelter"),
    ("social_services", "-3d -1d home_nursing .", "home_care"),
    ("social_services", "-3d -1d supported_housing .", "home_care"),
    ("social_services", "-3d -1d job_centre .", None),
    ("primary_care", "-3d . gp .", "primary_care"),
    ("primary_care", "-3d . out_of_hours .", "primary_care"),
    ("social_benefits", "-3d -1d sickness .", None),
]
HEADS = {
    "admissions": "sector admission_type",
    "psychiatric_contacts": "contact_type attendance",
    "substance_abuse": "substance end_reason",
    "social_services": "service provider",
    "primary_care": "kind known_at",
    "social_benefits": "benefit known_at",
}


@pytest.mark.parametrize(("table", "cells", "category"), CATEGORIES)
def test_events_are_drawn_as_what_they_are(table, cells, category):
    drawn = list_drawn(**{table: f"started_at ended_at {HEADS[table]}\n{cells}"})
    assert [row[0] for row in drawn] == ([] if category is None else [category])


@pytest.mark.parametrize(
    ("reason", "unfinished"), [("dropped_out", True), ("completed", False), (".", False)]
)
def test_a_treatment_dropped_out_of_is_drawn_as_unfinished(reason, unfinished):
    drawn = list_drawn(substance_abuse=f"started_at ended_at end_reason\n-9d -1d {reason}")
    assert drawn == [("substance_treatment", -9, -1, unfinished)]


def test_events_of_others_are_not_drawn():
    assert list_drawn(primary_care="started_at person_id\n-3d bo\n-2d ada") == [
        ("primary_care", -2, None, False)
    ]


def test_events_stand_by_person_and_time():
    histories = draw_histories(
        primary_care="""
        started_at  person_id
        -2d         bo
        -9d         ada
        -3d         bo
        -1d         ada
        """
    )
    both = pl.concat([ADA.with_columns(person_id=pl.lit("bo")), ADA])
    events = build_timeline_events(histories, both)
    order = [(row["person_id"], days_from(row["started_at"])) for row in events.iter_rows(named=True)]
    assert order == [("ada", -9), ("ada", -1), ("bo", -3), ("bo", -2)]


def test_persons_are_drawn_as_of_their_own_index():
    earlier = datetime(2025, 1, 1)
    drawn = list_drawn(index=earlier, primary_care="started_at\n-90d\n-3d")
    assert [start for _, start, _, _ in drawn] == [-90]


def test_absent_tables_are_not_drawn():
    absent = ("psychiatric_contacts", "substance_abuse", "social_services", "primary_care")
    assert len(list_drawn(absent=absent, admissions="started_at ended_at\n-9d -7d")) == 1
