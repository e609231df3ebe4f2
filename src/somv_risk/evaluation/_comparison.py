"""Comparison: two models judged by the same persons, and what one does better, as differences in pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from somv_risk.errors import InputError
from somv_risk.evaluation._calibration import measure_index, measure_ratio, tabulate_lines
from somv_risk.evaluation._capacities import CAPACITIES, Capacity, read_capacities
from somv_risk.evaluation._cases import BoolArray, Cases
from somv_risk.evaluation._cells import EVERYBODY, GROUP, GROUPING, Cells, put_in_cells
from somv_risk.evaluation._fairness import DIFFERENCE, NOT_IN_IT, RATES, measure_rates, tabulate_fairness
from somv_risk.evaluation._measures import (
    HIGH,
    LOW,
    NOTE,
    UNDEFINED,
    VALUE,
    Drawn,
    Measure,
    Resampling,
    draw,
    tabulate,
)
from somv_risk.evaluation._rankings import CAPACITY, METRIC, POPULATION, measure_order
from somv_risk.evaluation._tables import WORKING_CAPACITY

CHALLENGER: Final = "challenger"
CHAMPION: Final = "champion"
GAP: Final = "gap_"
ORDER: Final = ("auroc", "average_precision", "brier", "precision", "sensitivity")
NO_PAIRS: Final = "No interval: a line is fitted once to each model."
HIDDEN: Final = "Hidden on one side or both: small counts, or nobody to count."
NO_CHAMPION: Final = "There is no champion to compare with."
RATES_OF_GROUPS: Final = "rates"
_SHOWN: Final = {
    POPULATION: pl.String,
    CAPACITY: pl.String,
    GROUPING: pl.String,
    GROUP: pl.String,
    METRIC: pl.String,
    CHALLENGER: pl.Float64,
    CHAMPION: pl.Float64,
    DIFFERENCE: pl.Float64,
    LOW: pl.Float64,
    HIGH: pl.Float64,
    NOTE: pl.String,
}


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two models: the cases with its risk alone, how they group, and who is on its list."""

    cases: Cases
    cells: Cells
    listed: BoolArray

    def list_measures(self, lengths: Sequence[Capacity]) -> dict[str, Measure]:
        """List what is measured on every draw."""
        cases, is_new = self.cases, self.cases.is_new
        everybody = put_in_cells(replace(cases, groups=pl.DataFrame()))
        measures = {"all": measure_order(cases, "all", lengths)}
        if is_new is not None and is_new.any():
            measures["new"] = measure_order(cases, "new", lengths, is_kept=is_new)
        return measures | {
            "ratio": measure_ratio(cases, everybody),
            "index": measure_index(cases),
            RATES_OF_GROUPS: measure_rates(cases, self.cells, self.listed),
        }

    def find_hidden(self, drawn: Drawn) -> pl.Series:
        """Find which gaps of groups are hidden or cannot be computed, one for each group and rate."""
        return tabulate_fairness(self.cases, self.cells, self.listed, drawn)[DIFFERENCE].is_null()

    def fit_lines(self) -> pl.DataFrame:
        """Fit the calibration intercept and slope."""
        everybody = put_in_cells(replace(self.cases, groups=pl.DataFrame()))
        return tabulate_lines(self.cases, everybody)


