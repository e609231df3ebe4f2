"""The tables of an evaluation, of ten persons and by hand."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.stats import binomtest

from somv_risk.metrics import BY_LOT, Cases, Listing, judge, make_listings, render_gap, tabulate_hidden

pytestmark = pytest.mark.filterwarnings("error")

YES, NO = True, False
TEN = Cases(
    outcome=np.array([YES, YES, NO, YES, NO, NO, NO, NO, NO, NO]),
    rankings={
        "model": np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]),
        "count_last_year": np.array([3.0, 0, 2, 1, 0, 0, 0, 0, 0, 0]),
    },
    risks=("model",),
    rules={"count_rule": np.array([YES, NO, YES, *[NO] * 7])},
    is_new=np.array([NO, YES, NO, *[YES] * 7]),
    admissions=np.array([3.0, 3, 1, 4, 0, 0, 0, 0, 0, 1]),
    bed_days=np.array([10.0, 5, 1, 4, 0, 0, 0, 0, 0, 0]),
    is_counted=np.array([YES, NO, NO, YES, *[NO] * 6]),
    groups=pl.DataFrame({"sex": ["female", "male"] * 5}),
)
TABLES = (
    *("cases", "metrics", "capacity", "calibration", "reliability", "decision_curve"),
    *("risk_distribution", "persistence", "fairness", "gaps", "hidden"),
)


def judge_without_draws(cases: Cases = TEN, **changes) -> dict[str, pl.DataFrame]:
    return judge(cases, capacities=["3", "20 %"], working_capacity="20 %", draws=0, **changes)


def wilson(events: int, rows: int) -> tuple:
    interval = binomtest(events, rows).proportion_ci(method="wilson")
    return pytest.approx(interval.low, abs=1e-9), pytest.approx(interval.high, abs=1e-9)


def nearly(number: float):
    return pytest.approx(number, abs=1e-12)


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return judge_without_draws()


def test_every_table_is_there(tables):
    assert tuple(tables) == TABLES


def test_cases_are_counted(tables):
    assert tables["cases"].columns == ["population", "rows", "events", "base_rate", "low", "high", "note"]
    assert tables["cases"].rows() == [
        ("all", 10, 3, 0.3, *wilson(3, 10), None),
        ("new", 8, 2, 0.25, *wilson(2, 8), None),
    ]


def test_metrics_are_those_counted_by_hand(tables):
    # Of 3 * 7 pairs the model misplaces one; the count places 7, 6 and, by half, 3 of each event's pairs.
    # Precision down to each event: 1, 1, 3/4 by the model; 1, 2/3, 3/10 by the count.
    squares = 0.01 + 0.04 + 0.16 + 0.49 + 0.25 + 0.16 + 0.09 + 0.04 + 0.01 + 0.0025
    by_count = (1 + 2 / 3 + 3 / 10) / 3
    expected = {
        ("all", "model", "auroc"): 20 / 21,
        ("all", "model", "average_precision"): 2.75 / 3,
        ("all", "model", "brier"): squares / 10,
        ("all", "count_last_year", "auroc"): 16 / 21,
        ("all", "count_last_year", "average_precision"): by_count,
        ("all", "count_last_year", "auroc_difference"): 4 / 21,
        ("all", "count_last_year", "average_precision_difference"): 2.75 / 3 - by_count,
        ("new", "model", "auroc"): 1,
        ("new", "model", "average_precision"): 1,
        ("new", "model", "brier"): (squares - 0.01 - 0.49) / 8,
        # Of the new ones the count places one event first, and the other among seven equals.
        ("new", "count_last_year", "auroc"): 9 / 12,
        ("new", "count_last_year", "average_precision"): (1 + 2 / 8) / 2,
        ("new", "count_last_year", "auroc_difference"): 3 / 12,
        ("new", "count_last_year", "average_precision_difference"): 1 - (1 + 2 / 8) / 2,
    }
    given = tables["metrics"].filter(pl.col("value").is_not_null())
    told = {
        tuple(key): value for *key, value in given.select("population", "ranking", "metric", "value").rows()
    }
    assert told == {key: nearly(number) for key, number in expected.items()}


def test_a_reference_that_was_not_given_is_a_row_that_says_so(tables):
    missing = tables["metrics"].filter(pl.col("value").is_null())
    note = "This reference was not given, so the model is not compared with it."
    assert missing.select("population", "ranking", "metric", "note").rows() == [
        ("all", "penalised_logistic", "auroc", note),
        ("all", "programme_rule", "auroc", note),
    ]


def list_capacity(tables, population: str, ranking: str, capacity: str) -> dict[str, float]:
    chosen = tables["capacity"].filter(population=population, ranking=ranking, capacity=capacity)
    return dict(chosen.select("metric", "value").rows())


def test_lists_are_those_counted_by_hand(tables):
    assert list_capacity(tables, "all", "model", "3") == {
        "found": 2,
        "precision": nearly(2 / 3),
        "sensitivity": nearly(2 / 3),
        "lift": nearly(2 / 3 / 0.3),
        "number_needed_to_evaluate": 1.5,
        "admissions_captured": 7,
        "admissions_share": nearly(7 / 12),
        "bed_days_captured": 16,
        "bed_days_share": nearly(16 / 20),
    }
    assert list_capacity(tables, "all", "model", "20 %")["precision"] == 1
    # The new ones' first three: the second, fourth and fifth of all.
    assert list_capacity(tables, "new", "model", "3") == {
        "found": 2,
        "precision": nearly(2 / 3),
        "sensitivity": 1,
        "lift": nearly(2 / 3 / 0.25),
        "number_needed_to_evaluate": 1.5,
        "admissions_captured": 7,
        "admissions_share": nearly(7 / 8),
        "bed_days_captured": 9,
        "bed_days_share": 1,
    }
    # The count has three above 0.
    assert list_capacity(tables, "all", "count_last_year", "3")["found"] == 2
    assert list_capacity(tables, "all", "count_last_year", "20 %")["found"] == 1


def test_of_ten_persons_calibration_is_a_ratio_and_three_sentences(tables):
    of_all = tables["calibration"].filter(ranking="model", grouping="all")
    assert of_all["metric"].to_list() == ["expected_over_observed", "intercept", "slope", "ici"]
    assert of_all.select("rows", "events").unique().rows() == [(10, 3)]
    assert of_all["value"].to_list() == [nearly(4.55 / 3), None, None, None]
    assert of_all["note"].str.split(":").list.first().to_list() == [
        "No interval",
        *["Fewer than 10 cases with the outcome, or without it"] * 2,
        "Fewer than 20 cases with the outcome, or without it, or all risks equal",
    ]
    of_sexes = tables["calibration"].filter(grouping="sex").select("rows", "events", "value")
    assert of_sexes.unique().rows() == [(None, None, None)]


def test_reliability_has_the_lowest_risks_first(tables):
    told = tables["reliability"].filter(ranking="model", grouping="all")
    assert told["mean_risk"].to_list() == sorted(TEN.model.tolist())
    assert told["events"].to_list() == [0, 0, 0, 0, 0, 0, 1, 0, 1, 1]


def test_net_benefit_at_a_fifth_is_that_worked_out_by_hand(tables):
    told = dict(tables["decision_curve"].filter(threshold=0.2).select("strategy", "value").rows())
    assert told == {
        "model": nearly((3 - 5 / 4) / 10),  # eight have a risk of at least 0.2
        "count_rule": nearly((1 - 1 / 4) / 10),
        "treat_all": nearly((3 - 7 / 4) / 10),
        "treat_none": 0,
    }


def test_risks_are_spread_over_bins_that_hold_their_lower_edge(tables):
    filled = tables["risk_distribution"].filter(pl.col("rows") > 0)
    assert filled.select("ranking", "outcome", "from_risk", "to_risk", "rows", "share").rows() == [
        ("model", False, 0.05, 0.1, 1, nearly(1 / 7)),
        ("model", False, 0.1, 0.2, 1, nearly(1 / 7)),
        ("model", False, 0.2, 0.3, 1, nearly(1 / 7)),
        ("model", False, 0.3, 0.4, 1, nearly(1 / 7)),
        ("model", False, 0.4, 0.5, 1, nearly(1 / 7)),
        ("model", False, 0.5, 0.7, 1, nearly(1 / 7)),
        ("model", False, 0.7, 1.0, 1, nearly(1 / 7)),
        ("model", True, 0.5, 0.7, 1, nearly(1 / 3)),
        ("model", True, 0.7, 1.0, 2, nearly(2 / 3)),
    ]
    assert tables["risk_distribution"].filter(ranking="model").height == 2 * 13


@pytest.mark.parametrize("name", ["calibration", "reliability", "risk_distribution"])
def test_a_reference_that_is_no_probability_is_a_row_that_says_so(tables, name):
    (row,) = tables[name].filter(ranking="count_last_year").to_dicts()
    assert row["note"] == "This ranking gives no probabilities: there is nothing to calibrate."
    assert {row.get(number) for number in NUMBERS} == {None}


def test_persistence_is_the_share_of_the_known_that_met_the_target_again(tables):
    nobody = "There is nobody in this part."
    # The model lists the first two persons, the count the first and the third, who are those known.
    assert tables["persistence"].rows() == [
        ("model", "known", None, 2, 1, 0.5, *wilson(1, 2), None),
        ("model", "known", True, 1, 1, 1.0, *wilson(1, 1), None),
        ("model", "known", False, 1, 0, 0.0, *wilson(0, 1), None),
        ("model", "new", None, 8, 2, 0.25, *wilson(2, 8), None),
        ("model", "new", True, 1, 1, 1.0, *wilson(1, 1), None),
        ("model", "new", False, 7, 1, nearly(1 / 7), *wilson(1, 7), None),
        ("count_last_year", "known", None, 2, 1, 0.5, *wilson(1, 2), None),
        ("count_last_year", "known", True, 2, 1, 0.5, *wilson(1, 2), None),
        ("count_last_year", "known", False, 0, 0, None, None, None, nobody),
        ("count_last_year", "new", None, 8, 2, 0.25, *wilson(2, 8), None),
        ("count_last_year", "new", True, 0, 0, None, None, None, nobody),
        ("count_last_year", "new", False, 8, 2, 0.25, *wilson(2, 8), None),
    ]


def test_the_references_stand_beside_the_model_in_every_table_but_those_of_no_ranking(tables):
    for name in set(TABLES) - {"cases", "decision_curve", "gaps"}:
        assert tables[name]["ranking"].unique(maintain_order=True).to_list()[:2] == list(TEN.rankings), name
    assert "ranking" in tables["gaps"].columns


# The lists


def listed(cases: Cases, size: int) -> dict[str, tuple[list[int], bool]]:
    return {
        one.ranking: (np.flatnonzero(one.listed).tolist(), one.is_by_lot)
        for one in make_listings(cases, size)
    }


def test_the_lists_hold_the_highest_scores():
    assert listed(TEN, 2) == {"model": ([0, 1], False), "count_last_year": ([0, 2], False)}
    assert listed(TEN, 0) == {"model": ([], False), "count_last_year": ([], False)}
    assert listed(TEN, 10) == {"model": (list(range(10)), False), "count_last_year": (list(range(10)), False)}


def test_equal_scores_keep_their_order_under_the_model_and_are_drawn_by_lot_under_a_reference():
    size, places = 1_000, np.arange(10_000)
    equal = np.zeros(len(places))
    cases = Cases(outcome=places < size, rankings={"model": equal, "count_last_year": equal})
    found = listed(cases, size)
    assert found["model"] == (list(range(size)), False)
    drawn, is_by_lot = found["count_last_year"]
    assert is_by_lot
    assert len(drawn) == size
    # A tenth of any thousand would be on it; fewer than fifty or more than 150 would be five deviations off.
    assert 50 < sum(place < size for place in drawn) < 150
    assert listed(cases, size) == found


def test_a_list_whose_end_was_drawn_by_lot_says_so_where_it_is_told_of():
    tables = judge(TEN, capacities=["3"], working_capacity="5", draws=0)
    told = tables["persistence"].filter(pl.col("value").is_not_null())
    noted = told.filter(note=BY_LOT).select("ranking", "flagged").unique().sort("flagged").rows()
    assert noted == [("count_last_year", False), ("count_last_year", True)]
    assert told.filter(pl.col("note").is_not_null(), ranking="model").is_empty()


def test_of_ten_persons_no_group_is_told_of(tables):
    assert tables["fairness"].filter(grouping="sex").select("count", "of", "value").unique().rows() == [
        (None, None, None)
    ]
    assert tables["fairness"]["note"].null_count() == 0
    assert tables["gaps"].is_empty()


# Whom another way of counting hides


def count_hidden(hidden_listed: int, hidden_off: int, counted_listed: int, counted_off: int) -> dict:
    """Tabulate so many persons with the outcome, and thirty without it."""
    sizes = (hidden_listed, hidden_off, counted_listed, counted_off, 30)
    outcome = np.repeat([YES, YES, YES, YES, NO], sizes)
    cases = Cases(
        outcome=outcome,
        rankings={"model": np.zeros(len(outcome))},
        is_counted=np.repeat([NO, NO, YES, YES, NO], sizes),
    )
    listing = Listing("model", np.repeat([YES, NO, YES, NO, NO], sizes))
    return {row["measure"]: row for row in tabulate_hidden(cases, [listing]).iter_rows(named=True)}


def test_the_hidden_are_those_with_the_outcome_whom_the_other_way_does_not_count():
    told = count_hidden(6, 14, 5, 25)
    values = {measure: row["value"] for measure, row in told.items()}
    assert values == {
        "persons_with_outcome": 50,
        "persons_counted": 30,
        "persons_hidden": 20,
        "share_hidden": 0.4,
        "hidden_on_the_list": 0.3,
        "counted_on_the_list": nearly(5 / 30),
    }
    assert (told["share_hidden"]["low"], told["share_hidden"]["high"]) == wilson(20, 50)
    assert {row["note"] for row in told.values()} == {None}


def test_few_hidden_persons_cannot_be_worked_out_from_those_counted():
    told = count_hidden(1, 2, 10, 20)
    assert told["persons_with_outcome"]["value"] == 33
    assert {row["value"] for measure, row in told.items() if measure != "persons_with_outcome"} == {None}
    assert all(row["note"] for measure, row in told.items() if measure != "persons_with_outcome")


def test_few_hidden_persons_on_the_list_cannot_be_worked_out_from_the_others_on_it():
    told = count_hidden(2, 18, 10, 20)
    assert told["share_hidden"]["value"] == 0.4
    assert (told["hidden_on_the_list"]["value"], told["counted_on_the_list"]["value"]) == (None, None)


def test_another_way_of_counting_that_was_not_given_is_a_sentence():
    told = judge_without_draws(replace(TEN, is_counted=None))["hidden"]
    note = "Another way of counting was not given."
    assert told.rows() == [(name, "persons_hidden", None, None, None, note) for name in TEN.rankings]


# Gaps


def test_a_gap_is_told_in_a_sentence_with_both_rates():
    size = 400
    sexes = np.repeat(["female", "male"], size)
    outcome = np.tile(np.arange(size) % 4 == 0, 2)
    risk = np.where(sexes == "male", 0.6, 0.1) + np.tile(np.arange(size), 2) / 10_000
    cases = Cases(outcome=outcome, rankings={"model": risk}, risks=("model",))
    cases = replace(cases, groups=pl.DataFrame({"sex": sexes}))
    gaps = judge(cases, capacities=["5"], working_capacity="200", draws=50)["gaps"]
    told = gaps.filter(group="male", metric="expected_over_observed").row(0, named=True)
    ratio = [risk[sexes == sex].sum() / 100 for sex in ("male", "female")]
    assert told["difference"] == pytest.approx(ratio[0] - ratio[1])
    assert told["text"] == (
        f"sex male: the risks add up to {ratio[0]:.2f} times the outcomes, against {ratio[1]:.2f} times "
        "for everybody else."
    )


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Men: 10.0% are on the list, against 8.0% of everybody else."),
        ("da", "Men: 10,0 % er på listen mod 8,0 % af alle andre."),
    ],
)
def test_a_gap_is_told_in_both_languages(language, text):
    gap = {"grouping": "sex", "group": "male", "metric": "selection_rate", "value": 0.1, "difference": 0.02}
    assert render_gap(gap, language, "Men") == text


# Bad input

NUMBERS = ("value", "low", "high", "base_rate", "observed", "mean_risk", "share", "difference", "count", "of")


def assert_nothing_is_bare(tables: dict[str, pl.DataFrame]) -> None:
    """No NaN anywhere, and a note wherever the number a row is about is null."""
    for name, table in tables.items():
        for column in set(table.columns) & set(NUMBERS):
            assert not table[column].is_nan().any(), (name, column)
        main = next(column for column in (*NUMBERS[:1], "base_rate", "observed", "share") if column in table)
        if name != "gaps":
            assert table.filter(pl.col(main).is_null() & pl.col("note").is_null()).is_empty(), name


ODD = {
    "the ten": TEN,
    "no events": replace(TEN, outcome=np.zeros(10, bool)),
    "nothing but events": replace(TEN, outcome=np.ones(10, bool)),
    "nobody new": replace(TEN, is_new=np.zeros(10, bool)),
    "nobody known": replace(TEN, is_new=np.ones(10, bool)),
    "who is new is not known": replace(TEN, is_new=None),
    "all risks equal": replace(TEN, rankings={"model": np.full(10, 0.3)}),
    "no risks": replace(TEN, risks=()),
    "no groups": replace(TEN, groups=pl.DataFrame()),
    "no burden": replace(TEN, admissions=None, bed_days=None),
    "one new": replace(TEN, is_new=np.arange(10) == 3),
    "one person": TEN.keep(np.arange(10) == 0),
    "groups unknown": replace(TEN, groups=pl.DataFrame({"sex": [None] * 10, "town": ["a"] * 10})),
}


@pytest.mark.parametrize("draws", [0, 12])
@pytest.mark.parametrize("name", ODD)
def test_whatever_is_missing_every_table_is_there_and_nothing_is_bare(name, draws):
    tables = judge(ODD[name], capacities=["3", "50"], working_capacity="20 %", draws=draws)
    assert tuple(tables) == TABLES
    assert_nothing_is_bare(tables)


def test_without_events_the_tables_say_so():
    tables = judge_without_draws(ODD["no events"])
    told = dict(tables["metrics"].filter(population="all", ranking="model").select("metric", "note").rows())
    assert told["auroc"] == "There are no cases with the outcome, or none without it."
    assert told["average_precision"] == "No case has the outcome."
    ratio = tables["calibration"].filter(ranking="model", grouping="all", metric="expected_over_observed")
    assert ratio.select("value", "note").rows() == [(None, "No case has the outcome.")]
    lifts = tables["capacity"].filter(metric="lift")
    assert lifts.select("value", "note").unique().rows() == [(None, "No case has the outcome.")]


def test_if_nobody_is_new_the_tables_say_so():
    tables = judge_without_draws(ODD["nobody new"])
    note = "There is nobody in this part."
    new = tables["metrics"].filter(population="new")
    assert new.select("ranking", "metric", "value", "note").rows() == [("model", "auroc", None, note)]
    assert tables["cases"].filter(population="new").row(0) == ("new", 0, 0, None, None, None, note)
    of_new = tables["persistence"].filter(known_or_new="new")
    assert of_new.select("rows", "value", "note").unique().rows() == [(0, None, note)]


def test_a_model_without_risks_is_judged_by_its_order_alone():
    tables = judge_without_draws(ODD["no risks"])
    assert "brier" not in tables["metrics"]["metric"].to_list()
    for name in ("calibration", "reliability", "risk_distribution"):
        assert tables[name]["ranking"].to_list() == list(TEN.rankings)
        assert tables[name].columns == judge_without_draws()[name].columns
    assert "model" not in tables["decision_curve"]["strategy"].to_list()


def test_the_same_seed_gives_the_same_tables_and_another_seed_other_intervals():
    def draw(seed):
        return judge(TEN, capacities=["3"], working_capacity="3", draws=20, seed=seed)

    once, again, otherwise = draw(1), draw(1), draw(2)
    for name in TABLES:
        assert_frame_equal(once[name], again[name])
    assert not once["metrics"].equals(otherwise["metrics"])
    assert_frame_equal(
        once["metrics"].drop("low", "high", "note"), otherwise["metrics"].drop("low", "high", "note")
    )


def test_judging_does_not_hang_on_the_order_of_cases_without_ties():
    order = np.random.default_rng(0).permutation(10)
    shuffled = Cases(
        outcome=TEN.outcome[order],
        rankings={name: score[order] for name, score in TEN.rankings.items()},
        risks=TEN.risks,
        rules={name: chosen[order] for name, chosen in TEN.rules.items()},
        is_new=TEN.is_new[order],
        admissions=TEN.admissions[order],
        bed_days=TEN.bed_days[order],
        is_counted=TEN.is_counted[order],
        groups=TEN.groups[order],
    )
    found, expected = judge_without_draws(shuffled), judge_without_draws()
    assert found.keys() == expected.keys()
    for name, table in found.items():
        assert_frame_equal(table, expected[name])
