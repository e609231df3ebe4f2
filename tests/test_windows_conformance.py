"""The window cases: this library answers every one, and each planted fault is caught where it shows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from plain_windows import DAY, PlainBuilder, clip, look_back
from somv_risk import build_features, from_frames, label_outcomes
from somv_risk.cohort.outcomes import Target
from somv_risk.cohort.windows import Horizon
from somv_risk.features import Definition
from somv_risk.testing import Question, assert_windows_conform, check_windows, load_window_cases

CASES = load_window_cases()
NAMES = [case.name for case in CASES]
MICROSECOND = timedelta(microseconds=1)

# This library behind the adapter: each event is a psychiatric contact, a spell of a service and an acute
# admission of half a day, and what is asked is a definition or a target.
TITLE = MappingProxyType({"da": "hændelser", "en": "events"})
MEASURES = {
    "count": ("count", "psychiatric_contacts"),
    "distinct": ("distinct", "psychiatric_contacts", "provider"),
    "recency": ("days_since", "psychiatric_contacts"),
    "days": ("days", "service_spells"),
}
OUTCOMES = {"horizon": "outcome_events", "outcome": "outcome"}
AFTER_ALL = datetime(8999, 12, 31)


def build_histories(events: pl.DataFrame, cohort: pl.DataFrame, data_end: datetime | None):
    persons = pl.DataFrame({"person_id": pl.concat([cohort["person_id"], events["person_id"]]).unique()})
    numbered = events.with_row_index("contact_id").cast({"contact_id": pl.String})
    half_a_day_later = pl.col("started_at") + timedelta(hours=12)
    return from_frames(
        data_end=data_end or AFTER_ALL,
        persons=persons.with_columns(birth_date=date(1880, 5, 1), sex=pl.lit("female")),
        admissions=numbered.with_columns(
            half_a_day_later.alias("ended_at"), sector=pl.lit("somatic"), admission_type=pl.lit("acute")
        ),
        psychiatric_contacts=numbered.with_columns(
            contact_type=pl.lit("outpatient"), attendance=pl.lit("attended"), provider=pl.col("value")
        ),
        social_services=events.with_columns(service=pl.lit("shelter")),
    )


def answer_with_somv_risk(events: pl.DataFrame, cohort: pl.DataFrame, question: Question) -> list[Any]:
    histories = build_histories(events, cohort, question.data_end)
    if question.measure in OUTCOMES:
        target = Target("asked", min_count=question.at_least, horizon=Horizon(question.days))
        return label_outcomes(histories, cohort, target).collect()[OUTCOMES[question.measure]].to_list()
    measure, view, *value = MEASURES[question.measure]
    windows = tuple(days for days in (question.days, question.until_days) if days)
    asked = Definition(
        "asked", "background", TITLE, "events", measure, view, windows, value=next(iter(value), None)
    )
    whole, *younger = build_features(histories, cohort, asked.features()).collect().get_columns()[2:]
    # The library's windows end at the index; what ends earlier is the difference of two.
    return (whole - younger[0] if younger else whole).to_list()


def test_the_library_answers_every_case():
    found = check_windows(answer_with_somv_risk)
    assert found.filter(pl.col("verdict") != "right").rows() == []
    assert found["case"].to_list() == NAMES


def test_counting_by_hand_in_python_answers_every_case():
    assert_windows_conform(PlainBuilder())


# Planted faults: a rule put in place of the right one, and the cases in which it must show.


def look_back_from_the_last_event(index: datetime, question: Question, own: list) -> tuple:
    last = max((event["started_at"] for event in own), default=index)
    return last - question.days * DAY, last + MICROSECOND


def look_back_by_the_calendar(index: datetime, question: Question, own: list) -> tuple:
    years = question.days // 365
    return (index.replace(year=index.year - years), index) if years else look_back(index, question, own)


def look_back_over_hours_of_copenhagen(index: datetime, question: Question, own: list) -> tuple:  # noqa: ARG001
    zone = ZoneInfo("Europe/Copenhagen")
    instant = index.replace(tzinfo=zone).astimezone(ZoneInfo("UTC"))
    opening, end = (instant - days * DAY for days in (question.days, question.until_days))
    return tuple(moment.astimezone(zone).replace(tzinfo=None) for moment in (opening, end))


def look_back_days_too_far(index: datetime, question: Question, own: list) -> tuple:
    opening, end = look_back(index, question, own)
    return opening - DAY, end


def keep_in_whole_days(moment: datetime, span: tuple) -> bool:
    return span[0].date() <= moment.date() < span[1].date()


def read_rows(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[pl.DataFrame], list]:
    return lambda events: change(events).to_dicts()


def count_in_nanoseconds(events: pl.DataFrame) -> list:
    """Refuse moments that 64 bits of nanoseconds cannot hold, as pandas did."""
    moments = events.select(pl.col("started_at", "ended_at").dt.year().max())
    if max(year or 0 for year in moments.row(0)) > 2262:
        raise OverflowError("out of bounds nanosecond timestamp")
    return events.to_dicts()


def answer_unique_rows(cohort: pl.DataFrame, answer_row: Callable) -> list:
    """Answer each person and moment once, and let the column run on: the answers shift."""
    answers = [answer_row(*row) for row in cohort.unique(maintain_order=True).iter_rows()]
    return [*answers, *[None] * (cohort.height - len(answers))]


def answer_sorted_rows(cohort: pl.DataFrame, answer_row: Callable) -> list:
    return [answer_row(*row) for row in cohort.sort("index_time", "person_id").iter_rows()]


def answer_last_moments(cohort: pl.DataFrame, answer_row: Callable) -> list:
    last = dict(cohort.sort("index_time").iter_rows())
    return [answer_row(person, last[person]) for person in cohort["person_id"]]


def answer_only_persons_with_events(cohort: pl.DataFrame, answer_row: Callable) -> list:
    return [answer or None for answer in (answer_row(*row) for row in cohort.iter_rows())]


def answer_null_with_nought(cohort: pl.DataFrame, answer_row: Callable) -> list:
    return [answer_row(*row) or 0 for row in cohort.iter_rows()]


FAULTS = {
    "includes the index": (
        {"lies_in": lambda moment, span: span[0] <= moment <= span[1]},
        {"event_at_the_index", "latest_event_at_the_index", "outcome_at_the_end_of_the_horizon"},
    ),
    "excludes the opening": (
        {"lies_in": lambda moment, span: span[0] < moment < span[1]},
        {"event_at_the_opening", "latest_event_at_the_opening", "outcome_at_the_index"},
    ),
    "opens a microsecond early": (
        {"lies_in": lambda moment, span: span[0] - MICROSECOND <= moment < span[1]},
        {"event_a_microsecond_before_the_opening", "different_values_at_the_edges"},
    ),
    "opens a day early": ({"look_back": look_back_days_too_far}, {"event_a_microsecond_before_the_opening"}),
    "leaves a microsecond out": (
        {"lies_in": lambda moment, span: span[0] <= moment < span[1] - MICROSECOND},
        {"event_a_microsecond_before_the_index", "outcome_at_the_end_of_the_horizon"},
    ),
    "looks ahead": (
        {"look_back": lambda index, question, _: (index - question.days * DAY, datetime.max)},
        {"events_after_the_index", "known_before_it_starts", "latest_event"},
    ),
    "looks back from the last event": ({"look_back": look_back_from_the_last_event}, {"old_events_only"}),
    "cuts moments to days": (
        {"lies_in": keep_in_whole_days},
        {"hours_count", "event_a_microsecond_before_the_index"},
    ),
    "goes by calendar years": ({"look_back": look_back_by_the_calendar}, {"leap_year"}),
    "counts hours of summer time": (
        {"look_back": look_back_over_hours_of_copenhagen},
        {"day_on_which_summer_time_begins", "day_on_which_summer_time_ends"},
    ),
    "ends every window at the index": (
        {"look_back": lambda index, question, _: (index - question.days * DAY, index)},
        {"window_that_ends_long_before_the_index", "two_windows_meet"},
    ),
    "drops repeated events": ({"read_events": read_rows(pl.DataFrame.unique)}, {"identical_events"}),
    "counts moments": (
        {"read_events": read_rows(lambda events: events.unique(["person_id", "started_at"]))},
        {"identical_events", "events_at_one_instant"},
    ),
    "drops events without a value": (
        {"read_events": read_rows(lambda events: events.drop_nulls("value"))},
        {"event_without_a_value", "events_in_the_window"},
    ),
    "gives everyone what is nobody's": (
        {"is_of": lambda event, person: event["person_id"] in (None, person)},
        {"event_of_nobody"},
    ),
    "reads ids as numbers": (
        {"is_of": lambda event, person: str(event["person_id"]).lstrip("0") == person.lstrip("0")},
        {"events_of_other_persons"},
    ),
    "ignores letter case": (
        {"is_of": lambda event, person: str(event["person_id"]).lower() == person.lower()},
        {"events_of_other_persons"},
    ),
    "ignores whose events they are": ({"is_of": lambda *_: True}, {"person_without_events"}),
    "cannot hold far years": ({"read_events": count_in_nanoseconds}, {"far_events"}),
    "shifts repeated rows": (
        {"arrange": answer_unique_rows},
        {"repeated_cohort_rows", "outcomes_of_repeated_rows"},
    ),
    "answers in another order": (
        {"arrange": answer_sorted_rows},
        {"cohort_in_any_order", "several_index_moments"},
    ),
    "knows one moment per person": ({"arrange": answer_last_moments}, {"several_index_moments"}),
    "leaves persons without events out": (
        {"arrange": answer_only_persons_with_events},
        {"person_without_events", "no_events_at_all"},
    ),
    "answers although nobody is asked about": (
        {"arrange": lambda cohort, answer_row: [answer_row(*row) for row in cohort.iter_rows()] or [0]},
        {"nobody_is_asked_about"},
    ),
    "fills null with nought": (
        {"arrange": answer_null_with_nought},
        {"no_latest_event", "threshold_not_yet_met_at_the_data_end"},
    ),
    "counts a missing value": (
        {"count_values": lambda events: len({event["value"] for event in events})},
        {"no_value_is_not_a_value"},
    ),
    "takes the last row for the latest": (
        {"find_latest": lambda moments: moments[-1] if moments else None},
        {"latest_event"},
    ),
    "forgets when things became known": (
        {"is_known": lambda *_: True},
        {"known_after_the_index", "latest_known_event", "interval_known_after_the_index"},
    ),
    "knows at the index": (
        {"is_known": lambda event, index: event["known_at"] is None or event["known_at"] <= index},
        {"known_at_the_index", "known_to_the_later_row_only"},
    ),
    "drops what was registered late": (
        {"read_events": read_rows(lambda events: events.remove(pl.col("known_at") > pl.col("started_at")))},
        {"outcome_known_later", "known_to_the_later_row_only"},
    ),
    "does not clip at the opening": (
        {"clip": lambda event, window: (event["started_at"], clip(event, window)[1])},
        {"interval_reaching_over_the_opening", "interval_reaching_over_both"},
    ),
    "does not clip at the index": (
        {"clip": lambda event, window: (clip(event, window)[0], event["ended_at"] or window[1])},
        {"interval_reaching_over_the_index", "interval_reaching_over_both"},
    ),
    "skips open intervals": (
        {"clip": lambda event, window: clip(event, window) if event["ended_at"] else window[:1] * 2},
        {"interval_open_at_the_index"},
    ),
    "adds overlapping days up": (
        {"cover_days": lambda spans: sum(max(end - start, 0 * DAY) / DAY for start, end in spans)},
        {"intervals_that_overlap"},
    ),
    "counts days by their dates": (
        {"cover_days": lambda spans: sum(max((end.date() - start.date()).days, 0) for start, end in spans)},
        {"interval_inside", "interval_open_at_the_index"},
    ),
    "labels rows that are not followed": (
        {"decide": lambda count, _, question: count >= question.at_least},
        {"data_end_before_the_end_of_the_horizon", "threshold_not_yet_met_at_the_data_end"},
    ),
    "labels no row that is not followed": (
        {
            "decide": lambda count, horizon, question: (
                None if question.data_end < horizon[1] else count >= question.at_least
            )
        },
        {"threshold_not_yet_met_at_the_data_end"},
    ),
    "needs data after the horizon": (
        {
            "decide": lambda count, horizon, question: (
                None if question.data_end <= horizon[1] else count >= question.at_least
            )
        },
        {"data_end_at_the_end_of_the_horizon"},
    ),
    "counts one more than asked": (
        {"decide": lambda count, _, question: count > question.at_least},
        {"threshold_of_the_outcome"},
    ),
}


@pytest.fixture(scope="module")
def findings() -> dict[str, pl.DataFrame]:
    """What the cases say of each planted fault."""
    return {fault: check_windows(replace(PlainBuilder(), **rules)) for fault, (rules, _) in FAULTS.items()}


def list_failed(found: pl.DataFrame) -> set[str]:
    return set(found.filter(pl.col("verdict").is_in(["wrong", "error"]))["case"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(findings, fault):
    assert list_failed(findings[fault]) >= FAULTS[fault][1]


def test_every_case_catches_some_planted_fault(findings):
    assert set(NAMES) == set().union(*map(list_failed, findings.values()))
