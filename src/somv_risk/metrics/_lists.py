"""Lists: who stays a frequent admitter, how risks are spread, and whom another way of counting hides."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

from somv_risk.disclosure import FEW, SMALLEST
from somv_risk.metrics._calibration import EVENTS, ROWS
from somv_risk.metrics._cases import BoolArray, Cases, FloatArray
from somv_risk.metrics._listings import Listing, tabulate_lists
from somv_risk.metrics._measures import HIGH, LOW, NOTE, VALUE
from somv_risk.metrics._numbers import compute_wilson, divide
from somv_risk.metrics._rankings import RANKING
from somv_risk.metrics.notes import NO_RISKS, NOBODY, NOT_ASKED

Row = tuple[str, float | None, float | None, float | None, str | None]

KNOWN_OR_NEW: Final = "known_or_new"
FLAGGED: Final = "flagged"
MEASURE: Final = "measure"
EDGES: Final = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)


def tabulate_cases(cases: Cases) -> pl.DataFrame:
    """Tabulate how many cases there are and how many of them had the outcome: of all, and of new ones."""
    new = np.ones(len(cases), dtype=np.bool_) if cases.is_new is None else cases.is_new
    parts = {"all": np.ones(len(cases), dtype=np.bool_), "new": new}
    frame = pl.DataFrame({"population": list(parts)})
    return _add_shares(frame, [(cases.outcome[part], part.sum()) for part in parts.values()]).rename(
        {VALUE: "base_rate"}
    )


def tabulate_persistence(cases: Cases, listings: Sequence[Listing]) -> pl.DataFrame:
    """Tabulate who met the target, of those known for it before and of new ones, on each list and off it.

    Of the known, the share is the persistence of frequent admission from one year to the next.
    """

    def tabulate(listing: Listing) -> pl.DataFrame:
        return _persist(cases, listing.listed)

    return tabulate_lists(listings, tabulate, is_of_list=pl.col(FLAGGED).is_not_null())


def _persist(cases: Cases, listed: BoolArray) -> pl.DataFrame:
    new = np.ones(len(cases), dtype=np.bool_) if cases.is_new is None else cases.is_new
    parts = {
        (name, flag): of & on
        for name, of in (("known", ~new), ("new", new))
        for flag, on in ((None, np.ones_like(listed)), (True, listed), (False, ~listed))
    }
    schema = {KNOWN_OR_NEW: pl.String, FLAGGED: pl.Boolean}
    frame = pl.DataFrame(list(parts), schema=schema, orient="row")
    return _add_shares(frame, [(cases.outcome[part], part.sum()) for part in parts.values()])


def _add_shares(frame: pl.DataFrame, parts: list[tuple[BoolArray, int]]) -> pl.DataFrame:
    """Add rows, events, the share with its score interval, and a note where there is nobody."""
    events = np.array([float(outcome.sum()) for outcome, _ in parts])
    rows = np.array([float(total) for _, total in parts])
    low, high = compute_wilson(events, rows)
    return frame.with_columns(
        pl.Series(ROWS, rows, pl.Int64),
        pl.Series(EVENTS, events, pl.Int64),
        pl.Series(VALUE, divide(events, rows)).fill_nan(None),
        pl.Series(LOW, low).fill_nan(None),
        pl.Series(HIGH, high).fill_nan(None),
    ).with_columns(pl.when(pl.col(ROWS) == 0).then(pl.lit(NOBODY)).alias(NOTE))


def tabulate_distribution(cases: Cases, edges: tuple[float, ...] = EDGES) -> pl.DataFrame:
    """Tabulate how the risks are spread, of those with and of those without the outcome.

    Columns `ranking`, `outcome`, `from_risk`, `to_risk` (not included, but for 1), `rows`, `share` (of those
    with that outcome; null with a note if there are none). A ranking without risks is a row that says so.
    """
    parts = [
        _spread(name, cases.rankings[name], cases.outcome == outcome, edges, outcome=outcome)
        for name in cases.risks
        for outcome in (False, True)
    ]
    return pl.concat([pl.DataFrame(schema=_DISTRIBUTION), *parts, _tell_no_risks(cases)])


def _tell_no_risks(cases: Cases) -> pl.DataFrame:
    rows = [{RANKING: name, NOTE: NO_RISKS} for name in cases.rankings if name not in cases.risks]
    return pl.DataFrame(rows, schema=_DISTRIBUTION)


_DISTRIBUTION: Final = {
    RANKING: pl.String,
    "outcome": pl.Boolean,
    "from_risk": pl.Float64,
    "to_risk": pl.Float64,
    ROWS: pl.Int64,
    "share": pl.Float64,
    NOTE: pl.String,
}


def _spread(
    name: str, risk: FloatArray, is_of: BoolArray, edges: tuple[float, ...], *, outcome: bool
) -> pl.DataFrame:
    counts, _ = np.histogram(risk[is_of], bins=np.array(edges))
    total = counts.sum()
    return pl.DataFrame(
        {
            RANKING: name,
            "outcome": outcome,
            "from_risk": edges[:-1],
            "to_risk": edges[1:],
            ROWS: counts,
            "share": counts / total if total else [None] * len(counts),
            NOTE: None if total else NOBODY,
        },
        schema=_DISTRIBUTION,
    )


def tabulate_hidden(cases: Cases, listings: Sequence[Listing]) -> pl.DataFrame:
    """Tabulate whom another way of counting hides: they had the outcome, and it does not count them.

    Columns `ranking`, `measure`, `value`, `low`, `high`, `note`: persons with the outcome, how many of them
    are counted and hidden, the share hidden, and what share of each the ranking's list holds. Counts below
    five are hidden.
    """

    def tabulate(listing: Listing) -> pl.DataFrame:
        return _tell_hidden(cases, listing.listed)

    return tabulate_lists(listings, tabulate, is_of_list=pl.col(MEASURE).str.ends_with("_on_the_list"))


def _tell_hidden(cases: Cases, listed: BoolArray) -> pl.DataFrame:
    if cases.is_counted is None:
        rows: list[Row] = [("persons_hidden", None, None, None, NOT_ASKED)]
    else:
        rows = list(_list_hidden(cases.outcome, cases.outcome & ~cases.is_counted, listed))
    schema = {MEASURE: pl.String, VALUE: pl.Float64, LOW: pl.Float64, HIGH: pl.Float64, NOTE: pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _list_hidden(outcome: BoolArray, hidden: BoolArray, listed: BoolArray) -> Iterator[Row]:
    """Tell of parts only if no other part that is left over is small."""
    counted = outcome & ~hidden
    parts = counted, hidden
    cells = [part & on for part in parts for on in (listed, ~listed)]
    yield _tell_count("persons_with_outcome", outcome, [outcome])
    yield _tell_count("persons_counted", counted, parts)
    yield _tell_count("persons_hidden", hidden, parts)
    yield _tell_share("share_hidden", hidden, outcome, parts)
    yield _tell_share("hidden_on_the_list", listed & hidden, hidden, cells)
    yield _tell_share("counted_on_the_list", listed & counted, counted, cells)


def _tell_count(measure: str, persons: BoolArray, parts: Sequence[BoolArray]) -> Row:
    if _is_any_small(parts):
        return measure, None, None, None, FEW
    return measure, float(persons.sum()), None, None, None


def _tell_share(measure: str, part: BoolArray, whole: BoolArray, parts: Sequence[BoolArray]) -> Row:
    if _is_any_small(parts):
        return measure, None, None, None, FEW if whole.any() else NOBODY
    counts, total = float(part.sum()), float(whole.sum())
    low, high = compute_wilson(np.array([counts]), np.array([total]))
    return measure, counts / total, float(low[0]), float(high[0]), None


def _is_any_small(parts: Sequence[BoolArray]) -> bool:
    return min(int(part.sum()) for part in parts) < SMALLEST
