"""Fairness: who is on the list and who is missed, by group, with small counts hidden."""

from collections.abc import Mapping, Sequence
from math import erfc, sqrt
from typing import Final

import numpy as np
import polars as pl

from somv_risk.metrics._calibration import RATIO
from somv_risk.metrics._cases import Cases, FloatArray
from somv_risk.metrics._cells import EVERYBODY, GROUP, GROUPING, Cells
from somv_risk.metrics._listings import Listing, tabulate_lists
from somv_risk.metrics._measures import HIGH, LOW, NOTE, VALUE, Drawn, Measure, compute_interval
from somv_risk.metrics._numbers import divide
from somv_risk.metrics._rankings import METRIC, RANKING
from somv_risk.metrics._small import blank, find_few_outcomes, find_small, find_tight

RATES: Final = ("selection_rate", "precision", "false_negative_rate", "false_positive_rate", RATIO)
COUNT: Final = "count"
OF: Final = "of"
DIFFERENCE: Final = "difference"
DIFFERENCE_LOW: Final = "difference_low"
DIFFERENCE_HIGH: Final = "difference_high"
CHANCE: Final = 0.05
NOT_IN_IT: Final = "no"
_NOBODY: Final[Mapping[str, str]] = {
    "selection_rate": "There is nobody in this group.",
    "precision": "Nobody of this group is on the list.",
    "false_negative_rate": "Nobody of this group had the outcome.",
    "false_positive_rate": "Everybody of this group had the outcome.",
    RATIO: "Nobody of this group had the outcome.",
}
_SPREAD: Final = "spread"


def measure_rates(cases: Cases, cells: Cells, listings: Sequence[Listing]) -> Measure:
    """Measure rates of each list in each group, and then their differences to everybody else."""

    def compute(weights: FloatArray) -> FloatArray:
        return np.concatenate([_compute_rates(sums) for sums in _add_up(cases, cells, listings, weights)])

    return Measure(cells.names, compute)


def tabulate_fairness(cases: Cases, cells: Cells, listings: Sequence[Listing], drawn: Drawn) -> pl.DataFrame:
    """Tabulate rates of the lists, with differences to everybody else, for everybody and each group.

    Returns
    -------
    One row per list, group and metric: `ranking`, `grouping`, `group`, `metric`, `count`, `of` (the rate is
    count / of), `value`, `low`, `high`, `difference` (to the cases outside the group), `difference_low`,
    `difference_high`, `spread` (standard error of the difference) and `note`. Selection rate: listed of all;
    precision: listed with the outcome of listed; false negative rate: with the outcome and not listed of
    those with the outcome; false positive rate: listed without the outcome of those without it;
    expected_over_observed: the sum of risks of those with the outcome, of rankings that are risks. Counts
    below 5, and what would follow from them, are null with a note.
    """
    sums = _add_up(cases, cells, listings, np.ones(len(cases)))
    values = np.split(drawn.values, len(listings))
    draws = np.split(drawn.draws, len(listings), axis=1)
    parts = {
        listing.ranking: (own, Drawn(*pair))
        for listing, own, *pair in zip(listings, sums, values, draws, strict=True)
    }

    def tabulate(listing: Listing) -> pl.DataFrame:
        own, part = parts[listing.ranking]
        return _hide(_tabulate(cells, own, part), cells, own)

    is_known = (pl.col(METRIC) != RATIO) | pl.col(RANKING).is_in(cases.risks)
    return tabulate_lists(listings, tabulate).filter(is_known)


def _add_up(cases: Cases, cells: Cells, listings: Sequence[Listing], weights: FloatArray) -> list[FloatArray]:
    """Add up, for each list by group: rows, events, flagged, found, expected events; shape (5, groups)."""
    rows, events = cells.add_up(weights), cells.add_up_where(cases.outcome, weights)
    nothing = np.full_like(rows, np.nan)
    sums = []
    for listing in listings:
        flagged = cells.add_up_where(listing.listed, weights)
        found = cells.add_up_where(listing.listed & cases.outcome, weights)
        is_risk = listing.ranking in cases.risks
        expected = cells.add_up(weights * cases.rankings[listing.ranking]) if is_risk else nothing
        sums.append(np.stack([rows, events, flagged, found, expected]))
    return sums


def _compute_rates(sums: FloatArray) -> FloatArray:
    """Compute each rate of each group, and then its difference to that of everybody else."""
    counts, totals = _list_parts(sums)
    rest_counts, rest_totals = _list_parts(sums[:, :1] - sums)
    values = divide(counts, totals)
    return np.concatenate([values.ravel(), (values - divide(rest_counts, rest_totals)).ravel()])


