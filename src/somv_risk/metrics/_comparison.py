"""Comparison: two models judged by the same persons, and what one does better, as differences in pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from somv_risk.disclosure import FEW, SMALLEST
from somv_risk.errors import InputError
from somv_risk.metrics._calibration import measure_index, measure_ratio, tabulate_lines
from somv_risk.metrics._capacities import CAPACITIES, Capacity, read_capacities
from somv_risk.metrics._cases import BoolArray, Cases
from somv_risk.metrics._cells import EVERYBODY, GROUP, GROUPING, Cells, put_in_cells
from somv_risk.metrics._fairness import DIFFERENCE, NOT_IN_IT, RATES, measure_rates, tabulate_fairness
from somv_risk.metrics._listings import Listing, make_listing
from somv_risk.metrics._measures import (
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
from somv_risk.metrics._rankings import CAPACITY, METRIC, POPULATION, measure_order
from somv_risk.metrics._tables import WORKING_CAPACITY

CHALLENGER: Final = "challenger"
CHAMPION: Final = "champion"
GAP: Final = "gap_"
ORDER: Final = ("auroc", "average_precision", "brier", "precision", "sensitivity")
NO_PAIRS: Final = "No interval: a line is fitted once to each model."
HIDDEN: Final = "hidden"
TOO_FEW: Final = f"Fewer than {SMALLEST} persons to say it of."
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
    HIDDEN: pl.Boolean,
}


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two models: the cases with its risk alone, how they group, and its list."""

    cases: Cases
    cells: Cells
    listing: Listing

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
            RATES_OF_GROUPS: measure_rates(cases, self.cells, [self.listing]),
        }

    def find_hidden(self, drawn: Drawn) -> BoolArray:
        """Find which gaps must not be shown, one for each rate and group."""
        shown = tabulate_fairness(self.cases, self.cells, [self.listing], drawn)
        return (shown[NOTE] == FEW).fill_null(value=False).to_numpy()

    def find_too_few(self) -> BoolArray:
        """Find which rates are of fewer than five persons, one for each rate and group: they say nothing."""
        rows = self.cells.add_up(np.ones(len(self.cases)))
        events = self.cells.add_up(self.cases.outcome.astype(np.float64))
        listed = self.cells.add_up(self.listing.listed.astype(np.float64))
        return np.concatenate([rows, listed, events, rows - events, events]) < SMALLEST

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
    how far a group's rate is from that of everybody else, whichever way. What small counts would show is
    marked in `hidden`: gates look at it, and `hide` takes it out before anybody sees it.

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
    told = table.filter(compared, ~is_lead).with_columns(pl.col(HIDDEN).fill_null(value=False))
    return told.select(pl.col(name).cast(kind) for name, kind in _SHOWN.items())


def _take_side(cases: Cases, working: Capacity) -> _Side:
    name = next(iter(cases.rankings))
    alone = replace(cases, rankings={name: cases.model}, risks=(name,), rules={})
    return _Side(alone, put_in_cells(alone), make_listing(alone, name, working.count(len(alone))))


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
    """Compare how far groups' rates are from those of everybody else, and mark what small counts hide."""
    names = sides[0].cells.names
    keys = pl.concat([names.with_columns(pl.lit(GAP + rate).alias(METRIC)) for rate in RATES])
    gaps = [_take_gaps(drawn, side.find_too_few()) for side, drawn in zip(sides, pair, strict=True)]
    hidden = [side.find_hidden(drawn) for side, drawn in zip(sides, pair, strict=True)]
    table = _pair(keys.with_columns(pl.lit(TOO_FEW).alias(UNDEFINED)), gaps)
    marked = table.with_columns(pl.Series(HIDDEN, np.any(hidden, axis=0)))
    return marked.filter(pl.col(GROUP) != NOT_IN_IT)


def _take_gaps(drawn: Drawn, is_too_few: BoolArray) -> Drawn:
    """Take the differences to everybody else, whichever way; the rates themselves stand before them."""
    half = len(drawn.values) // 2
    values = np.where(is_too_few, np.nan, np.abs(drawn.values[half:]))
    return Drawn(values, np.abs(drawn.draws[:, half:]))


def hide(table: pl.DataFrame) -> pl.DataFrame:
    """Hide the numbers that small counts would show; what is left may be shown."""
    numbers = (CHALLENGER, CHAMPION, DIFFERENCE, LOW, HIGH)
    return table.with_columns(
        pl.when(~pl.col(HIDDEN)).then(pl.col(numbers)),
        pl.when(HIDDEN).then(pl.lit(FEW)).otherwise(pl.col(NOTE)).alias(NOTE),
    ).drop(HIDDEN)


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
