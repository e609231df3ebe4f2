"""Calibration: whether as many had the outcome as the risks said, in all, along the risk, and by group."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from somv_risk.disclosure import find_hidden
from somv_risk.metrics._cases import BoolArray, Cases, FloatArray
from somv_risk.metrics._cells import EVERYBODY, GROUP, GROUPING, Cells
from somv_risk.metrics._curves import Line, Points, compute_curve, fit_line, put_together
from somv_risk.metrics._measures import HIGH, LOW, NOTE, UNDEFINED, VALUE, Measure
from somv_risk.metrics._numbers import Z, compute_wilson, divide
from somv_risk.metrics._rankings import METRIC, RANKING
from somv_risk.metrics._small import blank, find_few_outcomes
from somv_risk.metrics.notes import (
    LEAST_EVENTS,
    LEAST_FOR_CURVE,
    MOVED,
    NEAREST,
    NO_EVENTS,
    NO_GROUP_INTERVAL,
    NO_RISKS,
    NO_SLOPE,
    TOO_FEW,
    TOO_FEW_FOR_CURVE,
)

ROWS: Final = "rows"
EVENTS: Final = "events"
RATIO: Final = "expected_over_observed"
BIN: Final = "bin"
_HIDDEN: Final = "is_hidden"
BINS: Final = 20
GROUP_BINS: Final = 5


def measure_ratio(cases: Cases, cells: Cells) -> Measure:
    """Measure expected over observed events (E/O) of each risk, for everybody and each group."""
    outcome = cases.outcome.astype(np.float64)

    def compute(weights: FloatArray) -> FloatArray:
        observed = cells.add_up_where(cases.outcome, weights)
        expected = [cells.add_up(weights * cases.rankings[name]) for name in cases.risks]
        return np.concatenate([np.empty(0), *(divide(part, observed) for part in expected)])

    rows, events = cells.add_up(np.ones(len(cases))), cells.add_up(outcome)
    counts = cells.names.with_columns(
        pl.Series(ROWS, rows, pl.Int64),
        pl.Series(EVENTS, events, pl.Int64),
        pl.lit(RATIO).alias(METRIC),
        pl.lit(NO_EVENTS).alias(UNDEFINED),
    )
    return Measure(_list_risks(cases).join(counts, how="cross"), compute)


@dataclass(frozen=True, slots=True)
class _Part:
    """The cases of one group under one risk."""

    name: tuple[str, str, str]
    risk: FloatArray
    outcome: BoolArray

    @property
    def least(self) -> int:
        """How many there are of the rarer outcome."""
        events = int(self.outcome.sum())
        return min(events, len(self.outcome) - events)

    @property
    def note(self) -> str | None:
        """What to say of the log-odds: that some are not those of the risks."""
        is_moved = (self.risk < NEAREST) | (self.risk > 1 - NEAREST)
        return MOVED if is_moved.any() else None

    @property
    def log_odds(self) -> FloatArray:
        """Log-odds of the risks."""
        return _to_log_odds(self.risk)


def _to_log_odds(risk: FloatArray) -> FloatArray:
    """Return log-odds of risks, those of 0 and 1 taken for others near to them."""
    kept = np.clip(risk, NEAREST, 1 - NEAREST)
    return np.asarray(np.log(kept / (1 - kept)), dtype=np.float64)


def _list_risks(cases: Cases) -> pl.DataFrame:
    return pl.DataFrame({RANKING: cases.risks}, schema={RANKING: pl.String})


def tabulate_lines(cases: Cases, cells: Cells) -> pl.DataFrame:
    """Tabulate calibration intercept and slope of each risk, for everybody and each group.

    The intercept is that of a logistic line with the log-odds as offset (0 where calibrated in the large),
    the slope that of a line with both free (1 where risks are neither too extreme nor too flat); intervals
    are those of Wald. Risks of 0 and 1 are taken for others near to them, with a note.
    Source: Van Calster et al. 2016, doi 10.1016/j.jclinepi.2015.12.005.
    """
    return _tabulate([row for part in _list_parts(cases, cells) for row in _fit_lines(part)])


def _fit_lines(part: _Part) -> Iterator[tuple[object, ...]]:
    head = (*part.name, len(part.outcome), int(part.outcome.sum()))
    if part.least < LEAST_EVENTS:
        yield from ((*head, metric, None, None, None, TOO_FEW) for metric in ("intercept", "slope"))
        return
    level = fit_line(part.log_odds, part.outcome, slope=1.0)
    tilt = fit_line(part.log_odds, part.outcome)
    yield _tell_line(head, "intercept", level, part.note)
    yield _tell_line(head, "slope", tilt, part.note)


def _tell_line(
    head: tuple[object, ...], metric: str, line: Line | None, note: str | None
) -> tuple[object, ...]:
    if line is None:
        return (*head, metric, None, None, None, NO_SLOPE)
    reach = Z * line.standard_error
    return (*head, metric, line.value, line.value - reach, line.value + reach, note)


def tell_no_risks(cases: Cases) -> pl.DataFrame:
    """Tell of each ranking that gives no probabilities that it cannot be calibrated, a row each."""
    names = [name for name in cases.rankings if name not in cases.risks]
    head = (EVERYBODY, EVERYBODY, len(cases), cases.events, RATIO)
    return _tabulate([(name, *head, None, None, None, NO_RISKS) for name in names])


def tabulate_group_errors(cases: Cases, cells: Cells) -> pl.DataFrame:
    """Tabulate the integrated calibration index of each risk in each group, without intervals."""
    rows = []
    for part in _list_parts(cases, cells):
        if part.name[1] != EVERYBODY:
            value = compute_index(put_together(part.log_odds), part.outcome, np.ones(len(part.outcome)))
            note = TOO_FEW_FOR_CURVE if np.isnan(value) else NO_GROUP_INTERVAL
            head = (*part.name, len(part.outcome), int(part.outcome.sum()))
            rows.append((*head, "ici", None if np.isnan(value) else value, None, None, note))
    return _tabulate(rows)


def measure_index(cases: Cases) -> Measure:
    """Measure the integrated calibration index (ICI) of each risk for everybody.

    It is the mean distance, over cases, of the risk to the share with the outcome that a smooth curve gives
    at that risk. Source: Austin and Steyerberg 2019, doi 10.1002/sim.8281, with a restricted cubic spline
    of the log-odds for their loess.
    """
    points = [put_together(_to_log_odds(cases.rankings[name])) for name in cases.risks]

    def compute(weights: FloatArray) -> FloatArray:
        return np.array([compute_index(one, cases.outcome, weights) for one in points])

    keys = _list_risks(cases).with_columns(
        pl.lit(EVERYBODY).alias(GROUPING),
        pl.lit(EVERYBODY).alias(GROUP),
        pl.lit(len(cases), pl.Int64).alias(ROWS),
        pl.lit(cases.events, pl.Int64).alias(EVENTS),
        pl.lit("ici").alias(METRIC),
        pl.lit(TOO_FEW_FOR_CURVE).alias(UNDEFINED),
    )
    return Measure(keys, compute)


def compute_index(points: Points, outcome: BoolArray, weights: FloatArray) -> float:
    """Compute the integrated calibration index; NaN where no curve can be fitted."""
    events = float(weights @ outcome)
    if min(events, weights.sum() - events) < LEAST_FOR_CURVE:
        return float("nan")
    curve = compute_curve(points, outcome, weights)
    if curve is None:
        return float("nan")
    return float(curve.weights @ np.abs(curve.observed - curve.risk) / curve.weights.sum())


def hide_groups(table: pl.DataFrame, cells: Cells, outcome: BoolArray) -> pl.DataFrame:
    """Hide groups with small counts of persons or outcomes: all numbers of such a group become null."""
    rows, events = cells.add_up(np.ones(len(outcome))), cells.add_up(outcome.astype(np.float64))
    is_hidden = find_few_outcomes(cells, rows, events) & (cells.names[GROUPING] != EVERYBODY).to_numpy()
    hidden = cells.names.filter(is_hidden).with_columns(pl.lit(value=True).alias(_HIDDEN))
    placed = table.join(hidden, on=[GROUPING, GROUP], how="left", maintain_order="left")
    numbers = [name for name in table.columns if table.schema[name].is_numeric() and name != BIN]
    return blank(table, placed[_HIDDEN].fill_null(value=False).to_numpy(), numbers)


def tabulate_reliability(cases: Cases, cells: Cells) -> pl.DataFrame:
    """Tabulate, by bins of equal numbers of cases, the mean risk and the share with the outcome.

    Columns `ranking`, `grouping`, `group`, `bin` (from 1, the lowest risks first), `rows`, `events`,
    `mean_risk`, `observed`, `low`, `high` (95 % score interval), `note`. Counts of groups below 5 are hidden.
    A ranking without risks is a row that says so.
    """
    table = pl.concat([pl.DataFrame(schema=_BINNED), *(_bin(part) for part in _list_parts(cases, cells))])
    unknown = tell_no_risks(cases).select(RANKING, GROUPING, GROUP, NOTE)
    return pl.concat([hide_groups(table, cells, cases.outcome), unknown], how="diagonal")


def _bin(part: _Part) -> pl.DataFrame:
    """Put the cases of a group in bins; of a group, bins with small counts are hidden."""
    ranking, grouping, group = part.name
    wanted = BINS if grouping == EVERYBODY else GROUP_BINS
    order = np.argsort(part.risk, kind="stable")
    bins = np.arange(len(order)) * min(wanted, len(order)) // len(order)
    rows, events, risks = (
        np.bincount(bins, amounts[order]).astype(np.float64)
        for amounts in (np.ones(len(order)), part.outcome, part.risk)
    )
    low, high = compute_wilson(events, rows)
    numbers = {
        ROWS: rows.astype(np.int64),
        EVENTS: events.astype(np.int64),
        "mean_risk": risks / rows,
        "observed": events / rows,
        LOW: low,
        HIGH: high,
    }
    names = {RANKING: ranking, GROUPING: grouping, GROUP: group}
    binned = pl.DataFrame(numbers).select(
        *(pl.lit(value).alias(key) for key, value in names.items()),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(BIN),
        pl.all(),
        pl.lit(None, pl.String).alias(NOTE),
    )
    if grouping == EVERYBODY:
        return binned
    return blank(binned, find_hidden(rows, events, rows - events), list(numbers))


def _list_parts(cases: Cases, cells: Cells) -> Iterator[_Part]:
    for number, (grouping, group) in enumerate(cells.names.rows()):
        is_in = cells.find_group(number)
        for name in cases.risks:
            yield _Part((name, grouping, group), cases.rankings[name][is_in], cases.outcome[is_in])


_BINNED: Final = {
    RANKING: pl.String,
    GROUPING: pl.String,
    GROUP: pl.String,
    BIN: pl.Int64,
    ROWS: pl.Int64,
    EVENTS: pl.Int64,
    "mean_risk": pl.Float64,
    "observed": pl.Float64,
    LOW: pl.Float64,
    HIGH: pl.Float64,
    NOTE: pl.String,
}
_SCHEMA: Final = {
    RANKING: pl.String,
    GROUPING: pl.String,
    GROUP: pl.String,
    ROWS: pl.Int64,
    EVENTS: pl.Int64,
    METRIC: pl.String,
    VALUE: pl.Float64,
    LOW: pl.Float64,
    HIGH: pl.Float64,
    NOTE: pl.String,
}


def _tabulate(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")
