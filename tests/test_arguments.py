"""Arguments: whatever a call is given, it answers, or says what is wrong in the library's own words."""

import os
import random
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import somv_risk as sr
from somv_risk.calls.arguments import list_ids, read_count, read_index_times, read_path, read_share
from somv_risk.cohort.outcomes import measure_burden
from somv_risk.cohort.windows import Horizon
from somv_risk.errors import ConfigError, SomvRiskError

SHIPPED = Path(__file__).parents[1] / "models" / "simulated"
INDEX = "2025-01-01"
TRIED = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 6  # odd values of each argument


def make_histories():
    made = sr.simulate(persons=200, seed=3)
    return sr.Histories({name: table.collect().lazy() for name, table in made.tables.items()}, made.data_end)


HISTORIES = make_histories()
ROWS = sr.make_cohort(HISTORIES, [INDEX]).rows.collect().head(2)
ODD = [
    *(None, True, ..., object(), len, int, 1j, timedelta(1), iter([1]), range(3)),
    *(-1, 0, 1, 10**400, 1.5, float("nan"), float("inf"), np.int64(3), np.float64("nan")),
    *("", "x", "\0", "\ud800", "9" * 50, "x/../y", INDEX, b"x"),
    *(datetime.max, datetime.min, date.min, pd.NaT, np.datetime64("NaT")),
    *([], [None], [INDEX], (), {}, {"a": 1}, {1, 2}, np.array([1, 2])),
    *(pl.Series(["a"]), pd.Series([1]), pd.DataFrame(), ROWS, ROWS.lazy(), HISTORIES),
]


def collect_cohort(**arguments):
    cohort = sr.make_cohort(**arguments)
    return cohort.rows.collect(), cohort.attrition.collect()


def list_calls():
    """A sound call of each public function, or one that a sound argument would make fail soon."""
    model, person = sr.load_model(SHIPPED), ROWS["person_id"][0]
    asked = {"model": model, "histories": HISTORIES, "index_time": INDEX}
    one = {"model": model, "histories": HISTORIES, "person_id": person}
    rows = {"histories": HISTORIES, "cohort": ROWS}
    delivery = {"data_end": None, "pseudonymise_key": None}
    postgres = {"schema": "public", "config": None, "timezone": "UTC"}
    tables = {name: HISTORIES.table(name).collect() for name in ("persons", "admissions")}
    study = {"index_times": [INDEX], "draws": 2, "seed": 0, "explained": 0, "refits": None}
    lists = {"target": None, "persons": "all", "capacities": ["50"], "working_capacity": "50"}
    return {
        "build_features": (lambda **a: sr.build_features(**a).collect(), rows | {"features": None}),
        "label_outcomes": (lambda **a: sr.label_outcomes(**a).collect(), rows),
        "measure_burden": (
            lambda histories, cohort: measure_burden(histories, cohort, Horizon(365)).collect(),
            rows,
        ),
        "make_cohort": (
            collect_cohort,
            {"histories": HISTORIES, "index_times": [INDEX]}
            | {"minimum_age_years": 18, "minimum_residence_days": 365},
        ),
        "score": (
            sr.score,
            asked
            | {"person_ids": [person], "capacity": 1, "reasons": 3, "language": "da"}
            | {"explain": "all", "allow": ()},
        ),
        "score by threshold": (sr.score, asked | {"person_ids": [person], "threshold": 0.5}),
        "explain_person": (sr.explain_person, one | {"index_time": INDEX, "language": "da", "allow": ()}),
        "explain_change": (
            sr.explain_change,
            one | {"earlier": "2024-12-01", "later": INDEX, "language": "da", "reasons": 5, "allow": ()},
        ),
        "list_reason_evidence": (
            sr.list_reason_evidence,
            one | {"index_time": INDEX, "feature": model.features[0].name},
        ),
        "explain_region": (sr.explain_region, asked | {"top": 2}),
        "explain_trees": (
            sr.explain_trees,
            {"booster": model.main.booster, "matrix": np.zeros((2, len(model.features))), "threads": 1},
        ),
        "measure_explanations": (sr.measure_explanations, asked | {"persons": 2, "seed": 0, "others": ()}),
        "evaluate": (sr.evaluate, {"model": model, "histories": HISTORIES} | study | lists),
        "monitor": (sr.monitor, asked | {"earlier": None, "limits": None}),
        "from_frames": (sr.from_frames, tables | delivery | {"timezone": "Europe/Copenhagen"}),
        "read_histories": (
            sr.read_histories,
            {"path": "nowhere", "timezone": "UTC", "encoding": None} | delivery,
        ),
        "from_omop": (sr.from_omop, {"path": "nowhere", "config": None} | delivery),
        "from_delta": (sr.from_delta, {"path": "nowhere", "version": None} | delivery),
        "from_postgres": (
            sr.from_postgres,
            {"uri": "postgresql://127.0.0.1:1/nowhere"} | postgres | delivery,
        ),
        "score_spark": (
            sr.score_spark,
            {"spark": None, "store": "nowhere", "model": model, "out": "out", "index_time": INDEX}
            | {"capacity": 1, "threshold": None, "reasons": 3, "language": "da", "explain": "all"}
            | {"format": "parquet", "allow": (), "group_readable": False},
        ),
        "read_definitions": (sr.read_definitions, {"path": "nowhere"}),
        "load_model": (sr.load_model, {"path": SHIPPED}),
        "save": (model.save, {"path": "model"}),
        "train": (sr.train, {"histories": HISTORIES, "config": None}),
        "tune": (sr.tune, {"histories": HISTORIES, "trials": 1, "minutes": 1, "storage": "study.db"}),
        "run_batch": (
            sr.run_batch,
            {"model": model, "store": "nowhere", "out": "out", "index_time": INDEX, "options": None}
            | {"workers": 1, "since": None, "allow": ()},
        ),
        "simulate": (
            sr.simulate,
            {"persons": 20, "seed": 7, "municipalities": None}
            | {"start": date(2024, 1, 1), "end": date(2025, 1, 1)},
        ),
        "Histories": (sr.Histories, {"tables": HISTORIES.tables}),
        "Refits": (sr.Refits, {"seeds": 1, "years": 1, "places": ["360"]}),
        "keep_persons": (lambda **a: HISTORIES.keep_persons(**a).persons.collect(), {"person_ids": ROWS}),
        "pseudonymise": (HISTORIES.pseudonymise, {"key": "b7e14ac09d3f58c2"}),
    }


