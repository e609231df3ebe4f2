"""DE-SynPUF as a negative control: where history cannot predict, good discrimination means a leak.

The owners of these synthetic claims loosened the link between a person's past and future on purpose, to
protect the persons they were drawn from. A chain that finds next year's admissions there has seen them.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from statistics import mean

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import somv_risk as sr
from desynpuf import DATA_END, count_stays, read_claims, read_desynpuf, read_summaries
from independent_data import find_external
from somv_risk.cohort.outcomes import Target
from somv_risk.cohort.windows import Horizon
from somv_risk.features import Feature, load_catalogue
from somv_risk.registers.histories import Histories
from somv_risk.testing import assert_no_future_leakage

pytestmark = pytest.mark.external

NUMBERS = tuple(feature for feature in load_catalogue() if not feature.is_category)
HISTORY = tuple(feature for feature in NUMBERS if "admissions" in feature.definition.tables)
COUNT = "acute_admissions_365d"
ADMITTED = Target("any_admission", min_count=1)
LEARNT, JUDGED = datetime(2009, 1, 1), datetime(2010, 1, 1)
CHANCE_FROM, CHANCE_TO, PLAINLY_LEAKED = 0.45, 0.60, 0.75


@pytest.fixture(scope="module")
def folder():
    return find_external("desynpuf")


@pytest.fixture(scope="module")
def claims(folder):
    return read_claims(folder)


@pytest.fixture(scope="module")
def synpuf(folder) -> Histories:
    return read_desynpuf(folder)


# --- What is read


def test_every_claim_becomes_one_contact_and_nothing_is_set_aside(synpuf, claims):
    assert synpuf.quarantine.count() == 0
    assert synpuf.admissions.collect().height == len(claims) == 5_768
    assert synpuf.persons.collect().height == 10_000


def test_claims_become_stays_as_their_days_say_and_none_is_too_short(synpuf, claims):
    rows = sr.make_cohort(synpuf, [JUDGED]).rows
    counted = sr.build_features(synpuf, rows).select("person_id", COUNT).collect()
    expected = count_stays(claims, date(2009, 1, 1), 365)
    assert dict(counted.iter_rows()) == {name: expected.get(name, 0) for name in counted["person_id"]}
    assert counted[COUNT].sum() > 2_000


def test_claims_that_share_a_day_are_one_stay(synpuf, claims):
    """Counted over the whole period; of all stays, only those before 2008 start too early to be seen."""
    start = datetime(2008, 1, 1)
    everybody = synpuf.persons.select("person_id", index_time=pl.lit(start, pl.Datetime("us")))
    target = Target("any_admission", min_count=1, horizon=Horizon((DATA_END - start).days))
    found = sr.label_outcomes(synpuf, everybody, target).collect()["outcome_events"].sum()
    expected = sum(count_stays(claims, start.date(), target.horizon.days).values())
    from_2008 = sum(claim.first_day >= start.date() for claim in claims)
    assert found == expected
    assert 0 < from_2008 - found < 0.05 * from_2008


def test_who_is_alive_is_who_has_a_summary_of_the_year(synpuf, folder):
    summaries = read_summaries(folder).values()
    for index_time, year in ((LEARNT, 2009), (JUDGED, 2010)):
        rows = sr.make_cohort(synpuf, [index_time]).rows.collect()
        assert rows.height == sum(year in years for years in summaries)


def test_outcomes_are_the_admissions_of_the_next_year(synpuf, claims):
    rows = sr.make_cohort(synpuf, [JUDGED]).rows
    found = sr.label_outcomes(synpuf, rows, ADMITTED).collect()
    expected = count_stays(claims, JUDGED.date(), 365)
    assert [*found["outcome_events"]] == [expected.get(name, 0) for name in found["person_id"]]
    assert [*found["outcome"]] == [expected.get(name, 0) > 0 for name in found["person_id"]]


def test_features_of_claims_do_not_see_the_future(synpuf):
    some = synpuf.keep_persons(synpuf.admissions.select("person_id").unique().sort("person_id").head(500))
    assert_no_future_leakage(some, JUDGED)


# --- The control


def tell(line: str) -> None:
    print(line)  # noqa: T201 - docs/real-data.md quotes what pytest -s shows


@dataclass(frozen=True)
class Judgement:
    outcome: np.ndarray
    scores: dict[str, np.ndarray]

    def compute_aurocs(self) -> dict[str, float]:
        return {name: roc_auc_score(self.outcome, score) for name, score in self.scores.items()}

    def draw_interval(self, name: str, draws: int = 200) -> tuple[float, float]:
        dice, rows = np.random.default_rng(0), len(self.outcome)
        drawn = [dice.integers(0, rows, rows) for _ in range(draws)]
        values = [roc_auc_score(self.outcome[rows], self.scores[name][rows]) for rows in drawn]
        return tuple(np.quantile(values, [0.025, 0.975]).tolist())

    def tell(self, what: str) -> None:
        for name, auroc in self.compute_aurocs().items():
            low, high = self.draw_interval(name)
            tell(f"{what}, {name}: AUROC {auroc:.3f} (95 % {low:.3f} to {high:.3f})")


def choose_half(histories: Histories, index_time: datetime, digits: str) -> pl.DataFrame:
    """Persons whose id ends in one of the digits: nobody is both learnt from and judged."""
    rows = sr.make_cohort(histories, [index_time]).rows.collect()
    return rows.filter(pl.col("person_id").str.tail(1).is_in(list(digits)))


def collect_numbers(histories, rows, features, days_late) -> np.ndarray:
    late = rows.with_columns(pl.col("index_time") + timedelta(days=days_late))
    built = sr.build_features(histories, late, features).collect()
    return built.select(feature.name for feature in features).cast(pl.Float64).to_numpy()


def judge_next_year(
    histories: Histories, features: tuple[Feature, ...], *, truth: Histories | None = None, days_late: int = 0
) -> Judgement:
    """Learn from half of the persons at the start of 2009, judge the others at the start of 2010.

    Outcomes are those of `truth`; the learners are scikit-learn's, so that nothing of the library's own
    training can hide a leak of its features. `days_late` builds features that many days too late.
    """
    learnt = choose_half(histories, LEARNT, "02468ACE")
    judged = choose_half(histories, JUDGED, "13579BDF")
    outcomes = [
        sr.label_outcomes(truth or histories, rows, ADMITTED).collect()["outcome"].to_numpy()
        for rows in (learnt, judged)
    ]
    seen, asked = (collect_numbers(histories, rows, features, days_late) for rows in (learnt, judged))
    is_used = ~np.isnan(seen).all(axis=0)
    learners = {
        "trees": HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.05, min_samples_leaf=50, max_leaf_nodes=8, random_state=0
        ),
        "penalised_logistic": make_pipeline(
            SimpleImputer(), StandardScaler(), LogisticRegression(C=0.01, max_iter=500)
        ),
    }
    scores = {
        name: learner.fit(seen[:, is_used], outcomes[0]).predict_proba(asked[:, is_used])[:, 1]
        for name, learner in learners.items()
    }
    count = asked[:, [feature.name for feature in features].index(COUNT)]
    return Judgement(outcomes[1], {**scores, "count_last_year": count})


def copy_a_year_back(histories: Histories) -> Histories:
    """A source that stamps every admission a year too early as well: its future is in everybody's past."""
    early = histories.admissions.with_columns(
        pl.col("started_at", "ended_at") - timedelta(days=365), contact_id=pl.format("early {}", "contact_id")
    )
    return replace(
        histories, tables={**histories.tables, "admissions": pl.concat([histories.admissions, early])}
    )


