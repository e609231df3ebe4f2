"""Few events: they are counted before work starts, and a model is then cross-validated over persons."""

import json
import pickle
import subprocess
import sys
import textwrap
from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

import somv_risk as sr
from somv_risk.cohort.outcomes import FREQUENT_ADMISSION, UNFINISHED_TREATMENT
from somv_risk.errors import CohortError, ConfigError, InputError, TrainingWarning
from somv_risk.evaluation.compare_models import compare_models
from somv_risk.model.calibration import deal_folds
from somv_risk.registers.histories import Histories
from somv_risk.training import folds, steps
from somv_risk.training.config import parse_config
from somv_risk.training.events import IN_TIME, add_up, count_events, tell_shortage
from somv_risk.training.rows import Snapshot, label_rows

QUICK = {
    "validation": "cross",
    "tables": ["persons", "admissions"],
    "targets": {"frequent_admission": {"min_count": 1}},
    "times": {"train_moments": 2},
    "trees": {
        "rounds": 15,
        "patience": 5,
        "parameters": {
            "learning_rate": 0.2,
            "num_leaves": 7,
            "min_data_in_leaf": 20,
            "max_bin": 15,
            "num_threads": 1,
        },
    },
}


@pytest.fixture(scope="module")
def village():
    """2,500 simulated persons: some hundred have an acute admission in a year."""
    made_up = sr.simulate(persons=2_500, seed=5)
    return Histories({name: t.collect().lazy() for name, t in made_up.tables.items()}, made_up.data_end)


@pytest.fixture(scope="module")
def crossed(village):
    return sr.train(village, QUICK)


# --- Counted first


def snapshot(rows):
    """Rows drawn as person, role, and the outcome of each of two targets: 1, 0 or - where it is unknown."""
    cells = [line.split() for line in rows.split("\n") if line.strip()]
    known = {"1": True, "0": False, "-": None}
    frame = pl.DataFrame(
        {
            "person_id": [person for person, *_ in cells],
            "role": [role for _, role, *_ in cells],
            "outcome:frequent_admission": [known[one] for _, _, one, _ in cells],
            "outcome:unfinished_treatment": [known[other] for *_, other in cells],
        }
    )
    return Snapshot(datetime(2025, 1, 1), pl.DataFrame(), frame)


def test_events_are_persons_with_the_outcome_each_once_however_many_rows():
    first = snapshot("ada fit 1 0\nbo fit 0 0\ncy stop 1 -\n")
    second = snapshot("ada fit 1 0\nbo fit 1 0\ncy stop - 1\ndan test 0 0\n")
    counts = count_events([first, second], [FREQUENT_ADMISSION, UNFINISHED_TREATMENT], IN_TIME)
    found = {(one.target, one.role): (one.rows, one.persons, one.without) for one in counts}
    assert found["frequent_admission", "fit"] == (4, 2, 1)
    assert found["frequent_admission", "stop"] == (1, 1, 0)
    assert found["frequent_admission", "calibrate"] == (0, 0, 0)
    assert found["frequent_admission", "test"] == (1, 0, 1)
    assert found["unfinished_treatment", "stop"] == (1, 1, 0)
    assert add_up(counts, FREQUENT_ADMISSION) == 3


def test_all_slices_are_told_of_a_target_with_too_few():
    told = tell_shortage(
        count_events([snapshot("ada fit 1 0\n")], [FREQUENT_ADMISSION], IN_TIME), FREQUENT_ADMISSION
    )
    assert all(f"{count} in {role}" in told for role, count in zip(IN_TIME, (1, 0, 0, 0), strict=True))


