"""Fairness: rates by group as a loop over persons finds them, and small counts that nobody can work out."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import product
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.optimize import linprog

from small_world import OFTEN, SELDOM
from somv_risk.disclosure import SMALLEST, find_hidden
from somv_risk.metrics import (
    BY_LOT,
    Cases,
    Resampling,
    draw,
    find_gaps,
    judge,
    make_listings,
    measure_rates,
    put_in_cells,
    tabulate_fairness,
)

pytestmark = pytest.mark.filterwarnings("error")

KINDS = ("found", "missed", "in_vain", "rest")  # listed or not, with the outcome or without it
NAMES = {  # by whether the outcome came, and whether on the list
    (True, True): "found",
    (True, False): "missed",
    (False, True): "in_vain",
    (False, False): "rest",
}
RATES = {
    "selection_rate": (("found", "in_vain"), KINDS),
    "precision": (("found",), ("found", "in_vain")),
    "false_negative_rate": (("missed",), ("found", "missed")),
    "false_positive_rate": (("in_vain",), ("in_vain", "rest")),
}


def build_cases(counts: dict[str, tuple[int, int, int, int]], grouping: str = "town", seed: int = 0) -> Cases:
    """Cases of groups with so many found, missed, listed in vain, and others; the listed have risk 0.5."""
    groups, outcome, listed = [], [], []
    for name, numbers in counts.items():
        for kind, number in zip(KINDS, numbers, strict=True):
            groups += [name] * number
            outcome += [kind in ("found", "missed")] * number
            listed += [kind in ("found", "in_vain")] * number
    order = np.random.default_rng(seed).permutation(len(groups))
    risk = np.where(np.array(listed), 0.5, 0.1)
    return Cases(
        outcome=np.array(outcome)[order],
        rankings={"model": risk[order]},
        risks=("model",),
        groups=pl.DataFrame({grouping: np.array(groups)[order]}),
    )


def count_listed(cases: Cases) -> int:
    return int((cases.model > 0.3).sum())


def tabulate(cases: Cases, draws: int = 0, seed: int = 0) -> pl.DataFrame:
    cells, listings = put_in_cells(cases), make_listings(cases, count_listed(cases))
    measures = {"rates": measure_rates(cases, cells, listings)}
    return tabulate_fairness(
        cases, cells, listings, draw(measures, len(cases), Resampling(draws, seed))["rates"]
    )


# Rates


def count_kinds(persons: list[tuple[bool, bool]]) -> Counter:
    return Counter(NAMES[person] for person in persons)


def compute_rate(persons: list[tuple[bool, bool]], metric: str) -> Fraction | None:
    kinds, (above, below) = count_kinds(persons), RATES[metric]
    of = sum(kinds[kind] for kind in below)
    return Fraction(sum(kinds[kind] for kind in above), of) if of else None


@st.composite
def big_groups(draw: st.DrawFn) -> dict[str, tuple[int, int, int, int]]:
    numbers = st.tuples(*[st.integers(5, 12)] * 4)
    return {name: draw(numbers) for name in draw(st.sampled_from(("ab", "abc", "abcd")))}


@given(big_groups(), st.integers(0, 3))
def test_every_rate_and_its_difference_is_what_a_loop_over_persons_finds(counts, seed):
    cases = build_cases(counts, seed=seed)
    listed = cases.model > 0.3
    towns = cases.groups["town"].to_list()
    table = tabulate(cases)
    told = {(row["group"], row["metric"]): row for row in table.iter_rows(named=True)}
    assert {name for name, _ in told} == {"all", *counts}
    for name in counts:
        everyone = list(zip(towns, cases.outcome.tolist(), listed.tolist(), strict=True))
        inside = [(had, on) for town, had, on in everyone if town == name]
        outside = [(had, on) for town, had, on in everyone if town != name]
        for metric in RATES:
            rate, other = compute_rate(inside, metric), compute_rate(outside, metric)
            assert told[name, metric]["value"] == pytest.approx(float(rate))
            assert told[name, metric]["difference"] == pytest.approx(float(rate - other))
            assert told[name, metric]["count"] == rate * int(told[name, metric]["of"])
        risks = [risk for town, risk in zip(towns, cases.model.tolist(), strict=True) if town == name]
        ratio = told[name, "expected_over_observed"]
        assert ratio["count"] == pytest.approx(sum(risks))
        assert ratio["of"] == sum(had for had, _ in inside)
        assert ratio["value"] == pytest.approx(sum(risks) / ratio["of"])
        rest_ratio = (cases.model.sum() - sum(risks)) / sum(had for had, _ in outside)
        assert ratio["difference"] == pytest.approx(ratio["value"] - rest_ratio)


def test_everybody_is_told_of_first_and_has_nobody_to_differ_from():
    table = tabulate(build_cases({"a": (5, 6, 7, 8), "b": (9, 5, 5, 9)}))
    everybody = table.filter(pl.col("grouping") == "all")
    assert table["group"].to_list()[:3] == ["all", "a", "b"]
    counted = dict(everybody.select("metric", pl.struct("count", "of")).rows())
    assert counted["selection_rate"] == {"count": 26, "of": 54}
    assert counted["precision"] == {"count": 14, "of": 26}
    assert counted["false_negative_rate"] == {"count": 11, "of": 25}
    assert counted["false_positive_rate"] == {"count": 12, "of": 29}
    assert everybody["difference"].null_count() == len(everybody)


def test_a_group_that_is_not_known_is_a_group_of_its_own():
    cases = build_cases({"a": (5, 5, 5, 5), "?": (6, 6, 6, 6)})
    blank = cases.groups.with_columns(pl.when(pl.col("town") != "?").then("town"))
    unknown = Cases(outcome=cases.outcome, rankings=cases.rankings, risks=("model",), groups=blank)
    table = tabulate(unknown)
    row = table.row(
        by_predicate=(pl.col("group") == "unknown") & (pl.col("metric") == "precision"), named=True
    )
    assert (row["count"], row["of"]) == (6, 12)


def test_a_score_that_is_no_risk_is_not_added_up():
    cases = build_cases({"a": (5, 5, 5, 5), "b": (6, 6, 6, 6)})
    scores = Cases(outcome=cases.outcome, rankings=cases.rankings, groups=cases.groups)
    assert tabulate(scores)["metric"].unique().sort().to_list() == sorted(RATES)


def test_intervals_come_from_drawing_persons_again():
    cases = build_cases({"a": (7, 8, 9, 16), "b": (12, 9, 8, 20)})
    listed, towns = cases.model > 0.3, cases.groups["town"].to_list()
    persons = list(zip(towns, cases.outcome.tolist(), listed.tolist(), strict=True))
    rates = {}
    for number in range(40):
        rng = np.random.default_rng([3, number])
        taken = [persons[place] for place in rng.integers(0, len(persons), len(persons), dtype=np.int32)]
        inside = [(had, on) for town, had, on in taken if town == "a"]
        outside = [(had, on) for town, had, on in taken if town != "a"]
        for metric in RATES:
            rate, other = compute_rate(inside, metric), compute_rate(outside, metric)
            rates.setdefault((metric, "value"), []).append(float(rate))
            rates.setdefault((metric, "difference"), []).append(float(rate - other))
    table = tabulate(cases, draws=40, seed=3).filter(pl.col("group") == "a")
    table = table.filter(pl.col("metric") != "expected_over_observed")
    assert set(table["metric"]) == set(RATES)
    for row in table.iter_rows(named=True):
        value, difference = rates[row["metric"], "value"], rates[row["metric"], "difference"]
        assert (row["low"], row["high"]) == pytest.approx(tuple(np.percentile(value, [2.5, 97.5])))
        told = row["difference_low"], row["difference_high"]
        assert told == pytest.approx(tuple(np.percentile(difference, [2.5, 97.5])))
        assert row["spread"] == pytest.approx(np.std(difference))


def test_each_ranking_is_judged_as_if_it_were_alone():
    rng = np.random.default_rng(1)
    towns, outcome = rng.choice(["a", "b", "c"], 900), rng.random(900) < 0.3
    scores = {name: rng.permutation(900) / 900 + 0.3 * outcome for name in ("model", "logistic", "count")}
    risks = {name: np.clip(score, 0, 1) if name != "count" else score for name, score in scores.items()}
    whole = Cases(
        outcome=outcome,
        rankings=risks,
        risks=("model", "logistic"),
        groups=pl.DataFrame({"town": towns}),
    )
    cells = put_in_cells(whole)
    listings = make_listings(whole, 120)
    drawn = draw({"rates": measure_rates(whole, cells, listings)}, len(whole), Resampling(20))["rates"]
    table = tabulate_fairness(whole, cells, listings, drawn)
    assert table["ranking"].unique(maintain_order=True).to_list() == list(risks)
    for listing in listings:
        rates = {"rates": measure_rates(whole, cells, [listing])}
        alone = draw(rates, len(whole), Resampling(20))["rates"]
        assert_frame_equal(
            table.filter(ranking=listing.ranking), tabulate_fairness(whole, cells, [listing], alone)
        )
    assert "expected_over_observed" not in table.filter(ranking="count")["metric"].to_list()


def test_rates_of_a_list_whose_end_was_drawn_by_lot_say_so():
    cases = build_cases({"a": (9, 9, 9, 9), "b": (9, 9, 9, 9)})
    count = np.where(np.arange(len(cases)) < 5, 1.0, 0.0)
    table = tabulate(replace(cases, rankings={**cases.rankings, "count_last_year": count}))
    told = table.filter(pl.col("value").is_not_null())
    assert told.filter(ranking="count_last_year")["note"].unique().to_list() == [BY_LOT]
    assert told.filter(ranking="model", note=BY_LOT).is_empty()


# Gaps


def plant(rows: list[tuple[str, str, float]], ranking: str = "model") -> pl.DataFrame:
    """A table of fairness whose differences have the two-sided p values given; all spreads are 0.1."""
    sizes = [0.1 * NormalDist().inv_cdf(1 - p / 2) for _, _, p in rows]
    return pl.DataFrame(
        {
            "ranking": [ranking] * len(rows),
            "grouping": ["town"] * len(rows),
            "group": [group for group, _, _ in rows],
            "metric": [metric for _, metric, _ in rows],
            "value": [0.5] * len(rows),
            "difference": [size if place % 2 else -size for place, size in enumerate(sizes)],
            "difference_low": [0.0] * len(rows),
            "difference_high": [1.0] * len(rows),
            "spread": [0.1] * len(rows),
        }
    )


def list_gaps(rows: list[tuple[str, str, float]]) -> list[tuple[str, str]]:
    return find_gaps(plant(rows)).select("group", "metric").rows()


def test_holm_stops_at_the_first_difference_that_may_be_chance():
    # Of four: 0.05 / 4 = 0.0125, / 3 = 0.0167, / 2 = 0.025. The third misses, so the fourth is not asked.
    planted = [("d", "precision", 0.04), ("c", "precision", 0.03), ("b", "precision", 0.016)]
    planted.append(("a", "precision", 0.012))
    assert list_gaps(planted) == [("a", "precision"), ("b", "precision")]


def test_holm_finds_nothing_if_the_surest_may_be_chance():
    assert list_gaps([("a", "precision", 0.02), ("b", "precision", 0.02), ("c", "precision", 0.02)]) == []


def test_everybody_and_the_noes_are_not_counted_among_the_differences():
    planted = [("a", "precision", 0.04), ("no", "precision", 0.001), ("all", "selection_rate", 0.001)]
    assert list_gaps(planted) == [("a", "precision")]


def test_the_differences_of_one_list_do_not_make_those_of_another_less_sure():
    # Of four together 0.016 would miss 0.05 / 3; of two it is below 0.05 / 2.
    model = plant([("a", "precision", 0.012), ("b", "precision", 0.9)])
    count = plant([("c", "precision", 0.016), ("d", "precision", 0.9)], "count_last_year")
    told = find_gaps(pl.concat([model, count])).select("ranking", "group").rows()
    assert told == [("model", "a"), ("count_last_year", "c")]


def test_without_draws_no_difference_is_sure():
    table = plant([("a", "precision", 0.001)]).with_columns(spread=pl.lit(None, pl.Float64))
    assert find_gaps(table).is_empty()


@given(st.lists(st.integers(1, 150), min_size=1, max_size=8, unique=True))
def test_holm_is_what_the_step_down_procedure_finds(thousandths):
    named = [(f"town {place}", "precision", p / 999) for place, p in enumerate(thousandths)]
    sure = []
    for place, (group, metric, p) in enumerate(sorted(named, key=lambda row: row[2])):
        if p > 0.05 / (len(named) - place):
            break
        sure.append((group, metric))
    assert list_gaps(named) == sure


def test_a_gap_is_told_with_its_numbers():
    (row,) = find_gaps(plant([("a", "precision", 0.001)])).to_dicts()
    assert list(row) == ["ranking", "grouping", "group", "metric", "value", "difference", "low", "high"]
    assert (row["value"], row["low"], row["high"]) == (0.5, 0.0, 1.0)


# What is hidden


@OFTEN
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=6))
def test_whoever_has_a_small_count_is_hidden_and_what_is_hidden_adds_up_to_many(rows):
    table = np.array(rows, dtype=float).T
    hidden = find_hidden(*table)
    assert hidden[(table < SMALLEST).any(axis=0)].all()
    assert hidden.any() == (table < SMALLEST).any()
    if hidden.any() and not hidden.all():
        assert hidden.sum() >= 2
        assert (table[:, hidden].sum(axis=1) >= SMALLEST).all()


@given(st.lists(st.integers(0, 20), min_size=2, max_size=6))
def test_no_more_is_hidden_than_needed(numbers):
    one = np.array(numbers, dtype=float)
    hidden = find_hidden(one)
    small = one < SMALLEST
    enough = small.sum() != 1 and (not small.any() or one[small].sum() >= SMALLEST)
    largest = one[hidden & ~small].max(initial=0)
    without = hidden & (one != largest)
    is_needed = hidden.all() or without.sum() < 2 or one[without].sum() < SMALLEST
    assert hidden.tolist() == small.tolist() if enough else is_needed


def test_the_next_smallest_is_hidden_with_a_single_small_count():
    assert find_hidden(np.array([3.0, 40.0, 8.0])).tolist() == [True, False, True]
    assert find_hidden(np.array([5.0, 5.0])).tolist() == [False, False]
    assert find_hidden(np.array([4.0, 90.0])).tolist() == [True, True]
    assert find_hidden(np.array([0.0, 1.0, 30.0])).tolist() == [True, True, True]


def test_a_hidden_rate_has_a_note_and_no_number_at_all():
    table = tabulate(build_cases({"a": (2, 9, 9, 20), "b": (9, 9, 9, 20), "c": (30, 30, 30, 30)}), draws=10)
    told = table.filter(pl.col("metric") == "precision").rows_by_key("group", named=True, unique=True)
    assert told["a"]["note"] == told["b"]["note"]
    assert told["a"]["note"].startswith("Hidden: fewer than 5 persons")
    numbers = [name for name in table.columns if table.schema[name] == pl.Float64]
    assert {told[group][name] for group in "ab" for name in numbers} == {None}
    assert (told["c"]["count"], told["c"]["of"], told["c"]["note"]) == (30, 60, None)


# The attacker


class Attacker:
    """Somebody who reads every table of groups, and knows how many there are of each kind in all.

    The unknown numbers are how many of each group are of each kind: with the outcome or without it, and on or
    off each of the lists. Each published number of the persons of a group is an equation in them.
    """

    def __init__(self, cases: Cases, grouping: str = "town") -> None:
        size = count_listed(cases)
        self.tables = judge(cases, capacities=["5"], working_capacity=size, draws=0)
        self.names = cases.groups[grouping].unique().sort().to_list()
        self.rankings = list(cases.rankings)
        marks = [cases.outcome, *(one.listed for one in make_listings(cases, size))]
        self.kinds = list(product((True, False), repeat=len(marks)))
        towns = cases.groups[grouping].to_list()
        counted = Counter(zip(towns, *(mark.tolist() for mark in marks), strict=True))
        self.truth = np.array([counted[name, *kind] for name in self.names for kind in self.kinds], float)
        self.rows = [self._sum(self.names, told) for told in self._list_told()]
        self._read_fairness()
        self._read_calibration()
        self._read_reliability()

    def _choose(self, ranking: str, kinds: tuple[str, ...]) -> set[tuple[bool, ...]]:
        """The kinds of which so many were found, missed, listed in vain or left alone by one ranking."""
        place = 1 + self.rankings.index(ranking)
        return {kind for kind in self.kinds if NAMES[kind[0], kind[place]] in kinds}

    def _sum(self, names, kinds) -> np.ndarray:
        return np.array(
            [float(name in names and kind in kinds) for name in self.names for kind in self.kinds]
        )

    def _learn(self, name: str, kinds: set[tuple[bool, ...]], number: float | None) -> None:
        if number is not None and name in self.names:
            row = self._sum([name], kinds)
            assert row @ self.truth == number, "a published count is wrong"
            self.rows.append(row)

    def _read_fairness(self) -> None:
        for row in self.tables["fairness"].filter(grouping="town").iter_rows(named=True):
            above, below = RATES.get(row["metric"], ((), ("found", "missed")))
            self._learn(row["group"], self._choose(row["ranking"], below), row["of"])
            if above:
                self._learn(row["group"], self._choose(row["ranking"], above), row["count"])
            if row["value"] is not None:
                assert row["count"] is not None

    def _read_calibration(self) -> None:
        for row in self.tables["calibration"].filter(grouping="town").iter_rows(named=True):
            self._learn(row["group"], set(self.kinds), row["rows"])
            self._learn(row["group"], self._choose("model", ("found", "missed")), row["events"])
            if row["value"] is not None:
                assert row["events"] is not None

    def _read_reliability(self) -> None:
        """Add up the bins of a group, if all are told."""
        bins = self.tables["reliability"].filter(grouping="town")
        for (name, _), part in bins.group_by("group", "ranking"):
            for column, kinds in (("rows", KINDS), ("events", ("found", "missed"))):
                if not part[column].null_count():
                    self._learn(name, self._choose("model", kinds), part[column].sum())

    def _list_told(self) -> list[set[tuple[bool, ...]]]:
        """What a table could tell of a group, or of everybody: counts that one ranking divides it by."""
        told = [(kind,) for kind in KINDS]
        told += [KINDS, ("found", "missed"), ("in_vain", "rest"), ("found", "in_vain"), ("missed", "rest")]
        return [self._choose(ranking, kinds) for ranking in self.rankings for kinds in told]

    @property
    def sensitive(self) -> list[np.ndarray]:
        """Counts of persons that are below five and that a table would have told."""
        rows = [self._sum([name], kinds) for name in self.names for kinds in self._list_told()]
        return [row for row in rows if row @ self.truth < SMALLEST]

    def find_determined(self) -> int:
        """How many small counts follow from the equations alone."""
        known = np.array(self.rows)
        rank = np.linalg.matrix_rank(known)
        return sum(np.linalg.matrix_rank(np.vstack([known, row])) == rank for row in self.sensitive)

    def find_pinned(self) -> int:
        """How many small counts are the only ones possible, as no count is below 0."""
        known = np.array(self.rows)
        return sum(self._bound(known, row, 1) == self._bound(known, row, -1) for row in self.sensitive)

    def _bound(self, known: np.ndarray, row: np.ndarray, sign: int) -> float:
        found = linprog(sign * row, A_eq=known, b_eq=known @ self.truth, bounds=(0, None), method="highs")
        number = sign * found.fun
        return float(np.ceil(number - 1e-6) if sign > 0 else np.floor(number + 1e-6))


@st.composite
def small_groups(draw: st.DrawFn) -> dict[str, tuple[int, int, int, int]]:
    """Two to five groups of few persons and some more; everybody together has five of each kind."""
    number = st.sampled_from((0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 20, 40))
    groups = {name: draw(st.tuples(*[number] * 4)) for name in "abcde"[: draw(st.integers(2, 5))]}
    groups = {name: counts for name, counts in groups.items() if sum(counts)}
    short = [max(0, SMALLEST - sum(counts[kind] for counts in groups.values())) for kind in range(4)]
    last = list(groups)[-1] if groups else "a"
    groups[last] = tuple(np.array(groups.get(last, (0,) * 4)) + short)
    return groups


@given(small_groups())
def test_no_small_count_follows_from_what_is_published(counts):
    assume(len(counts) > 1)  # of one group everything is known: it is everybody
    assert Attacker(build_cases(counts)).find_determined() == 0


@pytest.mark.parametrize(
    "counts",
    [
        {"a": (9, 9, 0, 30), "b": (9, 0, 9, 30), "c": (20, 20, 20, 20)},
        {"a": (0, 9, 9, 30), "b": (9, 9, 9, 0), "c": (20, 20, 20, 20)},
        {"a": (9, 9, 0, 30), "b": (9, 0, 9, 30)},
        {"a": (6, 7, 20, 0), "b": (0, 20, 6, 3), "c": (0, 9, 40, 4)},
        {"a": (3, 0, 0, 0), "b": (9, 9, 9, 9), "c": (9, 9, 9, 20)},
    ],
)
def test_no_small_count_is_the_only_one_possible_where_margins_are_told(counts):
    # In the first, a has 9 on the list and b 9 with the outcome, and 18 of both were found: were c shown,
    # nobody of a could be listed in vain.
    attacker = Attacker(build_cases(counts))
    assert attacker.sensitive
    assert attacker.find_pinned() == 0


@SELDOM
@given(small_groups())
def test_no_small_count_is_the_only_one_possible(counts):
    assume(len(counts) > 1)
    assert Attacker(build_cases(counts)).find_pinned() == 0


def test_few_persons_cannot_be_worked_out_from_two_tables_that_hide_other_groups_with_them():
    # Beside the three of a, the fewest outcomes are those of b; the fewest persons and listed those of c.
    counts = {"a": (1, 1, 0, 1), "b": (5, 1, 15, 60), "c": (5, 15, 1, 35), "d": (40, 40, 40, 40)}
    attacker = Attacker(build_cases(counts))
    assert (attacker.find_determined(), attacker.find_pinned()) == (0, 0)


def test_a_group_hidden_for_its_outcomes_is_not_told_by_its_list():
    # The two outcomes of a would be what the twelve of b leave over; of the list itself c has the fewest.
    counts = {"a": (1, 1, 10, 30), "b": (6, 6, 40, 40), "c": (5, 15, 5, 40), "d": (40, 40, 40, 40)}
    attacker = Attacker(build_cases(counts))
    assert (attacker.find_determined(), attacker.find_pinned()) == (0, 0)


def add_reference(cases: Cases, seed: int, likeness: float) -> Cases:
    """The same cases with a second list, as long as the first and more or less like it."""
    noise = np.random.default_rng(seed).permutation(len(cases)) / len(cases)
    score = likeness * cases.model + (1 - likeness) * noise
    return replace(cases, rankings={**cases.rankings, "count_last_year": score})


@given(small_groups(), st.integers(0, 9), st.sampled_from((0.2, 0.6, 0.9)))
def test_no_small_count_follows_from_what_is_published_of_two_lists(counts, seed, likeness):
    assume(len(counts) > 1)
    assert Attacker(add_reference(build_cases(counts), seed, likeness)).find_determined() == 0


@SELDOM
@given(small_groups(), st.integers(0, 9), st.sampled_from((0.2, 0.6, 0.9)))
def test_no_small_count_is_the_only_one_possible_after_two_lists(counts, seed, likeness):
    assume(len(counts) > 1)
    assert Attacker(add_reference(build_cases(counts), seed, likeness)).find_pinned() == 0


def test_the_attacker_finds_what_is_not_hidden():
    attacker = Attacker(build_cases({"a": (2, 9, 9, 20), "b": (9, 9, 9, 20), "c": (30, 30, 30, 30)}))
    assert (attacker.find_determined(), attacker.find_pinned()) == (0, 0)
    attacker._learn("b", attacker._choose("model", ("found",)), 9)
    assert attacker.find_determined() == 1
