"""Features of one's own: the same checks, the same numbers, and they travel with the model."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pydantic import ValidationError

import somv_risk as sr
from drawn import draw_histories, draw_tables, measure
from reference import reference_features
from small_world import (
    CODES,
    DEPARTMENTS,
    HOSPITALS,
    INDEX,
    PARAGRAPHS,
    PROVIDERS,
    World,
    build_cohort,
    worlds,
)
from small_world import lags as drawn_lags
from somv_risk.cohort.asof import Lags
from somv_risk.errors import ConfigError, SourceError
from somv_risk.features import (
    MEASURES,
    THEMES,
    VIEWS,
    Definition,
    build_features,
    describe_definition,
    list_anchors,
    list_evidence,
    list_features,
    list_measurable_events,
    list_measurable_values,
    load_definitions,
    read_definition,
)
from somv_risk.registers import schema as s
from somv_risk.testing import assert_no_future_leakage
from somv_risk.training.config import TrainConfig, parse_config, read_config
from test_features_reference import expect, list_differences

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_features.toml"
ROW = {
    "theme": "hospital_use",
    "title": {"da": "kontakter med neurologisk afdeling", "en": "contacts with neurology"},
    "unit": "contacts",
    "measure": "count",
    "events": "contacts",
    "match": {"department": ["Neurologi*"]},
    "windows": [90, 365],
}
TOML = """
[neurology]
theme = "hospital_use"
title = { da = "kontakter med neurologisk afdeling", en = "contacts with neurology" }
unit = "contacts"
measure = "count"
events = "contacts"
match = { department = ["Neurologi*"] }
windows = [90, 365]
"""


def define(**row) -> Definition:
    return read_definition("own", ROW | {"match": {}, "windows": [90]} | row)


def write(folder: Path, text: str, name: str = "own.toml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


# --- Counted by hand, once for each kind of events with texts

WORKED = {
    "contacts with one department": (
        {"events": "contacts", "match": {"department": ["Neurologi"]}},
        {
            "admissions": """
                started_at ended_at department
                -91d       -90d     Neurologi
                -90d       -89d     Neurologi
                -20d       -19d     Neurologi,Køge
                -10d       -9d      Kirurgi
                -9d        -8d      .
                -1d        .        Neurologi
                0          .        Neurologi
            """
        },
        2,
    ),
    "stays that begin with multiple sclerosis": (
        {"events": "stays", "match": {"diagnosis": ["G35*"]}},
        {
            "admissions": """
                started_at ended_at diagnosis
                -60d       -59d     G35
                -50d       -49d     G359
                -40d       -39d     G360
                -1d        .        G35
            """
        },
        2,
    ),
    "a diagnosis of multiple sclerosis": (
        {"events": "diagnoses", "measure": "any", "match": {"code": ["G35*", "G20"]}},
        {
            "admissions": """
                started_at ended_at diagnosis
                -60d       -59d     G209
                -40d       -39d     G359
            """
        },
        True,
    ),
    "a long-term condition by its code": (
        {"events": "conditions", "match": {"code": ["E10*"]}},
        {
            "admissions": """
                started_at ended_at diagnosis
                -60d       -59d     E101
                -50d       -49d     E119
                -40d       -39d     F102
            """
        },
        1,
    ),
    "appointments kept with one provider": (
        {"events": "psychiatric_contacts", "where": ["attended"], "match": {"provider": ["Slagelse"]}},
        {
            "psychiatric_contacts": """
                started_at provider attendance
                -60d       Slagelse attended
                -50d       Slagelse no_show
                -40d       Køge     attended
                -30d       Slagelse unknown
            """
        },
        2,
    ),
    "days since a treatment at one place ended": (
        {"events": "treatments", "measure": "days_since", "anchor": "end", "match": {"provider": ["Rus*"]}},
        {
            "substance_abuse": """
                started_at ended_at provider
                -300d      -30d     Ruscenter
                -200d      -20d     Alkoholklinik
                -100d      .        Ruscenter
            """
        },
        30.0,
    ),
    "services on one legal ground, open now": (
        {"events": "services", "measure": "distinct_now", "value": "provider", "windows": []}
        | {"match": {"paragraph": ["85"]}},
        {
            "social_services": """
                started_at ended_at paragraph provider
                -300d      .        85        Faxe
                -200d      .        85        Faxe
                -100d      .        85        Sorø
                -100d      .        850       Lejre
                -100d      -5d      85        Greve
            """
        },
        2,
    ),
    "share of contacts with one hospital": (
        {"events": "contacts", "measure": "share", "match": {"hospital": ["K*"]}},
        {
            "admissions": """
                started_at ended_at hospital
                -60d       -59d     Køge
                -50d       -49d     Holbæk
                -40d       -39d     .
                -30d       -29d     Kalundborg
            """
        },
        0.5,
    ),
}


@pytest.mark.parametrize("what", WORKED)
def test_a_feature_of_ones_own_counts_what_it_says(what):
    row, drawn, expected = WORKED[what]
    assert measure(define(**row), **drawn) == expected


@pytest.mark.parametrize("what", WORKED)
def test_a_worked_feature_is_what_the_reference_says(what):
    row, drawn, expected = WORKED[what]
    assert list(
        reference_features(draw_tables(**drawn), "ada", INDEX, definitions=[define(**row)]).values()
    ) == [expected]


def test_every_kind_of_events_with_texts_has_a_worked_feature():
    worked = {(row["events"], text) for row, _, _ in WORKED.values() for text in row["match"]}
    assert {events for events, _ in worked} >= {name for name, view in VIEWS.items() if view.texts} - {
        "admissions"
    }


@pytest.mark.parametrize("what", ["contacts with one department", "appointments kept with one provider"])
def test_the_evidence_is_the_very_events_that_match(what):
    row, drawn, expected = WORKED[what]
    (feature,) = define(**row).features()
    evidence = list_evidence(draw_histories(**drawn), build_cohort([("ada", INDEX)]), feature)
    assert evidence.height == expected
    assert evidence[s.STARTED_AT].is_sorted(descending=True)


def list_starts(definition, **drawn) -> list[float]:
    """Days from the start of each piece of evidence to the index."""
    (feature,) = definition.features()
    evidence = list_evidence(draw_histories(**drawn), build_cohort([("ada", INDEX)]), feature)
    return [(INDEX - start).total_seconds() / 86400 for start in evidence[s.STARTED_AT]]


def test_the_evidence_of_a_smallest_gap_has_both_its_sides_in_the_window():
    admissions = """
        started_at ended_at
        -99d       -91d
        -89d       -88d
        -80d       -79d
        -60d       -59d
    """
    smallest = define(measure="smallest", events="admissions", value="gap")
    assert measure(smallest, admissions=admissions) == 8
    assert list_starts(smallest, admissions=admissions) == [80]


def test_the_evidence_of_different_values_has_no_event_without_one():
    admissions = """
        started_at ended_at hospital
        -60d       -59d     Nykøbing
        -50d       -49d     .
        -40d       -39d     Roskilde
        -30d       -29d     Nykøbing
    """
    distinct = define(measure="distinct", value="hospital")
    assert measure(distinct, admissions=admissions) == 2
    assert list_starts(distinct, admissions=admissions) == [30, 40]


def test_the_evidence_of_a_longest_gap_is_nothing_where_no_stay_follows_another():
    longest = define(measure="longest", events="stays", value="gap")
    assert measure(longest, admissions="started_at\n-60d") is None
    assert list_starts(longest, admissions="started_at\n-60d") == []


def test_the_evidence_of_a_last_one_is_the_last_whatever_it_is():
    admissions = """
        started_at ended_at department
        -60d       -59d     Neurologi
        -50d       -49d     Kirurgi
    """
    last = define(measure="last", match={"department": ["Neurologi"]})
    assert measure(last, admissions=admissions) is False
    assert list_starts(last, admissions=admissions) == [50]


def test_a_table_that_is_absent_makes_a_feature_of_ones_own_null():
    row, _, _ = WORKED["services on one legal ground, open now"]
    assert measure(define(**row), absent=("social_services",)) is None
    assert measure(define(**row)) == 0


# --- Whatever can be constructed is what the reference says

TEXTS: Mapping[str, tuple] = MappingProxyType(
    {
        "hospital": HOSPITALS,
        "department": DEPARTMENTS,
        "provider": PROVIDERS,
        "paragraph": PARAGRAPHS,
        "diagnosis": CODES,
        "code": CODES,
        "service": s.SERVICES,
    }
)
OWN_WINDOWS = (2, 4, 6, 14, 30, 60, 730)


@st.composite
def matches(draw: st.DrawFn, texts: tuple[str, ...]) -> dict[str, list[str]]:
    columns = draw(st.lists(st.sampled_from(texts), max_size=2, unique=True)) if texts else []
    return {column: draw(st.lists(patterns(column), min_size=1, max_size=3)) for column in columns}


def patterns(column: str) -> st.SearchStrategy[str]:
    known = st.sampled_from([text for text in TEXTS[column] if text])
    return st.one_of(known, st.builds(lambda text, end: f"{text[:end]}*", known, st.integers(1, 4)))


def some(words: tuple[str, ...], most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), max_size=most, unique=True) if words else st.just([])


@st.composite
def rows(draw: st.DrawFn) -> dict:
    """Rows of which most make sense: each entry is one that exists, and now and then one of no use."""
    name = draw(st.sampled_from(list(MEASURES)))
    kind = MEASURES[name]
    events = draw(st.sampled_from([*3 * list_measurable_events(name), *VIEWS]))
    view = VIEWS[events]
    values = [*3 * list_measurable_values(name, events), *view.values] if kind.needs_value else [None]
    row = {
        **ROW,
        "theme": draw(st.sampled_from(THEMES)),
        "measure": name,
        "events": events,
        "where": draw(some(view.flags, 2)),
        "of": draw(some(view.flags, 1)) if kind.needs_where else [],
        "match": draw(matches(view.texts)),
        "anchor": draw(st.sampled_from([*2 * list_anchors(name, events), "start", "end"])),
        "value": draw(st.sampled_from(values or [None])),
        "within_days": draw(st.sampled_from([1, 2, 7, 30])) if name == "most_within" else None,
    }
    windows = st.lists(st.sampled_from(OWN_WINDOWS), min_size=1, max_size=3, unique=True)
    return row | {"windows": draw(windows) if kind.has_window else []}


def construct(rows_of_definitions: list[dict]) -> list[Definition]:
    """Those that can be constructed, numbered."""
    made = []
    for number, row in enumerate(rows_of_definitions):
        try:
            made.append(read_definition(f"own_{number}", row))
        except ConfigError:
            continue
    return made


LISTS_OF_ROWS = st.lists(rows(), min_size=8, max_size=8)


@settings(max_examples=settings().max_examples // 3)
@given(LISTS_OF_ROWS, worlds(), drawn_lags)
def test_whatever_can_be_constructed_is_what_the_reference_says(drawn, world, lags_of_tables):
    definitions = construct(drawn)
    features = list_features(definitions)
    cohort = build_cohort(world.cohort)
    found = build_features(world.histories, cohort, features, lags=Lags(lags_of_tables)).collect()
    assert not list_differences(found, expect(world, lags_of_tables, definitions))


@settings(max_examples=settings().max_examples // 10)
@given(LISTS_OF_ROWS, worlds())
def test_whatever_can_be_constructed_sees_nothing_to_come(drawn, world):
    features = list_features(construct(drawn))
    persons = {s.PERSONS, *world.tables}
    histories = World({name: world.tables[name] for name in persons}, [], world.data_end).histories
    assert_no_future_leakage(histories, INDEX, features=features, rounds=1)


@settings(max_examples=settings().max_examples // 10)
@given(LISTS_OF_ROWS, worlds())
def test_a_count_of_ones_own_has_as_many_events_behind_it(drawn, world):
    counts = [d for d in construct(drawn) if d.measure == "count"]
    cohort = build_cohort(sorted(set(world.cohort)))
    found = build_features(world.histories, cohort, list_features(counts)).collect()
    features = list_features(counts)
    events = {feature.name: list_evidence(world.histories, cohort, feature).height for feature in features}
    assert events == {feature.name: found[feature.name].sum() for feature in features}


@given(rows())
def test_a_definition_comes_back_from_json(row):
    made = construct([row])
    written = [json.loads(json.dumps(describe_definition(definition))) for definition in made]
    assert [read_definition(one.id, text) for one, text in zip(made, written, strict=True)] == made


def test_every_measure_can_be_taken_of_every_kind_that_is_listed_for_it():
    for name, kind in MEASURES.items():
        for events in list_measurable_events(name):
            view = VIEWS[events]
            if kind.needs_where and not view.flags and not view.texts:
                continue
            for value in list_measurable_values(name, events) if kind.needs_value else [None]:
                for anchor in list_anchors(name, events):
                    match = {text: ["F*"] for text in view.texts[-1:]} if kind.needs_where else {}
                    row = {
                        "measure": name,
                        "events": events,
                        "value": value,
                        "anchor": anchor,
                        "match": match,
                    }
                    where = list(view.flags[:1]) if kind.needs_where else []
                    windows = [90] if kind.has_window else []
                    within = 7 if name == "most_within" else None
                    define(**row, where=where, windows=windows, within_days=within)


# --- What cannot be constructed

REFUSED = {
    "a window at the index": ({"windows": [0]}, "at least one whole day, not 0"),
    "a window to come": ({"windows": [365, -30]}, "nothing at or after the index can be looked back upon"),
    "a window of half a day": ({"windows": [0.5]}, "at least one whole day, not 0.5"),
    "a window in words": ({"windows": ["a year"]}, "at least one whole day"),
    "a window of yes": ({"windows": [True]}, "at least one whole day"),
    "a window of windows": ({"windows": [[90]]}, "at least one whole day"),
    "a window without a list": ({"windows": 90}, r"windows that are no list. Write \[90, 365\]"),
    "no window": ({"windows": []}, "over no window. Give windows"),
    "a window twice": ({"windows": [90, 90]}, "has a window twice"),
    "a window where none is": ({"measure": "now"}, "which has no window. Leave windows out"),
    "halves of an odd window": ({"measure": "trend", "windows": [365]}, "even number of days"),
    "an unknown theme": ({"theme": "shoes"}, "unknown theme 'shoes'. Known are hospital_use"),
    "an unknown measure": ({"measure": "sum"}, "unknown measure 'sum'. Known are count"),
    "a measure of two": ({"measure": ["count", "any"]}, r"has measure \['count', 'any'\]. Write a text"),
    "unknown events": ({"events": "visits"}, "unknown kind of events 'visits'. Known are stays"),
    "an unknown flag": ({"where": ["accute"]}, "unknown flag of contacts 'accute'. Known are follows"),
    "a flag without a list": ({"where": "follows"}, r"a where that is no list of texts"),
    "a flag of others": (
        {"measure": "share", "where": ["follows"], "of": ["acute"]},
        "unknown flag .* 'acute'",
    ),
    "flags of which nothing is taken": ({"of": ["follows"]}, "looks at no of. Use where"),
    "an unknown text": ({"match": {"ward": ["B"]}}, "unknown text of contacts 'ward'. Known are hospital"),
    "a text where none is": (
        {"events": "primary_care", "match": {"provider": ["B"]}},
        "unknown text of primary_care 'provider'. There are none; leave it out",
    ),
    "a text without a list": ({"match": {"department": "Neurologi"}}, "no list|a list of texts"),
    "an empty text": ({"match": {"department": [""]}}, "at least one text for each column"),
    "no text": ({"match": {"department": []}}, "at least one text for each column"),
    "a number for a text": ({"match": {"department": [85]}}, "at least one text for each column"),
    "texts without a column": ({"match": ["Neurologi"]}, "at least one text for each column"),
    "a chapter with the Danish D": ({"match": {"diagnosis": ["DG*"]}}, "fits no ICD-10 code. Write codes"),
    "a code of ICD-9": ({"match": {"diagnosis": ["340"]}}, "fits no ICD-10 code"),
    "a code with a remark": ({"match": {"diagnosis": ["G35 obs"]}}, "fits no ICD-10 code"),
    "a chapter without a star": ({"match": {"diagnosis": ["G"]}}, "fits no ICD-10 code"),
    "an unknown anchor": ({"anchor": "middle"}, "unknown anchor 'middle'. Known are start, end, part"),
    "a part of what is not counted": (
        {"measure": "decayed", "anchor": "part"},
        "Give the anchor start or end",
    ),
    "an end of what has none": (
        {"events": "primary_care", "anchor": "end"},
        "count of primary_care anchored at 'end'. Give the anchor start",
    ),
    "a value where none is measured": ({"value": "unit"}, "measures no value. Leave value out"),
    "no value where one is": ({"measure": "distinct"}, "a distinct of no value"),
    "an unknown value": ({"measure": "distinct", "value": "shoes"}, "unknown value of contacts 'shoes'"),
    "a longest name": ({"measure": "longest", "value": "unit"}, "cannot measure. Choose one of step"),
    "a distinct length": ({"measure": "distinct", "value": "step"}, "Choose one of hospital, unit"),
    "days of what may overlap": (
        {"measure": "days"},
        "a days of contacts, of which it cannot be taken. Choose",
    ),
    "an open visit to the doctor": (
        {"measure": "now", "events": "primary_care", "windows": []},
        "a now of primary_care, of which it cannot be taken",
    ),
    "a count of what everybody has": ({"events": "background"}, "a count of background, of which it cannot"),
    "an age of events": ({"measure": "age", "value": "unit", "windows": []}, "Choose one of background"),
    "a category with a direction": (
        {"measure": "category", "events": "background", "value": "sex", "windows": [], "monotone": 1},
        "a category with a monotone direction",
    ),
    "a burst of no length": ({"measure": "most_within"}, "most_within without within_days"),
    "a burst of no days": ({"measure": "most_within", "within_days": 0}, "within 0 days. Give a positive"),
    "a burst to come": ({"measure": "most_within", "within_days": -7}, "within -7 days. Give a positive"),
    "a burst in words": ({"measure": "most_within", "within_days": "7"}, "within '7' days"),
    "a length of no burst": ({"within_days": 7}, "with within_days"),
    "a share of nothing": ({"measure": "share"}, "a share of nothing in particular"),
    "a direction beyond": ({"monotone": 2}, "monotone direction 2. Give -1, 0 or 1"),
    "a direction of yes": ({"monotone": True}, "monotone direction True"),
    "a direction in words": ({"monotone": "up"}, "monotone direction 'up'"),
    "no Danish title": ({"title": {"en": "own"}}, "no title in each language. Give a title in da, en"),
    "an empty title": ({"title": {"da": "", "en": "own"}}, "no title in each language"),
    "a title in no language": ({"title": "own"}, "no title in each language"),
    "no unit": ({"unit": ""}, "has unit ''. Write a text"),
    "an unknown key": ({"windos": [90]}, "unknown key windos. Known are theme, title"),
    "an id within": ({"id": "other"}, "unknown key id"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_sense_cannot_be_constructed(what):
    row, words = REFUSED[what]
    with pytest.raises(ConfigError, match=words) as refusal:
        define(**row)
    assert "Feature 'own'" in str(refusal.value)


@pytest.mark.parametrize("identity", ["", "Own", "1st", "own-feature", "own feature", "ø", 7])
def test_an_id_that_is_no_part_of_a_column_name_is_refused(identity):
    with pytest.raises(ConfigError, match="cannot be part of a column name"):
        read_definition(identity, ROW)


@pytest.mark.parametrize("identity", ["person_id", "index_time", "role", "outcome_events"])
def test_an_id_that_another_column_has_is_refused(identity):
    with pytest.raises(ConfigError, match="has an id that another column has"):
        read_definition(identity, ROW)


@pytest.mark.parametrize("key", ["theme", "title", "unit", "measure", "events"])
def test_a_key_that_is_missing_is_named(key):
    with pytest.raises(ConfigError, match=f"Feature 'own' lacks {key}. Add what is missing"):
        read_definition("own", {name: value for name, value in ROW.items() if name != key})


def test_python_may_give_lists_for_tuples_and_cannot_change_them_afterwards():
    listed = Definition(id="own", **ROW)
    assert listed.windows == (90, 365)
    assert listed == Definition(
        id="own", **ROW | {"windows": (90, 365), "match": {"department": ("Neurologi*",)}}
    )
    with pytest.raises(TypeError):
        listed.match["hospital"] = ("Køge",)


@pytest.mark.parametrize("code", ["DG35.9*", "g35.9*", "G35.9 *", "dg359*", "G359*"])
def test_a_code_is_read_as_the_codes_of_a_delivery_are(code):
    written = Definition(id="own", **ROW | {"match": {"diagnosis": [code]}})
    assert written == Definition(id="own", **ROW | {"match": {"diagnosis": ["G359*"]}})


@pytest.mark.parametrize("code", ["D50*", "D5*", "D*", "D50", "*"])
def test_a_code_of_chapter_d_keeps_its_letter(code):
    assert Definition(id="own", **ROW | {"match": {"diagnosis": [code]}}).match["diagnosis"] == (code,)


def test_texts_of_other_columns_are_not_read_as_codes():
    assert Definition(id="own", **ROW | {"match": {"hospital": ["dg35"]}}).match["hospital"] == ("dg35",)


def test_two_features_of_one_name_are_refused():
    one = read_definition("own", ROW)
    with pytest.raises(ConfigError, match="More than one feature has the id own"):
        list_features([one, one])
    other = read_definition("own_90d", ROW | {"measure": "now", "windows": []})
    with pytest.raises(ConfigError, match="More than one feature has the name own_90d"):
        list_features([one, other])


def test_a_feature_cannot_take_the_place_of_one_of_the_catalogue():
    for taken in ("age", "acute_admissions"):
        with pytest.raises(ConfigError, match=f"More than one feature has the id {taken}"):
            parse_config({"features": {"own": {taken: ROW}, "exclude": [taken]}})


# --- Read from TOML


def test_a_file_is_read_in_its_order(tmp_path):
    file = write(tmp_path, TOML + TOML.replace("[neurology]", "[another]"))
    assert [d.id for d in sr.read_definitions(file)] == ["neurology", "another"]
    assert sr.read_definitions(str(file))[0] == Definition(id="neurology", **ROW)


def test_the_example_can_be_read():
    definitions = sr.read_definitions(EXAMPLE)
    assert len(definitions) >= 4
    assert all(definition.match for definition in definitions)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOML.replace("windows = [90, 365]", "windows = [-90]"), "Feature 'neurology': A look-back window"),
        (TOML.replace("unit", "units"), "Feature 'neurology' has the unknown key units"),
        (TOML.replace("neurology", "age", 1), "More than one feature has the id age"),
        (TOML + TOML, "is not TOML"),
        (TOML.replace("]", "", 1), "is not TOML"),
        ("windows = [90]", "Feature 'windows' is no table. Write its keys below \\[windows\\]"),
    ],
)
def test_a_bad_file_is_an_error_that_names_file_and_feature(tmp_path, text, words):
    file = write(tmp_path, text)
    with pytest.raises(ConfigError, match=words) as refusal:
        sr.read_definitions(file)
    assert str(file) in str(refusal.value)


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"Features .*nothing\.toml cannot be read"):
        sr.read_definitions(tmp_path / "nothing.toml")


# --- In a configuration


def test_a_configuration_names_a_file_beside_it(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    write(tmp_path / "site", TOML)
    config = write(tmp_path / "site", '[features]\nown = "own.toml"\n', "training.toml")
    names = [feature.name for feature in read_config(config).build_features()]
    assert names[-2:] == ["neurology_90d", "neurology_365d"]
    assert len(names) == len(list_features(load_definitions())) + 2
    monkeypatch.chdir(tmp_path)
    assert read_config("site/training.toml") == read_config(config)


def test_a_file_a_table_and_definitions_say_the_same(tmp_path):
    definition = Definition(id="neurology", **ROW)
    inline = write(tmp_path, TOML.replace("[neurology]", "[features.own.neurology]"), "training.toml")
    ways = [
        read_config(inline),
        *(
            parse_config({"features": {"own": own}})
            for own in (
                write(tmp_path, TOML),
                str(write(tmp_path, TOML)),
                {"neurology": ROW},
                [definition],
                (definition,),
            )
        ),
    ]
    assert all(way == TrainConfig(features={"own": [definition]}) for way in ways)


def test_a_configuration_written_down_holds_the_definitions_and_not_their_file(tmp_path):
    config = parse_config({"features": {"own": write(tmp_path, TOML)}})
    (tmp_path / "own.toml").unlink()
    written = json.loads(json.dumps(config.model_dump(mode="json")))
    assert written["features"]["own"]["neurology"]["match"] == {"department": ["Neurologi*"]}
    assert parse_config(written) == config


@pytest.mark.parametrize(
    ("own", "error", "words"),
    [
        ({"own": ROW | {"windows": [0]}}, ConfigError, "^Feature 'own': A look-back window"),
        ([ROW], ConfigError, r"Configuration features\.own\.0: "),
        (7, ConfigError, r"Configuration features\.own: "),
        ("nothing.toml", SourceError, "nothing.toml cannot be read"),
    ],
)
def test_a_slip_in_a_configuration_is_told(own, error, words):
    with pytest.raises(error, match=words):
        parse_config({"features": {"own": own}})


def test_a_slip_in_a_file_that_a_configuration_names_is_told_with_both(tmp_path):
    write(tmp_path, TOML.replace("[90, 365]", "[-1]"))
    config = write(tmp_path, '[features]\nown = "own.toml"\n', "training.toml")
    with pytest.raises(ConfigError, match=r"Features .*own\.toml: Feature 'neurology': A look-back"):
        read_config(config)
    with pytest.raises(ValidationError):
        TrainConfig(features={"own": [3]})


# --- In a model


@pytest.fixture(scope="module")
def own_file(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("own"), EXAMPLE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def trained(region, plan, own_file) -> sr.RiskModel:
    """A model of a few features of the catalogue and those of the example, some with a direction."""
    kept = {"acute_admissions", "age", "attended_contacts", "social_assistance_days"}
    exclude = [d.id for d in load_definitions() if d.id not in kept]
    own = own_file.read_text(encoding="utf-8").replace("match = { dep", "monotone = 1\nmatch = { dep", 1)
    own_file.write_text(own, encoding="utf-8")
    features = {"exclude": exclude, "own": str(own_file)}
    return sr.train(region, plan | {"targets": {"frequent_admission": {}}, "features": features})


@pytest.fixture(scope="module")
def loaded(trained, own_file, tmp_path_factory) -> sr.RiskModel:
    """The model from its folder, when the file of the features is gone."""
    folder = tmp_path_factory.mktemp("model")
    trained.save(folder)
    own_file.unlink(missing_ok=True)
    return sr.load_model(folder)


@pytest.fixture(scope="module")
def own_names(loaded) -> list[str]:
    known = {definition.id for definition in load_definitions()}
    return [feature.name for feature in loaded.features if feature.definition.id not in known]


def test_a_model_carries_the_features_it_was_trained_with(trained, loaded, own_names):
    assert own_names == [
        *("medical_contacts_90d", "medical_contacts_365d", "atrial_fibrillation_1825d"),
        *("support_now", "missed_in_koege_or_slagelse_730d"),
    ]
    assert loaded == trained
    assert loaded.features == trained.features
    assert "medical_contacts" in json.dumps(loaded.facts["config"])
    assert "(not of the catalogue: medical_contacts, atrial_fibrillation, " in loaded.facts["card"]


def test_the_trees_use_them_and_keep_their_direction(loaded, own_names):
    gains = dict(zip(loaded.encoding.names, loaded.main.booster.feature_importance("gain"), strict=True))
    assert any(gains[name] > 0 for name in own_names)
    place = loaded.encoding.names.index("medical_contacts_365d")
    assert loaded.features[place].definition.monotone == 1
    parameters = loaded.main.trees.partition("[monotone_constraints: ")[2].partition("]")[0].split(",")
    assert parameters[place] == "1"


def test_a_loaded_model_scores_the_same_without_the_file(trained, loaded, crowd):
    options = {"index_time": crowd.data_end, "person_ids": ["thomas", "anna", "P0000001"], "explain": "all"}
    assert_frame_equal(
        sr.score(loaded, crowd, **options), sr.score(trained, crowd, **options), check_exact=True
    )


def test_a_score_of_a_region_and_of_a_citizen_are_the_same(loaded, crowd):
    scores = sr.score(loaded, crowd, index_time=crowd.data_end, explain="none")
    alone = sr.score(loaded, crowd, index_time=crowd.data_end, person_ids=["thomas"], explain="none")
    among = scores.filter(pl.col("person_id") == "thomas")
    assert_frame_equal(alone.drop("rank"), among.drop("rank"), check_exact=True)


def test_they_see_nothing_that_was_not_yet_known(loaded, own_names, crowd):
    own = [feature for feature in loaded.features if feature.name in own_names]
    few = crowd.keep_persons(crowd.persons.head(300))
    assert_no_future_leakage(few, crowd.data_end, features=own, rounds=1)


def test_a_reason_tells_them_by_their_title_and_shows_the_events(loaded, crowd, own_names):
    """Whoever had many contacts with a medical department is told so, from the model's own words."""
    cohort = sr.make_cohort(crowd, [crowd.data_end])
    counted = build_features(crowd, cohort, loaded.features).collect()
    first = counted.sort("medical_contacts_365d", descending=True)["person_id"].head(20).to_list()
    told = []
    for person in first:
        for language, title in (
            ("da", "ontakter med medicinsk afdeling: "),
            ("en", "ontacts with a medical "),
        ):
            why = sr.explain_person(loaded, crowd, person, crowd.data_end, language=language)
            shown = [name for reason in why.reasons for name in reason.told if name in own_names]
            texts = " ".join(reason.text for reason in why.reasons)
            if "medical_contacts_365d" in shown:
                count = counted.filter(pl.col("person_id") == person)["medical_contacts_365d"].item()
                assert title in texts
                assert why.evidence["medical_contacts_365d"].height == count
                told.append(person)
    assert told