@pytest.fixture
def nothing_built(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("features are built")

    monkeypatch.setattr(steps, "build_sample", refuse)
    monkeypatch.setattr(steps, "learn_categories", refuse)
    monkeypatch.setattr("somv_risk.training.crossing.build_sample", refuse)
    monkeypatch.setattr("somv_risk.training.crossing.learn_categories", refuse)


@pytest.mark.usefixtures("nothing_built")
def test_too_few_events_of_the_first_target_stop_the_training_before_features_are_built(village):
    with pytest.raises(
        CohortError, match=r'in fit .*in stop .*in calibrate .*in test .*validation = "cross"'
    ):
        sr.train(village, QUICK | {"validation": "time", "targets": {"frequent_admission": {"min_count": 9}}})
    with pytest.raises(CohortError, match=r"in everybody .*needed 25.*train_moments"):
        sr.train(village, QUICK | {"targets": {"frequent_admission": {"min_count": 9}}})


def test_another_target_with_too_few_is_left_out_with_a_warning(region, plan):
    quick = plan["trees"] | {"rounds": 2}
    targets = {"frequent_admission": {}, "rare": {"min_count": 30}}
    with pytest.warns(TrainingWarning, match=r"Target rare has too few.*It is left out"):
        model = sr.train(region, plan | {"trees": quick, "targets": targets})
    assert list(model.heads) == ["frequent_admission"]
    assert any("rare" in note for note in model.facts["notes"])
    assert "Target rare has too few" in model.facts["card"]
    assert set(model.facts["config"]["targets"]) == {"frequent_admission", "rare"}
    with pytest.raises(CohortError, match="Target rare"):
        sr.train(region, plan | {"trees": quick, "targets": dict(reversed(targets.items()))})


def test_another_target_that_cannot_be_fitted_is_left_out_with_a_warning(region, plan, monkeypatch):
    fit = steps.fit_head

    def fail(target, *arguments):
        if target.name == "unfinished_treatment":
            raise CohortError("Scores do not rise.")
        return fit(target, *arguments)

    monkeypatch.setattr(steps, "fit_head", fail)
    with pytest.warns(TrainingWarning, match="unfinished_treatment cannot be fitted and is left out"):
        model = sr.train(region, plan | {"trees": plan["trees"] | {"rounds": 2}})
    assert list(model.heads) == ["frequent_admission"]


def test_the_number_of_events_chooses_the_validation_and_says_so(village):
    auto = QUICK | {"validation": "auto"}
    with pytest.warns(TrainingWarning, match=r"fewer than 200, so the model is cross-validated"):
        assert sr.train(village, auto).is_cross_validated


def test_with_events_enough_time_is_held_out_unasked(region, plan, recwarn):
    times = plan["times"] | {"train": plan["times"]["train"]}
    chosen = plan | {"validation": "auto", "times": times, "trees": plan["trees"] | {"rounds": 2}}
    model = sr.train(region, chosen | {"targets": {"frequent_admission": {"min_count": 2}}})
    assert not model.is_cross_validated
    assert model.facts["validation"] == {"kind": "time"}
    assert not [one for one in recwarn if issubclass(one.category, TrainingWarning)]


# --- Folds


@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=80),
    st.integers(2, 6),
    st.integers(0, 3),
)
def test_folds_hold_whole_persons_and_as_many_events_to_within_one(rows, number, seed):
    _, person = np.unique([person for person, _ in rows], return_inverse=True)
    outcome = np.array([outcome for _, outcome in rows])
    fold = deal_folds(outcome, person, number, seed)
    home = {}
    for one, where in zip(person.tolist(), fold.tolist(), strict=True):
        assert home.setdefault(one, where) == where
    with_event = Counter(home[one] for one in set(person[outcome].tolist()))
    counts = [with_event[where] for where in range(number)]
    assert max(counts) - min(counts) <= 1


def test_nobody_is_in_what_scores_them_and_no_person_in_two_inner_folds(village, monkeypatch):
    seen = []
    fit, grow = folds.fit_folded, folds.grow_watched

    def watch_fit(target, encoding, part, settings):
        seen.append(("fit", set(part.persons)))
        return fit(target, encoding, part, settings)

    def watch_grow(encoding, grown, stopped, settings):
        seen.append(("grow", set(grown.persons), set(stopped.persons)))
        return grow(encoding, grown, stopped, settings)

    monkeypatch.setattr(folds, "fit_folded", watch_fit)
    monkeypatch.setattr(folds, "grow_watched", watch_grow)
    sr.train(village, QUICK)
    fitted = [persons for kind, persons, *_ in seen if kind == "fit"]
    everybody = fitted[-1]
    held = [everybody - persons for persons in fitted[:-1]]
    assert len(held) == 5
    assert sorted(person for fold in held for person in fold) == sorted(everybody)
    for kind, *sides in seen:
        if kind == "grow":
            assert not sides[0] & sides[1]
    current: set[str] = set()
    for kind, *sides in seen:
        current = sides[0] if kind == "fit" else current
        if kind == "grow":
            assert sides[0] | sides[1] == current


