"""Quality of explanations: exact ones pass, broken ones fail, and what is deleted is what a reason counts."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

import somv_risk as sr
from somv_risk.cohort.asof import NO_LAGS
from somv_risk.errors import ConfigError
from somv_risk.evaluation.explanations import (
    MEASURES,
    _deletion,
    _exactness,
    _measures,
    check_deletion,
    measure_explanations,
    measure_stability,
)
from somv_risk.evaluation.explanations._deletion import delete_rows
from somv_risk.evaluation.explanations._measured import tell_mean, tell_median, tell_share
from somv_risk.evaluation.explanations._sources import find_sources, see_tables
from somv_risk.features import VIEWS, list_event_views, list_evidence, load_catalogue
from somv_risk.registers.histories import Histories
from somv_risk.scoring.score import choose_persons, collect_features
from somv_risk.testing.people import PEOPLE, karen, mix
from somv_risk.trees.contributions import explain_trees

NOW = datetime(2026, 1, 1)
BY_NAME = {feature.name: feature for feature in load_catalogue()}
PERSONS = 60


def before(days):
    return NOW - timedelta(days=days)


@pytest.fixture(scope="module")
def measured(model, region):
    """What is measured where the only other model is the model itself."""
    return read(measure_explanations(model, region, NOW, persons=PERSONS, others=[model]))


def read(table):
    return {row["measure"]: row for row in table.iter_rows(named=True)}


# --- Exact, steady and faithful explanations


def test_the_table_is_tidy_and_says_all_that_is_promised(model, region):
    table = measure_explanations(model, region, NOW, persons=20)
    assert table.schema == {
        "measure": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "note": pl.String,
    }
    assert table["measure"].to_list() == list(MEASURES)
    assert table["note"].null_count() == 0
    bounded = table.drop_nulls("low")
    assert ((bounded["low"] <= bounded["value"]) & (bounded["value"] <= bounded["high"])).all()
    assert table.equals(measure_explanations(model, region, NOW, persons=20))


def test_exact_explanations_are_found_exact(measured):
    assert measured["additivity_error"]["value"] < 1e-9
    assert measured["difference_to_shap"]["value"] < 1e-9
    assert measured["difference_to_brute_force"]["value"] < 1e-9
    assert "400 persons" not in measured["additivity_error"]["note"]
    assert f"{2 * PERSONS} persons" in measured["additivity_error"]["note"]


def test_without_the_events_behind_the_first_reason_the_risk_falls(measured):
    assert measured["deletion_lowers_risk"]["value"] > 0.9
    assert measured["deletion_median_fall"]["low"] > 0.01
    assert measured["control_lowers_risk"]["high"] < measured["deletion_lowers_risk"]["low"]
    assert measured["control_median_fall"]["high"] < measured["deletion_median_fall"]["low"]


def test_a_model_names_the_same_themes_as_itself(measured):
    assert measured["same_top_theme"]["value"] == 1
    assert measured["shared_top_3_themes"]["value"] == 1


def test_without_other_models_nothing_is_said_of_stability(model, region):
    table = read(measure_explanations(model, region, NOW, persons=5))
    for name in ("same_top_theme", "shared_top_3_themes"):
        assert (table[name]["value"], table[name]["low"]) == (None, None)
        assert "no other model" in table[name]["note"]


def test_fewer_than_one_person_is_refused(model, region):
    with pytest.raises(ConfigError, match="persons is 0"):
        measure_explanations(model, region, NOW, persons=0)


# --- Broken ones


def measure_broken(monkeypatch, model, region, damage):
    """Measure what is left of the quality if every explanation is damaged."""

    def explain_badly(booster, matrix):
        told = explain_trees(booster, matrix)
        return replace(told, values=damage(told.values))

    monkeypatch.setattr(_measures, "explain_trees", explain_badly)
    monkeypatch.setattr(_exactness, "explain_trees", explain_badly)
    return read(measure_explanations(model, region, NOW, persons=PERSONS))


def test_contributions_of_other_persons_do_not_add_up(monkeypatch, model, region, measured):
    broken = measure_broken(monkeypatch, model, region, lambda values: np.roll(values, 1, axis=0))
    assert broken["additivity_error"]["value"] > 0.1
    assert broken["difference_to_shap"]["value"] > 0.1
    assert broken["difference_to_brute_force"]["value"] > 0.1
    assert broken["deletion_median_fall"]["value"] <= measured["deletion_median_fall"]["high"]


@pytest.mark.parametrize("seed", range(3))
def test_contributions_of_other_features_add_up_and_yet_name_the_wrong_events(
    monkeypatch, model, region, measured, seed
):
    def shuffle(values):
        return values[:, np.random.default_rng(seed).permutation(values.shape[1])]

    broken = measure_broken(monkeypatch, model, region, shuffle)
    assert broken["additivity_error"]["value"] < 1e-9
    assert broken["difference_to_shap"]["value"] > 0.1
    assert broken["difference_to_brute_force"]["value"] > 0.1
    lowered, has_events = broken["deletion_lowers_risk"]["value"], broken["first_reason_has_events"]["value"]
    assert lowered * has_events < 0.5 * measured["deletion_lowers_risk"]["low"]


def test_reasons_turned_upside_down_do_not_lower_the_risk(monkeypatch, model, region, measured):
    broken = measure_broken(monkeypatch, model, region, np.negative)
    assert broken["additivity_error"]["value"] > 0.1
    assert broken["deletion_lowers_risk"]["high"] < measured["deletion_lowers_risk"]["low"]
    assert broken["deletion_median_fall"]["high"] < measured["deletion_median_fall"]["low"]


def test_other_themes_first_are_noticed(model, region):
    rows = choose_persons(model, region, NOW, None).head(50)
    matrix = model.encoding.to_matrix(collect_features(model, region, rows))
    values = explain_trees(model.main.booster, matrix).values
    place = [feature.definition.theme for feature in model.features].index("unfinished_treatment")
    other = values.copy()
    other[:, place] += 100  # this theme is first for everybody, and by what the model says for nobody
    same, shared = measure_stability(model, [model], region, rows, other, seed=0)
    assert same.value == 0
    assert shared.value == pytest.approx(2 / 3)


# --- Who has no events


def test_persons_whose_first_reason_has_no_events_are_counted_and_left_out(model):
    """Karen has no history: what raises her risk, if anything does, has no events."""
    tables = karen(NOW)
    names = pl.Series(["ada", "bo", "cy"])
    tables["persons"] = pl.concat([tables["persons"].with_columns(person_id=pl.lit(name)) for name in names])
    table = read(measure_explanations(model, sr.from_frames(**tables, data_end=NOW), NOW, persons=2))
    assert table["first_reason_has_events"]["value"] == 0
    assert table["deletion_lowers_risk"]["value"] is None
    assert table["control_median_fall"]["value"] is None
    assert "0 persons of 2" in table["deletion_lowers_risk"]["note"]
    assert table["additivity_error"]["value"] < 1e-9


# --- The rows behind a reason


@pytest.fixture(scope="module")
def named():
    people = [PEOPLE[name](NOW) for name in ("thomas", "anna", "mrs_smith")]
    histories = sr.from_frames(**mix(*people), data_end=NOW)
    return Histories({name: table.collect().lazy() for name, table in histories.tables.items()}, data_end=NOW)


def at_now(*persons):
    rows = pl.DataFrame({"person_id": list(persons), "index_time": [NOW] * len(persons)})
    return rows.cast({"index_time": pl.Datetime("us")})


def test_every_kind_of_event_has_its_sources():
    assert {name for name, view in VIEWS.items() if view.sources} == set(VIEWS) - {"background"}
    for view in VIEWS.values():
        assert {source.table for source in view.sources} <= {*view.tables, *view.also}


# Without an event, the one after it may become what it was: a return, or a switch.
RELATIVE = {"return_after_unfinished", "quick_return", "readmission", "early_readmission", "sector_switch"}
RELATIVE |= {"within_a_week", "switch", "restart", "after_no_show", "new_unit", "new_provider"}
WIDEST = {feature.definition.id: feature for feature in load_catalogue()}


@pytest.mark.parametrize("view", sorted(list_event_views()))
def test_without_their_rows_events_are_gone_and_counts_are_none(model, named, view):
    rows = at_now("thomas", "anna", "mrs_smith")
    seen = see_tables(named, rows, model.lags)
    features = [feature for feature in WIDEST.values() if feature.definition.events == view]
    behind = 0
    for feature in features:
        evidence = list_evidence(named, rows, feature, model.lags)
        if evidence.is_empty():
            continue
        behind += evidence.height
        without = delete_rows(named, find_sources(seen, evidence, feature))
        left = list_evidence(without, rows, feature, model.lags)
        event = ["person_id", "started_at", "ended_at"]
        assert left.join(evidence, on=event, how="semi", nulls_equal=True).is_empty(), feature.name
        if feature.definition.measure == "count" and not RELATIVE & set(feature.definition.where):
            counted = sr.build_features(without, rows, [feature]).collect()[feature.name]
            assert counted.sum() == 0, feature.name
    assert behind


def make(**tables):
    """Karen with rows of her own; what is not given is null."""
    histories = karen(NOW)
    for name, rows in tables.items():
        schema = histories[name].schema
        filled = [{column: {"person_id": "karen", **row}.get(column) for column in schema} for row in rows]
        histories[name] = pl.DataFrame(filled, schema=schema)
    return sr.from_frames(**histories, data_end=NOW)


def contact(number, start, end, kind="acute", **more):
    return {
        "contact_id": f"c{number}",
        "started_at": before(start),
        "ended_at": before(end),
        "sector": "somatic",
        "admission_type": kind,
        "discharge": "completed",
        **more,
    }


def find(histories, name):
    feature, rows = BY_NAME[name], at_now("karen")
    found = find_sources(
        see_tables(histories, rows, NO_LAGS), list_evidence(histories, rows, feature), feature
    )
    return found.select("table", "table_row", "is_code").rows()


def test_a_stay_is_made_of_all_its_contacts():
    """Three contacts less than 4 hours apart make one stay; the fourth is one of its own, and planned."""
    contacts = [
        contact(1, 20.0, 19.5),
        contact(2, 19.4, 19.0, "planned"),
        contact(3, 19.0, 18.0),
        contact(4, 10.0, 9.0, "planned"),
    ]
    own = make(admissions=contacts)
    assert find(own, "acute_admissions_30d") == [("admissions", row, False) for row in (0, 1, 2)]
    assert find(own, "planned_admissions_90d") == [("admissions", 3, False)]


def test_a_row_that_is_not_yet_known_is_behind_nothing():
    late = contact(2, 20.0, 19.5) | {"known_at": NOW}
    assert find(make(admissions=[contact(1, 20.0, 19.5), late]), "acute_admissions_30d") == [
        ("admissions", 0, False)
    ]


def test_a_spell_is_made_of_the_rows_of_its_own_benefit_only():
    """Two grants of social assistance that adjoin are one spell; a pension begins with it."""
    spells = [
        {"started_at": before(100), "ended_at": before(50), "benefit": "social_assistance"},
        {"started_at": before(50), "ended_at": before(10), "benefit": "social_assistance"},
        {"started_at": before(100), "ended_at": before(10), "benefit": "pension"},
    ]
    own = make(social_benefits=spells)
    assert find(own, "social_assistance_days_365d") == [("social_benefits", row, False) for row in (0, 1)]
    assert find(own, "pension_days_365d") == [("social_benefits", 2, False)]


def test_of_a_contact_only_the_diagnosis_is_behind_a_condition_and_its_stay_remains():
    own = make(
        admissions=[contact(1, 20, 18, diagnosis="E119"), contact(2, 10, 8, diagnosis="S525")],
        diagnoses=[
            {**contact(1, 20, 18), "code": "E119", "kind": "primary"},
            {**contact(2, 10, 8), "code": "S525", "kind": "primary"},
        ],
    )
    found = find(own, "diabetes_diagnosis_1825d")
    assert found == [("admissions", 0, True), ("diagnoses", 0, True)]
    deleted = pl.DataFrame(found, schema=["table", "table_row", "is_code"], orient="row")
    left = delete_rows(own, deleted)
    assert left.admissions.collect()["diagnosis"].to_list() == [None, "S525"]
    assert left.diagnoses.collect()["code"].to_list() == ["S525"]


def test_the_diagnoses_of_a_contact_go_with_it():
    own = make(
        admissions=[contact(1, 20, 18), contact(2, 10, 8)],
        diagnoses=[{**contact(n, 20, 18), "code": "E119", "kind": "primary"} for n in (1, 2)],
    )
    deleted = pl.DataFrame({"table": ["admissions"], "table_row": [0], "is_code": [False]})
    left = delete_rows(own, deleted)
    assert left.admissions.collect()["contact_id"].to_list() == ["c2"]
    assert left.diagnoses.collect()["contact_id"].to_list() == ["c2"]


def test_as_many_other_rows_of_the_same_person_and_table_are_drawn():
    stays = [contact(number, 10 * number, 10 * number - 1) for number in range(1, 11)]
    own = make(admissions=stays)
    seen = see_tables(own, at_now("karen"), NO_LAGS)
    behind = at_now("karen").join(
        pl.DataFrame({"table": "admissions", "table_row": [0, 1, 2], "is_code": False}), how="cross"
    )
    behind = behind.cast({"table_row": pl.UInt32})
    drawn = [_deletion._draw_others(seen, behind, seed) for seed in range(20)]
    assert all(others.height == 3 for others in drawn)
    assert {row for others in drawn for row in others["table_row"]} == set(range(3, 10))
    most = behind.join(pl.DataFrame({"n": [0, 1, 2]}), how="cross").with_columns(
        pl.int_range(9, dtype=pl.UInt32).alias("table_row")
    )
    assert _deletion._draw_others(seen, most.drop("n"), 0)["table_row"].to_list() == [9]


def test_the_fall_is_what_a_scoring_without_the_rows_gives(model, named):
    """Thomas' rows are found and taken out by hand; his risk is then what the check says."""
    rows = at_now("thomas")
    frame = collect_features(model, named, rows)
    told = explain_trees(model.main.booster, model.encoding.to_matrix(frame))
    deletion = check_deletion(model, named, rows, frame, told, seed=0)
    explained = sr.explain_person(model, named, "thomas", NOW)
    raising = max(explained.reasons, key=lambda reason: reason.contribution)
    evidence = list_evidence(named, rows, BY_NAME[raising.feature], model.lags)
    assert BY_NAME[raising.feature].definition.events in ("stays", "admissions", "contacts")
    inside = pl.any_horizontal(
        pl.col("person_id").eq("thomas") & pl.col("started_at").is_between(start, end)
        for start, end in evidence.select("started_at", "ended_at").iter_rows()
    )
    gone = named.admissions.filter(inside).select("contact_id")
    tables = {
        name: table.join(gone, on="contact_id", how="anti") if name in ("admissions", "diagnoses") else table
        for name, table in named.tables.items()
    }
    after = sr.score(model, Histories(tables, data_end=NOW), index_time=NOW, person_ids=["thomas"])
    assert deletion.falls.tolist() == [explained.risk - after["risk"].item()]
    assert deletion.falls[0] > 0


# --- Intervals


@pytest.mark.parametrize(("count", "of"), [(0, 7), (3, 7), (7, 7), (196, 200)])
def test_an_interval_of_a_share_is_that_of_scipy(count, of):
    from scipy.stats import binomtest  # noqa: PLC0415 - slow to import

    expected = binomtest(count, of).proportion_ci(0.95, method="wilson")
    row = tell_share("x", count, of, "")
    np.testing.assert_allclose((row.low, row.high), (expected.low, expected.high), atol=1e-12)


def test_an_interval_over_persons_is_narrow_where_they_agree():
    rng = np.random.default_rng(0)
    each = rng.normal(0.2, 0.1, 400)
    row = tell_mean("x", each, "", seed=1)
    half = 1.96 * each.std() / np.sqrt(len(each))
    assert (row.low, row.high) == (
        pytest.approx(each.mean() - half, abs=0.003),
        pytest.approx(each.mean() + half, abs=0.003),
    )
    assert tell_median("x", np.full(9, 0.3), "", seed=1).low == 0.3
    assert tell_median("x", np.empty(0), "nobody", seed=1).value is None
