"""Draws of persons: who stays on the list when the model is trained on others like those it had."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.errors import CohortError
from somv_risk.evaluation.refits._again import Fitted, draw_persons, fit_again
from somv_risk.evaluation.refits._judge import (
    HIGH,
    LOW,
    METRIC,
    NO_TRAINING,
    NOTE,
    NUMBERS,
    RANKING,
    VALUE,
    Scores,
    gather_test,
    join_notes,
)
from somv_risk.metrics import Capacity, measure_rankings
from somv_risk.model.model import Head, RiskModel
from somv_risk.registers.histories import Histories
from somv_risk.training.steps import Prepared, assemble_model

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MEASURE: Final = "measure"
STEP: Final = "training on other draws"
NEARLY_ALWAYS: Final = 0.9
LEVEL: Final = (2.5, 97.5)
COLUMNS: Final = pl.Schema({RANKING: pl.String(), MEASURE: pl.String(), **NUMBERS})
NOT_FITTED: Final = "It is not fitted, so no draw changes it."
ONE_NUMBER: Final = "There is one number, which has no range."
NOT_BOTH: Final = "Nobody had the outcome, or everybody."


def repeat_seeds(
    histories: Histories,
    fitted: Fitted,
    seeds: int,
    capacity: str = "1 %",
    *,
    progress: Progress = ignore_progress,
) -> tuple[pl.DataFrame, tuple[RiskModel, ...]]:
    """Train on persons drawn again with replacement, with another tree seed each time, and compare the lists.

    All that is learnt is learnt again: trees, calibration, penalised logistic. The test persons of the last
    test moment, whom no draw trains on, are scored by the head fitted to everybody and by each refit.

    Returns
    -------
    The table of `measure_stability`, and the refitted models, of the main target only.

    Raises
    ------
    CohortError
        If there are no test persons with a known outcome.
    """
    prepared = fitted.prepared
    judged = gather_test(histories, prepared)
    heads: list[Head] = []
    for number in range(seeds):
        progress(STEP, number, seeds)
        heads += _fit_draw(prepared, number)
    progress(STEP, seeds, seeds)
    again = [judged.score(prepared, head) for head in heads]
    table = measure_stability(judged.outcome, judged.score(prepared, fitted.head), again, capacity)
    settings, encoding, facts = prepared.settings, prepared.encoding, prepared.facts
    models = tuple(assemble_model(settings, encoding, {head.target.name: head}, facts) for head in heads)
    return _tell_missing(table, seeds - len(heads), seeds), models


def _fit_draw(prepared: Prepared, number: int) -> list[Head]:
    """Fit one head to one draw of persons, or none if the draw has too few events."""
    try:
        return [fit_again(prepared, draw_persons(prepared, number), prepared.settings.seed + 1 + number)]
    except CohortError:
        return []


def _tell_missing(table: pl.DataFrame, missing: int, seeds: int) -> pl.DataFrame:
    if missing == 0:
        return table
    if missing == seeds:
        return note_stability(NO_TRAINING)
    said = f"{missing} of {seeds} refits are missing. {NO_TRAINING}"
    return table.with_columns(join_notes(pl.col(NOTE), pl.lit(said)))


def note_stability(note: str) -> pl.DataFrame:
    """Say in one row why there is nothing to say."""
    return pl.concat([pl.DataFrame(schema=COLUMNS), pl.DataFrame({NOTE: [note]})], how="diagonal")


def measure_stability(
    outcome: BoolArray,
    first: Scores,
    again: Sequence[Scores],
    capacity: str = "1 %",
) -> pl.DataFrame:
    """Measure how far refits agree with the first fit, on the same persons in the same order.

    Parameters
    ----------
    first, again
        Scores by the first fit and by each refit.
    capacity
        Length of the list; the short list is half as long.

    Returns
    -------
    `ranking`, `measure`, `value` (mean over refits), `low`, `high` (2.5 and 97.5 % over refits), `note`.
    Measures:

    - list_kept, short_list_kept: share of the first list that is on the refit's
    - list_jaccard, short_list_jaccard: persons on both lists over persons on either
    - list_nearly_always_kept, short_list_nearly_always_kept: share of the first list that is on the lists
      of at least nine in ten refits
    - risk_difference: mean absolute difference of a person's two risks, the mean absolute prediction error
      of Riley and Collins 2023, doi 10.1002/bimj.202200302; listed_risk_difference: that on the first list
    - auroc: of the refits
    """
    size = Capacity(capacity).count(len(outcome))
    rows = [
        {RANKING: name, MEASURE: measure, **_summarise(values, None if name in first.risks else NOT_FITTED)}
        for name in (first.order if again else ())
        for measure, values in _compare(outcome, name, first, again, size).items()
    ]
    return pl.DataFrame(rows, schema=COLUMNS)


def _compare(
    outcome: BoolArray, name: str, first: Scores, again: Sequence[Scores], size: int
) -> dict[str, FloatArray]:
    """Compare one ranking of the first fit with that of the refits."""
    order = np.stack([scores.order[name] for scores in again])
    measures = {
        **compare_lists("list", first.order[name], order, size),
        **compare_lists("short_list", first.order[name], order, max(1, round(size / 2))),
    }
    if name in first.risks:
        apart = np.abs(np.stack([scores.risks[name] for scores in again]) - first.risks[name])
        listed = find_listed(first.order[name], size)
        measures["risk_difference"] = apart.mean(axis=1)
        measures["listed_risk_difference"] = apart[:, listed].mean(axis=1)
    measures["auroc"] = _compute_aurocs(outcome, order)
    return measures


def compare_lists(list_name: str, first: FloatArray, again: FloatArray, size: int) -> dict[str, FloatArray]:
    """Compare the first list of a size with those of refits: one number per refit, or one in all."""
    listed = find_listed(first, size)
    lists = np.stack([find_listed(scores, size) for scores in again])
    both = (lists & listed).sum(axis=1)
    nearly_always = lists[:, listed].mean(axis=0) >= NEARLY_ALWAYS
    return {
        f"{list_name}_kept": both / listed.sum(),
        f"{list_name}_jaccard": both / (lists | listed).sum(axis=1),
        f"{list_name}_nearly_always_kept": nearly_always.mean(keepdims=True),
    }


def find_listed(scores: FloatArray, size: int) -> BoolArray:
    """Find who is on a list: the highest scores, and of equal ones those who stand first.

    Rows stand in one order for all fits, so that ties change no list; `evaluation.make_listing`, which
    compares rankings, lets a lot choose.
    """
    listed = np.zeros(len(scores), dtype=np.bool_)
    listed[np.argsort(-scores, kind="stable")[:size]] = True
    return listed


def _compute_aurocs(outcome: BoolArray, again: FloatArray) -> FloatArray:
    rankings = {str(number): scores for number, scores in enumerate(again)}
    measured = measure_rankings(outcome, rankings, draws=0, capacities=[1])
    return measured.filter(pl.col(METRIC) == "auroc")[VALUE].fill_null(np.nan).to_numpy()


def _summarise(values: FloatArray, note: str | None) -> dict[str, object]:
    """Summarise a measure over refits; one number has no range."""
    if np.isnan(values).any():
        return {VALUE: None, LOW: None, HIGH: None, NOTE: NOT_BOTH}
    if len(values) == 1:
        return {VALUE: float(values[0]), LOW: None, HIGH: None, NOTE: note or ONE_NUMBER}
    low, high = np.percentile(values, LEVEL)
    return {VALUE: float(values.mean()), LOW: float(low), HIGH: float(high), NOTE: note}
