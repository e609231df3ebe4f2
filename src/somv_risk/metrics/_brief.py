"""In brief: the few numbers by which many models are compared, each judged on its own cases."""

from typing import Final

import polars as pl

from somv_risk.metrics._calibration import measure_ratio
from somv_risk.metrics._capacities import Capacity
from somv_risk.metrics._cases import Cases
from somv_risk.metrics._cells import put_in_cells
from somv_risk.metrics._doubts import note_doubts
from somv_risk.metrics._measures import HIGH, LOW, NOTE, VALUE, Resampling, compute_tables
from somv_risk.metrics._rankings import METRIC, PERSONS, RANKING, measure_order
from somv_risk.metrics._tables import WORKING_CAPACITY

LEAD: Final = "auroc_difference"
BRIEF: Final = ("auroc", LEAD, "average_precision", "precision", "expected_over_observed")


def judge_briefly(
    cases: Cases, *, capacity: str | int = WORKING_CAPACITY, draws: int = 200, seed: int = 0
) -> pl.DataFrame:
    """Judge rankings by their separation, the precision of one list, and how their risks add up.

    Returns
    -------
    Columns `ranking`, `persons` (how long the list is, for precision), `metric`, `value`, `low`, `high` (95 %
    percentile interval over draws of persons), `note`. Metrics: auroc, auroc_difference (how far the first
    ranking leads over this one), average_precision, precision, and, of risks, expected_over_observed.

    Raises
    ------
    ConfigError
        If the capacity is no length of a list, or draws are negative.
    """
    measures = {
        "order": measure_order(cases, "all", [Capacity(str(capacity))]),
        "ratio": measure_ratio(cases, put_in_cells(cases)),
    }
    tables = compute_tables(measures, len(cases), Resampling(draws, seed))
    leads_itself = (pl.col(RANKING) == next(iter(cases.rankings))) & (pl.col(METRIC) == LEAD)
    told = pl.concat([tables["order"], tables["ratio"]], how="diagonal")
    names = pl.DataFrame({RANKING: list(cases.rankings)})
    table = (
        names.join(told, on=RANKING, maintain_order="left_right")
        .filter(pl.col(METRIC).is_in(BRIEF) & ~leads_itself)
        .select(RANKING, PERSONS, METRIC, VALUE, LOW, HIGH, NOTE)
    )
    return note_doubts(cases, table)