def test_training_again_on_the_rows_in_another_order_gives_the_same_crossed_model(village, crossed):
    shuffled = {
        name: frame.collect().sample(fraction=1, shuffle=True, seed=1).lazy()
        for name, frame in village.tables.items()
    }
    assert sr.train(Histories(shuffled, village.data_end), QUICK) == crossed
    assert sr.train(village, QUICK | {"seed": 8}) != crossed


def test_the_same_crossed_model_comes_from_one_thread_and_from_two(tmp_path):
    code = """
        import json, sys
        import somv_risk as sr
        config = json.loads(sys.argv[1])
        del config["trees"]["parameters"]["num_threads"]
        sr.train(sr.simulate(persons=2_500, seed=5), config).save(sys.argv[2])
    """
    for threads in ("1", "2"):
        subprocess.run(  # noqa: S603 - this interpreter
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                textwrap.dedent(code),
                json.dumps(QUICK),
                str(tmp_path / threads),
            ],
            env={"OMP_NUM_THREADS": threads, "POLARS_MAX_THREADS": threads, "PATH": "/usr/bin:/bin"},
            check=True,
        )
    names = {file.name for file in (tmp_path / "1").iterdir()}
    assert names == {file.name for file in (tmp_path / "2").iterdir()}
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


# --- Figures


def find(model, ranking, metric):
    (row,) = [r for r in model.facts["metrics"] if (r["ranking"], r["metric"]) == (ranking, metric)]
    return row


@pytest.mark.parametrize("ranking", ["model", "penalised_logistic", "count_last_year"])
def test_figures_have_intervals_around_them_and_references_beside_them(crossed, ranking):
    for metric in ("auroc", "average_precision", "precision_top_1.0%"):
        row = find(crossed, ranking, metric)
        assert row["low"] <= row["value"] <= row["high"]
        assert row["low"] < row["high"]
    assert 0.5 < find(crossed, ranking, "auroc")["value"] < 1


def test_the_figures_are_not_those_of_the_model_on_its_own_persons(crossed, village):
    """What is fitted to everybody separates them better than what had not met them."""
    moments = [datetime.fromisoformat(moment) for moment in crossed.facts["index_times"]["train"]]
    rows = sr.make_cohort(village, moments).rows.collect()
    outcome = sr.label_outcomes(village, rows, crossed.main.target).collect()["outcome"]
    features = sr.build_features(village, rows, crossed.features).collect().filter(outcome.is_not_null())
    raw = crossed.main.predict_raw(crossed.encoding.to_matrix(features))
    known = outcome.drop_nulls().to_numpy()
    assert find(crossed, "model", "events")["value"] == known.sum()
    assert roc_auc_score(known, raw) > find(crossed, "model", "auroc")["high"]
    past = features["acute_admissions_365d"].to_numpy()
    expected = roc_auc_score(known, past)
    assert find(crossed, "count_last_year", "auroc")["value"] == pytest.approx(expected, abs=1e-12)


def test_intervals_are_over_persons_and_not_over_rows():
    """Each person ten times with one score: by rows the interval would be a third as wide."""
    random = np.random.default_rng(1)
    outcome, score = random.random(120) < 0.3, random.random(120)
    rows = np.repeat(np.arange(120), 10)

    class Head:
        target = FREQUENT_ADMISSION

    def width(person, rows):
        rankings = dict.fromkeys(("model",), score[rows])
        one = folds.Crossed(Head(), outcome[rows], person, rankings).measure(seed=1, draws=400)
        (auroc,) = [row for row in one if row["metric"] == "auroc"]
        return auroc["high"] - auroc["low"]

    once = width(np.arange(120), np.arange(120))
    assert width(rows, rows) == pytest.approx(once, rel=0.15)
    assert width(np.arange(1200), rows) < 0.5 * once