CALLS = list_calls()
ARGUMENTS = [(name, argument) for name, (_, sound) in CALLS.items() for argument in sound]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_an_odd_argument_is_answered_or_refused_in_words(name, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, sound = CALLS[name]
    chosen = random.Random(f"{name} {argument}").sample(ODD, min(TRIED, len(ODD)))
    assert len(chosen) >= 6
    for odd in chosen:
        said = listen(lambda odd=odd: call(**sound | {argument: odd}))
        assert "\n" not in said
        assert len(said) < 1_000
        assert not any(person in said for person in ROWS["person_id"])


def listen(call):
    """What a call says if it refuses; an error of another kind passes on."""
    try:
        call()
    except SomvRiskError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("value", [0, 7, np.int8(7), np.uint64(7)])
def test_whole_numbers_of_any_kind_are_counts(value):
    count = read_count("capacity", value)
    assert (count, type(count)) == (int(value), int)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1, 11, np.bool_(True), [1], 10**400])
def test_what_is_no_count_is_named_with_its_limits(value):
    with pytest.raises(ConfigError, match=r"capacity is .*Give a whole number from 0 to 10\."):
        read_count("capacity", value, most=10)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.int64(1)])
def test_numbers_from_0_to_1_are_shares(value):
    assert read_share("threshold", value) == float(value)


@pytest.mark.parametrize("value", [True, "0.5", None, float("nan"), -0.1, 1.1, 10**400, [0.5]])
def test_what_is_no_share_is_named(value):
    with pytest.raises(ConfigError, match=r"threshold is .*Give a number from 0 to 1\."):
        read_share("threshold", value)


@pytest.mark.parametrize("one", ["ada", ["ada"], ("ada", "ada"), np.array(["ada"]), pl.Series(["ada"])])
def test_ids_are_listed_once(one):
    assert list_ids("person_ids", one) == ["ada"]


def test_whole_numbers_are_ids():
    assert list_ids("person_ids", [7, np.int64(8)]) == ["7", "8"]


@pytest.mark.parametrize("value", [{"ada": 1}, b"ada", 1.5, None, ROWS, ROWS.to_pandas(), ["ada", 1.5]])
def test_what_are_no_ids_is_refused_without_an_id(value):
    with pytest.raises(ConfigError, match="Give ids") as refused:
        list_ids("person_ids", value)
    assert "ada" not in str(refused.value)


@pytest.mark.parametrize(
    "one", ["2025-01-01", date(2025, 1, 1), datetime(2025, 1, 1), np.datetime64("2025-01-01")]
)
def test_a_single_moment_is_a_list_of_one(one):
    listed = [one] if isinstance(one, np.datetime64) else one
    assert read_index_times(listed) == read_index_times([one, one]) == [datetime(2025, 1, 1)]


@pytest.mark.parametrize("value", [None, 1, "a\0b", "\ud800", b"x", ["x"]])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(ConfigError, match="Give the path"):
        read_path("path", value)