def _list_parts(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """List what each rate is made of: the count and what it is of; shape (rates, groups)."""
    rows, events, flagged, found, expected = sums
    counts = [flagged, found, events - found, flagged - found, expected]
    return np.stack(counts), np.stack([rows, flagged, events, rows - events, events])


def _tabulate(cells: Cells, sums: FloatArray, drawn: Drawn) -> pl.DataFrame:
    counts, totals = _list_parts(sums)
    values, draws = drawn.values, drawn.draws
    low, high = compute_interval(draws)
    half = len(values) // 2
    is_told = np.isfinite(low[half:])
    spread = np.full(half, np.nan)
    spread[is_told] = np.nanstd(draws[:, half:][:, is_told], axis=0)
    keys = pl.concat([cells.names.with_columns(pl.lit(rate).alias(METRIC)) for rate in RATES])
    numbers = {
        COUNT: counts.ravel(),
        OF: totals.ravel(),
        VALUE: values[:half],
        LOW: low[:half],
        HIGH: high[:half],
        DIFFERENCE: values[half:],
        DIFFERENCE_LOW: low[half:],
        DIFFERENCE_HIGH: high[half:],
        _SPREAD: spread,
    }
    nobody = pl.col(METRIC).replace_strict(_NOBODY)
    note = pl.when(pl.col(VALUE).is_null()).then(nobody).alias(NOTE)
    return pl.concat([keys, pl.DataFrame(numbers).fill_nan(None)], how="horizontal").with_columns(note)


def _hide(table: pl.DataFrame, cells: Cells, sums: FloatArray) -> pl.DataFrame:
    """Hide small counts: of persons and outcomes, of the list, and of those on it, each with what follows."""
    rows, events, flagged, found, _ = sums
    no_events = find_few_outcomes(cells, rows, events)
    no_list = find_small(cells, flagged, rows - flagged, hidden=find_small(cells, rows))
    # Where the sums of a group are told, persons can only move from found and rest to missed and in vain,
    # or back, as many as the smaller of each two. What is hidden must leave room for five, either way.
    movable = (
        np.minimum(found, rows - events - flagged + found),
        np.minimum(events - found, flagged - found),
    )
    no_found = find_small(cells, *movable, hidden=no_events | no_list)
    no_list |= find_tight(cells, no_found, *movable)
    numbers = [name for name in table.columns if table.schema[name] == pl.Float64]
    return blank(table, np.concatenate([no_list, no_found, no_found, no_found, no_events]), numbers)


def find_gaps(fairness: pl.DataFrame) -> pl.DataFrame:
    """Find the differences that are larger than chance, of all groups and metrics of a list together.

    A difference counts if its normal test holds at 5 % after Holm's correction for the number of those of
    its list. Of a grouping by yes and no the "no" is left out: it says the same the other way round.
    Source: Holm 1979, Scandinavian Journal of Statistics 6(2):65-70.

    Returns
    -------
    Rows of the table of fairness, list by list, the surest first: `ranking`, `grouping`, `group`, `metric`,
    `value`, `difference`, `low`, `high`.
    """
    lists = fairness.partition_by(RANKING, maintain_order=True)
    return pl.concat([_find_gaps(one) for one in lists]) if lists else _find_gaps(fairness)


def _find_gaps(fairness: pl.DataFrame) -> pl.DataFrame:
    tested = fairness.filter(
        ~pl.col(GROUP).is_in([EVERYBODY, NOT_IN_IT]), pl.col(DIFFERENCE).is_not_null(), pl.col(_SPREAD) > 0
    )
    size = (tested[DIFFERENCE].abs() / tested[_SPREAD]).to_list()
    by_chance = pl.Series("p", [erfc(one / sqrt(2)) for one in size], pl.Float64)
    ranked = tested.with_columns(by_chance).sort("p", GROUPING, GROUP, METRIC)
    limits = CHANCE / (ranked.height - pl.int_range(pl.len()))
    is_sure = (pl.col("p") <= limits).cum_min().cast(pl.Boolean)
    return ranked.filter(is_sure).select(
        RANKING,
        GROUPING,
        GROUP,
        METRIC,
        VALUE,
        DIFFERENCE,
        pl.col(DIFFERENCE_LOW).alias(LOW),
        pl.col(DIFFERENCE_HIGH).alias(HIGH),
    )