def compare(
    challenger: Cases,
    champion: Cases | None,
    *,
    capacities: Sequence[str | int] = CAPACITIES,
    working_capacity: str | int = WORKING_CAPACITY,
    draws: int = 200,
    seed: int = 0,
) -> pl.DataFrame:
    """Compare two models by the same persons; every draw of persons is one for both.

    Parameters
    ----------
    challenger, champion
        The same persons in the same order; the first ranking of each is its model, and a risk. Without a
        champion, what can be said of the challenger alone is said.
    capacities
        Lengths of the lists compared.
    working_capacity
        The length of the list by which groups are judged.
    draws, seed
        Of the bootstrap over persons.

    Returns
    -------
    One row per number: `population` (all, new), `capacity` (of a list), `grouping`, `group`, `metric`,
    `challenger`, `champion`, `difference` (challenger minus champion), `low`, `high` (95 % percentile
    interval of the difference, in pairs) and `note`. Metrics: auroc, average_precision, brier; precision and
    sensitivity of lists; expected_over_observed, ici, intercept and slope; and gap_selection_rate and so on:
    how far a group's rate is from that of everybody else, whichever way. Gaps that small counts would show
    are hidden.

    Raises
    ------
    InputError
        If the outcomes differ, so that the persons cannot be the same.
    ConfigError
        If a capacity is no length of a list, or draws are negative.
    """
    if champion is not None and not np.array_equal(challenger.outcome, champion.outcome):
        raise InputError("The outcomes of the two models differ. Give the same persons in the same order.")
    lengths, (working,) = read_capacities(capacities), read_capacities([working_capacity])
    sides = [_take_side(cases, working) for cases in (challenger, champion) if cases is not None]
    measures = [side.list_measures(lengths) for side in sides]
    every = {f"{place}{name}": one for place, part in enumerate(measures) for name, one in part.items()}
    drawn = draw(every, len(challenger), Resampling(draws, seed))
    pairs = {name: [drawn[f"{place}{name}"] for place in range(len(sides))] for name in measures[0]}
    numbers = [_pair(measures[0][name].keys, pairs[name]) for name in pairs if name != RATES_OF_GROUPS]
    gaps = _compare_gaps(sides, pairs[RATES_OF_GROUPS])
    table = pl.concat([*numbers, _compare_lines(sides), gaps], how="diagonal_relaxed")
    compared = pl.col(CAPACITY).is_null() | pl.col(METRIC).is_in(ORDER)
    is_lead = pl.col(METRIC).str.ends_with("_difference")
    return table.filter(compared, ~is_lead).select(pl.col(name).cast(kind) for name, kind in _SHOWN.items())


def _take_side(cases: Cases, working: Capacity) -> _Side:
    name = next(iter(cases.rankings))
    alone = replace(cases, rankings={name: cases.model}, risks=(name,), rules={})
    return _Side(alone, put_in_cells(alone), alone.find_listed(working.count(len(alone))))


def _pair(keys: pl.DataFrame, pair: Sequence[Drawn]) -> pl.DataFrame:
    """Put the numbers of both beside their keys, and their difference with its interval over the draws."""
    first, second = pair[0], pair[-1]
    if len(pair) == 1:
        keys, second = keys.with_columns(pl.lit(NO_CHAMPION).alias(UNDEFINED)), _say_nothing(first)
    difference = Drawn(first.values - second.values, first.draws - second.draws)
    is_group = pl.col(GROUP) != EVERYBODY if GROUP in keys.columns else pl.lit(value=False)
    return (
        tabulate(keys, difference)
        .rename({VALUE: DIFFERENCE})
        .with_columns(
            pl.Series(CHALLENGER, first.values).fill_nan(None),
            pl.Series(CHAMPION, second.values).fill_nan(None),
            *(pl.when(is_group).then(name).alias(name) for name in (GROUPING, GROUP) if name in keys.columns),
        )
    )


def _say_nothing(drawn: Drawn) -> Drawn:
    return Drawn(np.full_like(drawn.values, np.nan), np.full_like(drawn.draws, np.nan))


def _compare_gaps(sides: Sequence[_Side], pair: Sequence[Drawn]) -> pl.DataFrame:
    """Compare how far each group's rates are from those of everybody else; each side hides small counts."""
    names = sides[0].cells.names
    keys = pl.concat([names.with_columns(pl.lit(GAP + rate).alias(METRIC)) for rate in RATES])
    shown = [
        _take_gaps(drawn, side.find_hidden(drawn).to_numpy()) for side, drawn in zip(sides, pair, strict=True)
    ]
    table = _pair(keys.with_columns(pl.lit(HIDDEN).alias(UNDEFINED)), shown)
    return table.filter(pl.col(GROUP) != NOT_IN_IT)


def _take_gaps(drawn: Drawn, is_hidden: BoolArray) -> Drawn:
    """Take the differences to everybody else, whichever way; the rates themselves stand before them."""
    half = len(drawn.values) // 2
    values = np.where(is_hidden, np.nan, np.abs(drawn.values[half:]))
    return Drawn(values, np.abs(drawn.draws[:, half:]))


def _compare_lines(sides: Sequence[_Side]) -> pl.DataFrame:
    lines = [side.fit_lines() for side in sides]
    champion = lines[1][VALUE] if len(lines) > 1 else pl.Series([None] * lines[0].height, dtype=pl.Float64)
    return lines[0].select(
        METRIC,
        pl.col(VALUE).alias(CHALLENGER),
        champion.alias(CHAMPION),
        (pl.col(VALUE) - champion).alias(DIFFERENCE),
        pl.coalesce(NOTE, pl.lit(NO_PAIRS if len(lines) > 1 else NO_CHAMPION)).alias(NOTE),
    )