def test_history_does_not_predict_next_years_admission(synpuf):
    judgement = judge_next_year(synpuf, HISTORY)
    judgement.tell("history")
    assert all(CHANCE_FROM < auroc < CHANCE_TO for auroc in judgement.compute_aurocs().values())


@pytest.mark.parametrize(("index_time", "expected"), [(LEARNT, 0.585), (JUDGED, 0.520)])
def test_what_little_the_past_tells_lies_in_the_claims_and_not_in_the_library(
    synpuf, claims, index_time, expected
):
    rows = sr.make_cohort(synpuf, [index_time]).rows
    found = sr.build_features(synpuf, rows).select("person_id", COUNT).collect()
    happened = sr.label_outcomes(synpuf, rows, ADMITTED).collect()["outcome"]
    past = count_stays(claims, (index_time - timedelta(days=365)).date(), 365)
    future = count_stays(claims, index_time.date(), 365)
    persons = found["person_id"].to_list()
    plain = roc_auc_score([future.get(p, 0) > 0 for p in persons], [past.get(p, 0) for p in persons])
    assert roc_auc_score(happened, found[COUNT]) == pytest.approx(plain, abs=1e-12)
    assert plain == pytest.approx(expected, abs=0.0005)


def test_age_and_all_other_features_add_little(synpuf):
    judgement = judge_next_year(synpuf, NUMBERS)
    judgement.tell("all features")
    assert all(CHANCE_FROM < auroc < CHANCE_TO for auroc in judgement.compute_aurocs().values())


@pytest.mark.parametrize("days_late", [60, 90, 180, 365])
def test_the_control_fails_where_features_are_built_too_late(synpuf, days_late):
    judgement = judge_next_year(synpuf, HISTORY, days_late=days_late)
    judgement.tell(f"{days_late} days late")
    assert all(auroc > CHANCE_TO for auroc in judgement.compute_aurocs().values())