def test_figures_of_outcomes_dealt_by_lot_are_those_of_chance(village, monkeypatch):
    """What a person's rows share is then all there is to learn, and says nothing of others."""

    def deal(histories, chosen, targets, lags):
        labelled = label_rows(histories, chosen, targets, lags)
        lot = pl.col("person_id").hash(seed=3) % 20 == 0
        return labelled.with_columns(lot.alias("outcome:frequent_admission"))

    monkeypatch.setattr(steps, "label_rows", deal)
    model = sr.train(village, QUICK)
    row = find(model, "model", "auroc")
    assert row["low"] < 0.5 < row["high"]


# --- Everything that reads a model


def test_a_crossed_model_is_saved_loaded_and_pickled(crossed, tmp_path, village):
    crossed.save(tmp_path / "model")
    loaded = sr.load_model(tmp_path / "model")
    assert loaded == crossed
    assert pickle.loads(pickle.dumps(crossed)) == crossed  # noqa: S301 - made here
    options = {"index_time": village.data_end, "capacity": 5}
    assert sr.score(loaded, village, **options).equals(sr.score(crossed, village, **options))


def test_the_facts_and_the_card_say_that_time_was_not_held_out(crossed):
    assert crossed.facts["validation"] == {
        "kind": "cross",
        "folds": 5,
        "inner_folds": 4,
        "draws": 200,
        "is_time_held_out": False,
    }
    card = crossed.facts["card"]
    assert "Time was not held out" in card
    assert "5 folds of persons" in card
    auroc = find(crossed, "model", "auroc")
    assert f"{auroc['value']:.3f} ({auroc['low']:.3f} to {auroc['high']:.3f})" in card


def test_a_crossed_model_is_evaluated_on_what_came_later_only(crossed, village):
    moment = crossed.facts["index_times"]["test"][-1]
    with pytest.raises(ConfigError, match="nobody is kept for a test"):
        sr.evaluate(crossed, village, index_times=[moment])
    report = sr.evaluate(crossed, village, index_times=[moment], persons="all", draws=2)
    own = report.metrics.filter(pl.col("ranking").is_in(["model", "penalised_logistic"]))
    assert own["note"].str.contains("flatters it").all()
    assert not report.metrics.filter(ranking="count_last_year")["note"].str.contains("flatters").any()


def test_a_crossed_model_is_evaluated_on_everybody_a_year_later(village, tmp_path):
    early = {"times": {"train": ["2022-01-01", "2023-01-01"]}}
    model = sr.train(village, QUICK | early)
    report = sr.evaluate(model, village, index_times=["2024-06-01"], draws=2)
    assert report.metrics.filter(ranking="model")["note"].null_count() > 0
    report.to_html(tmp_path / "evaluation.html")
    checklists = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    assert "time was not held out" in checklists
    report.write_card(model, tmp_path / "CARD.md")
    assert "Time was not held out" in (tmp_path / "CARD.md").read_text(encoding="utf-8")
    assert compare_models(model, None, village, index_time="2024-06-01", draws=2).facts["events"] > 0


def test_a_crossed_model_is_not_compared_on_what_it_has_learnt_from(crossed, village):
    with pytest.raises(ConfigError, match="is not held out"):
        compare_models(crossed, None, village, draws=2)


def test_a_crossed_model_is_monitored(crossed, village):
    moment = crossed.facts["index_times"]["train"][-1]
    report = sr.monitor(crossed, village, village.data_end, earlier=moment)
    (row,) = report.tables["calibration"].to_dicts()
    assert "learnt from everybody" in row["note"]
    assert report.tables["features"].height == len(crossed.features)
    assert report.facts["reference"]["index_time"] == moment


def test_a_crossed_model_is_refitted_on_other_draws(crossed, village):
    refits = sr.Refits(seeds=1, years=1, places=())
    report = sr.evaluate(crossed, village, index_times=["2025-01-01"], persons="all", draws=2, refits=refits)
    assert {"rolling_origin", "list_stability"} <= set(report.tables)


# --- Moments and history


def test_moments_are_the_last_that_have_a_horizon():
    config = parse_config({"times": {"train_moments": 3, "train_spacing_days": 30}})
    end = datetime(2026, 1, 1, 14)
    assert config.build_moments(end) == tuple(
        datetime(2025, 1, 1) - n * timedelta(days=30) for n in (2, 1, 0)
    )
    named = parse_config({"times": {"train": ["2022-01-01"], "test": ["2024-01-01", "2022-01-01"]}})
    assert named.build_moments(end) == (datetime(2022, 1, 1), datetime(2024, 1, 1))


