"""Evidence: exactly the events that make the value of a feature, in an order that no delivery decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn import define, draw_histories
from small_world import INDEX, SELDOM, World, build_cohort, map_tables, worlds
from somv_risk.cohort.asof import NO_LAGS
from somv_risk.features import (
    Events,
    Feature,
    Timeline,
    list_evidence,
    load_catalogue,
    read_rows,
    to_microseconds,
)
from somv_risk.features._evidence import EVENT_ROW, select_evidence
from somv_risk.features.views import BACKGROUND, build_view

BY_NAME = {feature.name: feature for feature in load_catalogue()}
# Measures that the catalogue has none of, or only with other events.
OWN = [
    {"measure": "share", "events": "stays", "where": ("acute",)},
    {"measure": "share", "events": "contacts", "match": {"department": ("C",)}, "anchor": "end"},
    {"measure": "last", "events": "contacts", "match": {"department": ("C",)}},
    {"measure": "last", "events": "psychiatric_contacts", "where": ("no_show",)},
    {"measure": "never", "events": "stays", "where": ("psychiatric",)},
    {"measure": "never", "events": "benefit_spells", "where": ("self_support",), "of": ("public",)},
    {"measure": "longest", "events": "stays", "value": "gap"},
    {"measure": "mean", "events": "stays", "value": "gap"},
    {"measure": "mean", "events": "contacts", "value": "step", "anchor": "end"},
    {"measure": "burstiness", "events": "contacts", "value": "step"},
    {"measure": "median_gap", "events": "contacts", "value": "step"},
    {"measure": "pair_share", "events": "contacts", "value": "step", "where": ("same_unit",)},
    {"measure": "continuity", "events": "psychiatric_contacts", "value": "provider"},
    {"measure": "entropy", "events": "services", "value": "paragraph"},
    {"measure": "concentration", "events": "treatments", "value": "substance"},
    {"measure": "distinct", "events": "services", "value": "provider", "anchor": "part"},
    {"measure": "count", "events": "services", "anchor": "part"},
    {"measure": "longest_inside", "events": "contacts"},
    {"measure": "days_trend", "events": "stays"},
    {"measure": "most_within", "events": "stays", "within_days": 3},
    {"measure": "decayed", "events": "treatments", "anchor": "end"},
]
FEATURES = (
    *(feature for feature in load_catalogue() if feature.definition.events != BACKGROUND),
    *(
        feature
        for number, row in enumerate(OWN)
        for feature in define(id=f"own_{number}", windows=(4, 60, 730), **row).features()
    ),
    *define(measure="distinct_now", events="services", value="provider").features(),
    *define(measure="distinct_now", events="treatments", value="substance").features(),
)
# Of these nothing counts but what is there: without events they are 0 or no.
COUNTING = (
    *("count", "any", "decayed", "days", "longest_inside", "most_within", "distinct", "now", "distinct_now"),
)
# Each single event shows in the value.
ADDING = ("count", "decayed", "days", "trend")
# One event decides; where there is one alone, another value takes its place.
DECIDING = (
    *("days_since", "days_since_first", "days_open", "longest", "longest_inside", "smallest"),
    *("any", "now"),
)

chosen_features = st.lists(st.sampled_from(FEATURES), min_size=12, max_size=12)
shuffles = st.randoms(use_true_random=False)


def see(world: World, feature: Feature) -> Events:
    """The events of a feature, seen from the moments of the world."""
    cohort = build_cohort(world.cohort)
    prepared = read_rows(world.histories, cohort, [feature], NO_LAGS)
    timeline = Timeline(prepared, prepared.numbers, to_microseconds(cohort["index_time"]))
    return build_view(feature.definition.events, timeline)


def keep(events: Events, is_kept: np.ndarray) -> Events:
    """The events without some of them; each stays what it was, whatever came before it."""
    rows = np.flatnonzero(is_kept)
    return Events(
        events.size,
        events.moment[rows],
        events.start_age[rows],
        events.end_age[rows],
        flags={name: flag[rows] for name, flag in events.flags.items()},
        values={name: values[rows] for name, values in events.values.items()},
        coded={name: coded.take(rows) for name, coded in events.coded.items()},
    )


def compute(feature: Feature, events: Events) -> list:
    """The value at each moment, None where it is null."""
    windows = [] if feature.window is None else [feature.window]
    (column,) = feature.measure.compute(feature.definition, events, windows)
    return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN


def draw_events(world: World, features: list[Feature]):
    for feature in features:
        if not set(feature.definition.tables) & set(world.histories.absent):
            events = see(world, feature)
            places = select_evidence(feature, events)[EVENT_ROW].to_numpy()
            yield feature, events, np.isin(np.arange(len(events)), places)


@given(worlds(), chosen_features)
def test_the_evidence_alone_makes_the_value(world, features):
    drawn = list(draw_events(world, features))
    alone = [compute(feature, keep(events, is_evidence)) for feature, events, is_evidence in drawn]
    assert alone == [compute(feature, events) for feature, events, _ in drawn]


@given(worlds(), chosen_features, shuffles)
def test_what_is_no_evidence_does_not_change_the_value(world, features, random):
    changed = []
    for feature, events, is_evidence in draw_events(world, features):
        expected = compute(feature, events)
        others = np.flatnonzero(~is_evidence).tolist()
        for place in random.sample(others, min(3, len(others))):
            is_kept = np.arange(len(events)) != place
            if compute(feature, keep(events, is_kept)) != expected:
                changed.append((feature.name, place))
    assert changed == []


@given(worlds(), chosen_features)
def test_there_is_evidence_wherever_there_is_something_to_tell(world, features):
    found, expected = [], []
    for feature, events, is_evidence in draw_events(world, features):
        has_evidence = np.isin(np.arange(events.size), events.moment[is_evidence]).tolist()
        for value, has_any in zip(compute(feature, events), has_evidence, strict=True):
            if feature.definition.measure in COUNTING:
                found.append((feature.name, has_any))
                expected.append((feature.name, bool(value)))
            elif feature.measure.when_none is None:
                found.append((feature.name, has_any))
                expected.append((feature.name, value is not None))
    assert found == expected


@given(worlds(), chosen_features)
def test_without_a_piece_of_evidence_the_value_is_another(world, features):
    unchanged = []
    for feature, events, is_evidence in draw_events(world, features):
        expected = compute(feature, events)
        for place in np.flatnonzero(is_evidence).tolist():
            moment = events.moment[place]
            measure, is_alone = feature.definition.measure, (events.moment[is_evidence] == moment).sum() == 1
            if measure in ADDING or (measure in DECIDING and is_alone):
                found = compute(feature, keep(events, np.arange(len(events)) != place))
                unchanged += [feature.name] if found[moment] == expected[moment] else []
    assert unchanged == []


@SELDOM
@given(worlds(), chosen_features, shuffles)
def test_the_order_of_delivery_decides_neither_what_is_evidence_nor_its_order(world, features, random):
    shuffled = map_tables(world, lambda rows: random.sample(rows, len(rows)))
    cohort = build_cohort(world.cohort)
    assert len(features) == 12
    for feature in features:
        expected = list_evidence(world.histories, cohort, feature)
        assert list_evidence(shuffled.histories, cohort, feature).equals(expected), feature.name


# --- By hand


def list_drawn(feature: Feature, **drawn: str) -> list[tuple[float, float | None]]:
    """The evidence: how many days before the index each event started and ended."""
    evidence = list_evidence(draw_histories(**drawn), build_cohort([("ada", INDEX)]), feature)
    return [
        ((INDEX - start).total_seconds() / 86_400, end and (INDEX - end).total_seconds() / 86_400)
        for start, end in evidence.select("started_at", "ended_at").iter_rows()
    ]


def own(**row) -> Feature:
    (feature,) = define(**{"windows": (365,)} | row).features()
    return feature


def test_services_without_a_paragraph_are_no_evidence_of_active_paragraphs():
    without = "started_at service paragraph\n-9d shelter .\n-8d support .\n-7d home_care ."
    assert list_drawn(BY_NAME["active_paragraphs"], social_services=without) == []
    one = f"{without}\n-6d support 85\n-5d home_care 85"
    assert list_drawn(BY_NAME["active_paragraphs"], social_services=one) == [(5.0, None)]


def test_contacts_without_a_department_are_no_evidence_of_continuity():
    drawn = "started_at ended_at department\n-9d -8d 1\n-7d -6d .\n-5d -4d 2"
    for name in ("department_continuity_365d", "department_entropy_365d", "department_concentration_365d"):
        assert list_drawn(BY_NAME[name], admissions=drawn) == [(5.0, 4.0), (9.0, 8.0)]


def test_one_contact_has_no_continuity_and_one_gap_no_burstiness_and_so_no_evidence():
    one = "started_at ended_at department\n-9d -8d 1\n-7d -6d ."
    assert list_drawn(BY_NAME["department_continuity_365d"], admissions=one) == []
    two = "started_at ended_at\n-9d -8d\n-7d -6d"
    assert list_drawn(BY_NAME["gap_burstiness_730d"], admissions=two) == []


def test_a_stay_of_no_length_is_no_evidence_of_days():
    drawn = "started_at ended_at\n-9d -9d\n-5d -4d"
    assert list_drawn(own(measure="days", events="stays"), admissions=drawn) == [(5.0, 4.0)]


def test_a_first_stay_has_no_gap_and_is_no_evidence_of_the_mean_gap():
    drawn = "started_at ended_at\n-9d -8d\n-5d -4d"
    assert list_drawn(own(measure="mean", events="stays", value="gap"), admissions=drawn) == [(5.0, 4.0)]


def test_the_evidence_of_a_share_is_all_that_it_is_a_share_of():
    drawn = "started_at ended_at admission_type\n-9d -8d acute\n-5d -4d planned"
    share = own(measure="share", events="stays", where=("acute",))
    assert list_drawn(share, admissions=drawn) == [(5.0, 4.0), (9.0, 8.0)]


@pytest.mark.parametrize(
    ("benefits", "expected"),
    [
        ("-9d -8d sickness\n-5d -4d pension", [5.0, 9.0]),  # never: all of them are something else
        ("-9d -8d self_support\n-5d -4d pension", [9.0]),  # not never: because of this one
    ],
)
def test_the_evidence_of_never_is_what_was_or_all_that_was_instead(benefits, expected):
    never = own(measure="never", events="benefit_spells", where=("self_support",))
    evidence = list_drawn(never, social_benefits=f"started_at ended_at benefit\n{benefits}")
    assert [start for start, _ in evidence] == expected


def test_of_several_last_ones_those_decide_that_are_what_is_asked_for():
    drawn = "started_at attendance\n-9d no_show\n-5d attended\n-5d no_show"
    last = own(measure="last", events="psychiatric_contacts", where=("no_show",))
    assert list_drawn(last, psychiatric_contacts=drawn) == [(5.0, 5.0)]
    none = "started_at attendance\n-5d attended\n-5d cancelled"
    assert list_drawn(last, psychiatric_contacts=none) == [(5.0, 5.0), (5.0, 5.0)]


def test_of_events_that_start_together_the_open_one_stands_first_and_then_the_longer():
    drawn = "started_at ended_at service\n-9d -8d shelter\n-9d -2d support\n-9d . home_care"
    services = own(measure="count", events="services")
    assert list_drawn(services, social_services=drawn) == [(9.0, None), (9.0, 2.0), (9.0, 8.0)]
