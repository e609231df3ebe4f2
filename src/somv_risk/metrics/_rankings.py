"""Rankings: how well each one separates, and what a list from its top holds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from somv_risk.metrics._capacities import CAPACITIES, Capacity, read_capacities
from somv_risk.metrics._cases import BoolArray, Cases, FloatArray
from somv_risk.metrics._measures import NOTE, UNDEFINED, Measure, Resampling, compute_tables
from somv_risk.metrics._numbers import divide
from somv_risk.metrics._order import Holdings, Ladder, Order, put_in_order
from somv_risk.metrics.notes import ALL_EQUAL, LONGER, NO_AMOUNT, NO_EVENTS, NO_ORDER, NOBODY_FOUND

POPULATION: Final = "population"
RANKING: Final = "ranking"
CAPACITY: Final = "capacity"
PERSONS: Final = "persons"
METRIC: Final = "metric"
WHOLE: Final = ("auroc", "average_precision")
DIFFERENCES: Final = ("auroc_difference", "average_precision_difference")
LISTED: Final = (
    "found",
    "precision",
    "sensitivity",
    "lift",
    "number_needed_to_evaluate",
    "admissions_captured",
    "admissions_share",
    "bed_days_captured",
    "bed_days_share",
)
_WHY: Final[Mapping[str, str]] = {
    "auroc": NO_ORDER,
    "auroc_difference": NO_ORDER,
    "average_precision": NO_EVENTS,
    "average_precision_difference": NO_EVENTS,
    "sensitivity": NO_EVENTS,
    "lift": NO_EVENTS,
    "number_needed_to_evaluate": NOBODY_FOUND,
    "admissions_captured": NO_AMOUNT,
    "admissions_share": NO_AMOUNT,
    "bed_days_captured": NO_AMOUNT,
    "bed_days_share": NO_AMOUNT,
}
Row = tuple[str | None, int | None, str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class _Ranked:
    """One ranking of a population, who had the outcome, and what else is counted from its top.

    `squares` are the squared errors of a risk; `amounts` are admissions and bed days, None if not given.
    """

    name: str
    order: Order
    events: Holdings
    amounts: tuple[Holdings | None, ...]
    squares: FloatArray | None

    def compute(self, weights: FloatArray, sizes: Sequence[int]) -> tuple[list[float], list[float]]:
        """Compute the numbers of the whole ranking, and those of its lists, one list after the other."""
        ladder, events = self.order.weigh(weights), self.events.weigh(weights)
        whole = [
            ladder.compute_auroc(self.events, events),
            ladder.compute_average_precision(self.events, events),
        ]
        if self.squares is not None:
            whole.append(float(divide(weights @ self.squares, ladder.ends[-1])))
        return whole, self._compute_lists(ladder, events, weights, sizes)

    def _compute_lists(
        self, ladder: Ladder, events: FloatArray, weights: FloatArray, sizes: Sequence[int]
    ) -> list[float]:
        cases, positives = ladder.ends[-1], events.sum()
        lengths = np.minimum(sizes, cases)
        found = ladder.take_from_top(self.events, events, sizes)
        precision = divide(found, lengths)
        columns = [found, precision, divide(found, positives), divide(precision, divide(positives, cases))]
        columns.append(divide(lengths, found))
        for held in self.amounts:
            columns += _compute_captured(ladder, held, weights, sizes)
        numbers: list[float] = np.stack(columns, axis=1).ravel().tolist()
        return numbers


def _compute_captured(
    ladder: Ladder, held: Holdings | None, weights: FloatArray, sizes: Sequence[int]
) -> list[FloatArray]:
    """Compute how much of something the lists hold, and what share of it all."""
    if held is None:
        return [np.full(len(sizes), np.nan)] * 2
    amounts = held.weigh(weights)
    captured = ladder.take_from_top(held, amounts, sizes)
    return [captured, divide(captured, amounts.sum())]


def measure_order(
    cases: Cases, population: str, capacities: Sequence[Capacity], *, is_kept: BoolArray | None = None
) -> Measure:
    """Measure all rankings of a population: the cases kept, and lists of them.

    Capacities that are shares are of all cases, kept or not: a team has the same places whomever it looks
    at. The keys are `population`, `ranking`, `capacity`, `persons` (both null for what is of the whole
    ranking) and `metric`.
    """
    kept = cases if is_kept is None else cases.keep(is_kept)
    sizes = [capacity.count(len(cases)) for capacity in capacities]
    ranked = [_rank(kept, name) for name in cases.rankings]
    places = slice(None) if is_kept is None else np.flatnonzero(is_kept)

    def compute(weights: FloatArray) -> FloatArray:
        parts = [one.compute(weights[places], sizes) for one in ranked]
        first = np.array(parts[0][0][:2])
        leads = [[], *((first - whole[:2]).tolist() for whole, _ in parts[1:])]
        return np.concatenate(
            [[*whole, *lead, *lists] for (whole, lists), lead in zip(parts, leads, strict=True)]
        )

    rows = [
        (population, one.name, *row)
        for one in ranked
        for row in [
            *_list_whole(one, is_first=one is ranked[0]),
            *_list_lists(one, capacities, sizes, len(kept)),
        ]
    ]
    return Measure(pl.DataFrame(rows, schema=_KEYS, orient="row"), compute)


_KEYS: Final = {
    POPULATION: pl.String,
    RANKING: pl.String,
    CAPACITY: pl.String,
    PERSONS: pl.Int64,
    METRIC: pl.String,
    NOTE: pl.String,
    UNDEFINED: pl.String,
}


def _rank(cases: Cases, name: str) -> _Ranked:
    score, outcome = cases.rankings[name], cases.outcome.astype(np.float64)
    order = put_in_order(score)
    amounts = (cases.admissions, cases.bed_days)
    return _Ranked(
        name=name,
        order=order,
        events=order.hold(outcome),
        amounts=tuple(None if amount is None else order.hold(amount) for amount in amounts),
        squares=(score - outcome) ** 2 if name in cases.risks else None,
    )


def _list_whole(ranked: _Ranked, *, is_first: bool) -> Iterator[Row]:
    brier = ["brier"] if ranked.squares is not None else []
    note = ALL_EQUAL if ranked.order.blocks == 1 else None
    for metric in [*WHOLE, *brier, *([] if is_first else DIFFERENCES)]:
        yield None, None, metric, note, _WHY.get(metric)


def _list_lists(
    ranked: _Ranked, capacities: Sequence[Capacity], sizes: Sequence[int], persons: int
) -> Iterator[Row]:
    note = ALL_EQUAL if ranked.order.blocks == 1 else None
    for capacity, size in zip(capacities, sizes, strict=True):
        for metric in LISTED:
            said = LONGER if size > persons else note
            yield capacity.label, min(size, persons), metric, said, _WHY.get(metric)


def measure_rankings(
    outcome: BoolArray,
    rankings: Mapping[str, FloatArray],
    *,
    draws: int = 200,
    seed: int = 0,
    capacities: Sequence[str | int] = CAPACITIES,
) -> pl.DataFrame:
    """Measure how well rankings separate, with intervals; the first is the one the others are compared with.

    Parameters
    ----------
    outcome
        Whether the outcome occurred, shape (n,), one row per person.
    rankings
        By name, what persons are ordered by, higher first, each of shape (n,); need not be probabilities.
    draws, seed
        Of the bootstrap over persons.
    capacities
        Lengths of lists, such as "100" or "1 %".

    Returns
    -------
    Columns `ranking`, `capacity` and `persons` (null for what is of the whole ranking), `metric`, `value`,
    `low`, `high` (95 % percentile interval), `note` (why something is null, or what must be said). Metrics
    of the whole: auroc, average_precision, and the first ranking's lead over each other (auroc_difference,
    average_precision_difference); of a list: found, precision, sensitivity, lift and
    number_needed_to_evaluate. Ties at the edge of a list count in proportion, as if drawn by lot.

    Raises
    ------
    ConfigError
        If a capacity is no length of a list.
    InputError
        If there are no rows, or lengths differ.

    Examples
    --------
    >>> import numpy as np
    >>> rankings = {"model": np.array([3.0, 2.0, 1.0])}
    >>> found = measure_rankings(np.array([True, False, False]), rankings, draws=0)
    >>> found.filter(pl.col("metric") == "auroc")["value"].item()
    1.0
    """
    cases = Cases(outcome=np.asarray(outcome, dtype=np.bool_), rankings=rankings)
    measure = measure_order(cases, "all", read_capacities(capacities))
    table = compute_tables({"rankings": measure}, len(cases), Resampling(draws, seed))["rankings"]
    is_given = ~pl.col(METRIC).str.contains("admissions|bed_days")
    return table.filter(is_given).drop(POPULATION)