def begin_at(start, *, strays=0, contacts=400):
    """Contacts of every day from a start on, and some that lie years before."""
    days = [start + timedelta(days=n) for n in range(contacts)]
    days = [start - timedelta(days=2_000 + n) for n in range(strays)] + days
    schema = {"person_id": pl.String, "started_at": pl.Datetime("us")}
    admissions = pl.LazyFrame({"person_id": ["ada"] * len(days), "started_at": days}, schema=schema)
    return Histories({"persons": pl.LazyFrame({"person_id": ["ada"]}), "admissions": admissions})


@pytest.mark.parametrize("strays", [0, 1, 2, 3])
def test_a_few_ancient_rows_are_not_the_start_of_the_data(strays):
    start = datetime(2020, 1, 1)
    found = steps.find_data_start(begin_at(start, strays=strays))
    assert start <= found <= start + timedelta(days=4)


@pytest.mark.parametrize(("contacts", "days"), [(0, None), (1, 0), (99, 0), (100, 1), (399, 3), (900, 3)])
def test_of_each_hundred_contacts_one_may_be_a_stray_up_to_three(contacts, days):
    found = steps.find_data_start(begin_at(datetime(2020, 1, 1), contacts=contacts))
    assert found == (datetime.max if days is None else datetime(2020, 1, 1) + timedelta(days=days))


def cut(histories, since):
    """The same persons, in data that begin later."""
    tables = {
        name: frame if name == "persons" else frame.filter(pl.col("started_at") >= since)
        for name, frame in histories.tables.items()
    }
    return Histories(tables, histories.data_end)


def test_moments_of_less_than_a_year_of_history_are_left_out_with_a_warning(village):
    late = cut(village, datetime(2023, 4, 1))
    with pytest.warns(TrainingWarning, match="1 of 2 index moments lie less than a year after"):
        model = sr.train(late, QUICK | {"times": {"train_moments": 2, "train_spacing_days": 300}})
    assert model.facts["index_times"]["train"] == ["2025-01-01T00:00:00"]


def test_moments_that_were_named_stay_and_are_warned_of(village):
    late = cut(village, datetime(2023, 4, 1))
    times = {"train": ["2023-10-01", "2024-12-01"]}
    with pytest.warns(TrainingWarning, match=r"first training moment, 2023-10-01, lies 18\d days after"):
        model = sr.train(late, QUICK | {"times": times})
    assert len(model.facts["index_times"]["train"]) == 2


def test_a_split_in_time_leaves_early_moments_out_too(region, plan):
    early = cut(region, datetime(2021, 2, 1))
    quick = plan | {
        "times": {},
        "targets": {"frequent_admission": {}},
        "trees": plan["trees"] | {"rounds": 2},
    }
    with pytest.warns(TrainingWarning, match=r"2022-01-03 lie less than a year.*left out"):
        model = sr.train(early, quick)
    assert model.facts["index_times"]["train"][0] == "2022-04-04T00:00:00"


# --- The tables at hand


def test_a_model_is_fitted_to_the_tables_at_hand_in_one_call(village):
    model = sr.train(village, QUICK, tables=["admissions", "persons"])
    assert model.tables == ("persons", "admissions")
    assert {table for f in model.features for table in f.definition.tables} == {"persons", "admissions"}
    assert len(model.features) > 50
    hospital = village.keep_tables(["persons", "admissions"])
    assert sr.train(hospital, QUICK | {"tables": ["persons", "admissions"]}) == model
    scored = sr.score(model, hospital, index_time=village.data_end, capacity=3)
    assert scored.equals(sr.score(model, village, index_time=village.data_end, capacity=3))
    assert scored["flagged"].null_count() == 0


def test_tables_to_learn_from_must_be_there_and_be_tables(village):
    with pytest.raises(InputError, match="primary_care is named to learn from and is not there"):
        sr.train(village.keep_tables(["persons", "admissions"]), QUICK, tables=[*village.tables])
    with pytest.raises(ConfigError, match="weather is unknown"):
        sr.train(village, QUICK, tables=["persons", "admissions", "weather"])
    with pytest.raises(ConfigError, match="admissions is missing"):
        sr.train(village, QUICK, tables=["persons"])
