"""Features: the engine and the reference agree, and nothing that should not matter does."""

from collections.abc import Sequence
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from drawn import define
from reference import reference_features
from small_world import (
    INDEX,
    OPTIONAL_TABLES,
    PERSONS,
    SELDOM,
    World,
    build_cohort,
    build_histories,
    lags,
    map_tables,
    worlds,
)
from somv_risk.cohort.asof import Lags
from somv_risk.features import Definition, build_features, load_catalogue, load_definitions
from somv_risk.features import _reading as reading
from somv_risk.registers import schema as s
from somv_risk.registers.checks import check_tables

seeds = st.integers(0, 2**16)

# What the catalogue does not ask for, over windows whose edges the small world often meets.
OWN = [
    {"measure": "decayed", "events": "stays", "where": ("somatic",)},
    {"measure": "decayed", "events": "treatments", "anchor": "end"},
    {"measure": "trend", "events": "stays", "where": ("follows",)},
    {"measure": "trend", "events": "stays", "where": ("within_a_week",), "anchor": "end"},
    {"measure": "trend", "events": "psychiatric_contacts"},
    {"measure": "days_trend", "events": "admissions", "where": ("somatic",)},
    {"measure": "days_trend", "events": "outside_labour_market_spells"},
    {"measure": "days_trend", "events": "service_spells", "where": ("shelter",)},
    {"measure": "smallest", "events": "stays", "value": "gap"},
    {"measure": "median_gap", "events": "stays", "value": "gap"},
    {"measure": "median_gap", "events": "admissions", "value": "gap", "where": ("acute",)},
    {"measure": "burstiness", "events": "stays", "value": "gap"},
    {"measure": "burstiness", "events": "contacts", "value": "step", "where": ("follows",)},
    {"measure": "smallest", "events": "contacts", "value": "step", "where": ("same_unit",)},
    {"measure": "concentration", "events": "contacts", "value": "unit"},
    {"measure": "concentration", "events": "psychiatric_contacts", "value": "provider"},
    {
        "measure": "pair_share",
        "events": "contacts",
        "value": "step",
        "where": ("same_unit",),
        "of": ("follows",),
    },
    {
        "measure": "pair_share",
        "events": "stays",
        "value": "gap",
        "where": ("acute",),
        "match": {"diagnosis": ("F*", "E119", "I*")},
    },
    {"measure": "never", "events": "benefit_spells", "where": ("self_support",)},
    {"measure": "never", "events": "benefit_spells", "where": ("public",)},
    {"measure": "never", "events": "stays", "where": ("psychiatric",)},
    {"measure": "longest_inside", "events": "stays"},
    {"measure": "longest_inside", "events": "benefit_spells", "where": ("public",)},
    {"measure": "longest_inside", "events": "outside_labour_market_spells"},
    {"measure": "days_since_first", "events": "primary_care"},
    {"measure": "days_since_first", "events": "discharges", "anchor": "end"},
    {"measure": "days_since_first", "events": "diagnoses", "match": {"code": ("E11", "F1*")}},
    {"measure": "distinct", "events": "benefit_spells", "value": "benefit", "anchor": "part"},
    {"measure": "distinct", "events": "services", "value": "paragraph", "anchor": "part"},
    {"measure": "distinct", "events": "sectors", "value": "sector", "anchor": "part"},
    {"measure": "distinct", "events": "conditions", "value": "condition", "match": {"code": ("E*", "I5*")}},
    {"measure": "count", "events": "admissions", "where": ("quick_return",)},
    {"measure": "count", "events": "admissions", "where": ("after_unfinished",)},
    {"measure": "share", "events": "admissions", "where": ("within_a_week",), "of": ("follows",)},
    {"measure": "count", "events": "contacts", "where": ("new_unit",)},
    {"measure": "count", "events": "psychiatric_contacts", "where": ("after_no_show",)},
    {"measure": "count", "events": "psychiatric_contacts", "where": ("new_provider",)},
    {"measure": "count", "events": "treatments", "where": ("new_provider",)},
    {"measure": "count", "events": "services", "where": ("new_provider",)},
    {"measure": "count", "events": "treatments", "where": ("ended_in_hospital",), "anchor": "end"},
    {"measure": "last", "events": "psychiatric_contacts", "where": ("no_show",), "of": ("kept_or_missed",)},
    {"measure": "count", "events": "discharges", "where": ("due_14",), "anchor": "end"},
    {"measure": "count", "events": "contacts", "match": {"hospital": ("A",), "department": ("C", "B*")}},
    {"measure": "any", "events": "admissions", "match": {"diagnosis": ("F*", "E119", "K*")}},
    {"measure": "count", "events": "psychiatric_contacts", "match": {"provider": ("north*",)}},
    {"measure": "days_since", "events": "treatments", "match": {"provider": ("north",)}},
    {"measure": "count", "events": "services", "match": {"service": ("home_*",), "paragraph": ("85*",)}},
]
OWN_WINDOWS = (4, 6, 60, 730)


def define_own():
    return [define(id=f"own_{number}", windows=OWN_WINDOWS, **row) for number, row in enumerate(OWN)]


def build(world: World, **options) -> pl.DataFrame:
    return build_features(world.histories, build_cohort(world.cohort), **options).collect(engine="in-memory")


def expect(world: World, lags_of_tables: dict[str, float], definitions: Sequence[Definition]) -> pl.DataFrame:
    rows = [reference_features(world.tables, *key, lags_of_tables, definitions) for key in world.cohort]
    schema = {f.name: f.measure.dtype for definition in definitions for f in definition.features()}
    return pl.DataFrame(rows, schema=schema)