def test_the_control_cannot_see_a_leak_of_two_weeks(synpuf):
    """A year's admissions are spread over it: who sees 14 days ahead sees one in 26 of them."""
    judgement = judge_next_year(synpuf, HISTORY, days_late=14)
    judgement.tell("14 days late")
    assert all(CHANCE_FROM < auroc < CHANCE_TO for auroc in judgement.compute_aurocs().values())


def test_the_control_fails_where_a_source_puts_admissions_into_the_past(synpuf):
    judgement = judge_next_year(copy_a_year_back(synpuf), HISTORY, truth=synpuf)
    judgement.tell("copied a year back")
    assert all(auroc > PLAINLY_LEAKED for auroc in judgement.compute_aurocs().values())


# --- The control of the whole training


def train_on_claims(histories: Histories, seed: int) -> sr.RiskModel:
    """Three parts of 240 days each fit into three years with one year of history before the first."""
    return sr.train(
        histories,
        {
            "seed": seed,
            "targets": {"any_admission": {"min_count": 1, "horizon_days": 240}},
            "times": {"train_moments": 1},
            "persons": {"fit": 0.4, "stop": 0.1, "calibrate": 0.1, "test": 0.4},
            "trees": {"parameters": {"num_threads": 1, "min_data_in_leaf": 50}},
        },
    )


def average_aurocs(histories: Histories) -> dict[str, float]:
    """Mean over five splits of the persons: one alone has some 200 events, and 0.04 of play."""
    metrics = [
        (row["ranking"], row["value"])
        for seed in range(1, 6)
        for row in train_on_claims(histories, seed).facts["metrics"]
        if row["metric"] == "auroc"
    ]
    by_ranking = groupby(sorted(metrics), key=lambda pair: pair[0])
    return {ranking: round(mean(value for _, value in pairs), 3) for ranking, pairs in by_ranking}


def test_a_trained_model_finds_nothing_where_there_is_nothing(synpuf):
    aurocs = average_aurocs(synpuf)
    tell(f"trained: {aurocs}")
    assert set(aurocs) == {"model", "penalised_logistic", "count_last_year"}
    assert all(CHANCE_FROM < auroc < CHANCE_TO for auroc in aurocs.values())


def test_a_trained_model_finds_a_leak(synpuf):
    aurocs = average_aurocs(copy_a_year_back(synpuf))
    tell(f"trained on a leak: {aurocs}")
    assert all(auroc > PLAINLY_LEAKED for auroc in aurocs.values())


# --- The control of an evaluation


@pytest.fixture(scope="module")
def trained(synpuf) -> sr.RiskModel:
    return train_on_claims(synpuf, 1)


def list_aurocs(report) -> dict[str, tuple[float, float, float]]:
    rows = report.metrics.filter(population="all", metric="auroc")
    return {row["ranking"]: (row["value"], row["low"], row["high"]) for row in rows.iter_rows(named=True)}


def test_an_evaluation_repeats_what_training_found_on_the_same_persons(synpuf, trained):
    report = sr.evaluate(trained, synpuf, index_times=trained.facts["index_times"]["test"], draws=20)
    found = {ranking: value for ranking, (value, *_) in list_aurocs(report).items()}
    told = {row["ranking"]: row["value"] for row in trained.facts["metrics"] if row["metric"] == "auroc"}
    assert "model" in told
    assert {ranking: found[ranking] for ranking in told} == pytest.approx(told, abs=1e-12)


def test_an_evaluation_counts_the_cases_that_the_claims_hold(synpuf, claims, folder, trained):
    report = sr.evaluate(trained, synpuf, index_times=[JUDGED], persons="all", draws=20)
    cases = report.tables["cases"].row(by_predicate=pl.col("population") == "all", named=True)
    alive = [name for name, years in read_summaries(folder).items() if 2010 in years]
    future = count_stays(claims, JUDGED.date(), 240)
    assert cases["rows"] == len(alive)
    assert cases["events"] == sum(future.get(name, 0) > 0 for name in alive)


def test_an_evaluation_finds_nothing_where_there_is_nothing(synpuf, trained):
    aurocs = list_aurocs(sr.evaluate(trained, synpuf, index_times=[JUDGED]))
    tell(f"evaluated: { {ranking: [round(x, 3) for x in row] for ranking, row in aurocs.items()} }")
    assert {"model", "penalised_logistic", "count_last_year"} <= set(aurocs)
    assert all(CHANCE_FROM < value < CHANCE_TO for value, *_ in aurocs.values())
    assert all(low <= value <= high for value, low, high in aurocs.values())


def test_an_evaluation_finds_a_leak(synpuf):
    leaked = copy_a_year_back(synpuf)
    aurocs = list_aurocs(sr.evaluate(train_on_claims(leaked, 1), leaked, index_times=[JUDGED], draws=20))
    tell(f"evaluated with a leak: { {ranking: round(row[0], 3) for ranking, row in aurocs.items()} }")
    assert all(aurocs[name][1] > PLAINLY_LEAKED for name in ("model", "penalised_logistic"))