def list_differences(found: pl.DataFrame, expected: pl.DataFrame) -> list[tuple]:
    """Feature, what was built and what was expected, where they are not equal to the bit."""
    return [
        (name, one, other)
        for name in expected.columns
        for one, other in zip(found[name], expected[name], strict=True)
        if one != other
    ]


@given(worlds(), lags)
def test_every_feature_is_what_the_reference_says(world, lags_of_tables):
    found = build(world, lags=Lags(lags_of_tables))
    assert found.select(s.PERSON_ID, s.INDEX_TIME).rows() == world.cohort
    assert not list_differences(found, expect(world, lags_of_tables, load_definitions()))


@given(worlds(), lags)
def test_features_of_ones_own_are_what_the_reference_says(world, lags_of_tables):
    definitions = define_own()
    features = [feature for definition in definitions for feature in definition.features()]
    found = build(world, features=features, lags=Lags(lags_of_tables))
    assert not list_differences(found, expect(world, lags_of_tables, definitions))


def test_the_reference_knows_every_feature_of_the_catalogue():
    tables = {name: [] for name in s.EVENT_TABLES}
    tables["persons"] = [
        {s.PERSON_ID: "ada", "birth_date": INDEX.date(), "sex": "female", "municipality": None}
    ]
    names = [feature.name for feature in load_catalogue()]
    assert list(reference_features(tables, "ada", INDEX)) == names


@pytest.mark.parametrize("table", OPTIONAL_TABLES)
def test_exactly_the_features_of_an_absent_table_are_null(table):
    tables = {name: [] for name in s.EVENT_TABLES if name != table}
    person = {s.PERSON_ID: "ada", "birth_date": INDEX.date(), "sex": "female", "municipality": "376"}
    tables["persons"] = [person]
    (row,) = build_features(build_histories(tables), build_cohort([("ada", INDEX)])).collect().to_dicts()
    counted = {
        *("count", "any", "days", "most_within", "distinct", "distinct_now", "now"),
        *("decayed", "trend", "days_trend", "longest_inside"),
    }
    asked = [d for d in load_definitions() if d.measure in counted]
    absent = {feature.name for d in asked if table in d.tables for feature in d.features()}
    assert asked
    assert absent == {feature.name for d in asked for feature in d.features() if row[feature.name] is None}


@SELDOM
@given(worlds(), seeds)
def test_the_order_of_rows_does_not_matter(world, seed):
    random = Random(seed)
    shuffled = map_tables(world, lambda rows: random.sample(rows, len(rows)))
    assert_frame_equal(build(shuffled), build(world), check_exact=True)


@SELDOM
@given(worlds(), st.sampled_from(PERSONS))
def test_a_person_has_the_same_features_alone_as_among_others(world, person_id):
    alone = build(keep_person(world, person_id))
    among_others = build(world).filter(pl.col(s.PERSON_ID) == person_id)
    assert_frame_equal(alone, among_others, check_exact=True)


def keep_person(world: World, person_id: str) -> World:
    kept = map_tables(world, lambda rows: [row for row in rows if row[s.PERSON_ID] == person_id])
    cohort = [key for key in world.cohort if key[0] == person_id]
    return World(kept.tables, cohort, world.data_end)


@SELDOM
@given(worlds(), st.integers(2, 5))
def test_a_cohort_may_be_cut_into_parts(world, size):
    parts = [world.cohort[start : start + size] for start in range(0, len(world.cohort), size)]
    built = [build(World(world.tables, part, world.data_end)) for part in parts]
    assert_frame_equal(pl.concat(built), build(world), check_exact=True)


@SELDOM
@given(worlds())
def test_several_index_times_are_answered_as_each_alone(world):
    together = build(world)
    moments = {moment for _, moment in world.cohort}
    assert len(moments) == 2
    for moment in moments:
        rows = [key for key in world.cohort if key[1] == moment]
        alone = build(World(world.tables, rows, world.data_end))
        assert_frame_equal(alone, together.filter(pl.col(s.INDEX_TIME) == moment), check_exact=True)


@SELDOM
@given(worlds())
def test_both_engines_give_the_same_bits(world):
    query = build_features(world.histories, build_cohort(world.cohort))
    in_memory = query.collect(engine="in-memory")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "collect", collect_streaming)
        streamed = query.collect(engine="streaming")
    assert_frame_equal(streamed, in_memory, check_exact=True)


def collect_streaming(frames) -> list[pl.DataFrame]:
    return pl.collect_all(list(frames), engine="streaming")


@SELDOM
@given(worlds())
def test_features_can_be_asked_for_one_by_one(world):
    catalogue = load_catalogue()
    chosen = [
        feature for number, feature in enumerate(catalogue) if number % 17 == len(world.tables["admissions"])
    ]
    assert_frame_equal(
        build(world, features=chosen),
        build(world).select(s.PERSON_ID, s.INDEX_TIME, *(f.name for f in chosen)),
    )


@SELDOM
@given(worlds())
def test_the_small_world_passes_the_checks(world):
    tables = {
        name: pl.LazyFrame(drop_repeats(name, rows), schema=s.get_columns(name))
        for name, rows in world.tables.items()
    }
    histories = check_tables(tables, latest=INDEX.replace(year=2030), data_end=world.data_end)
    assert histories.quarantine.count() == 0
    assert {name: histories.table(name).collect().height for name in tables} == {
        name: len(drop_repeats(name, rows)) for name, rows in world.tables.items()
    }


def drop_repeats(table: str, rows: list[dict]) -> list[dict]:
    """Keep the first of the rows that the checks hold to be the same event."""
    key = s.TABLES[table].unique_by
    if not key:
        return rows
    return list({tuple(row[name] for name in key): row for row in reversed(rows)}.values())
