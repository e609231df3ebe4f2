"""Judging: a fitted head beside its references and the national programme's rule, at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort.outcomes import OUTCOME_EVENTS, count_past_events
from somv_risk.errors import CohortError
from somv_risk.evaluation.refits._again import Fitted
from somv_risk.evaluation.test_set import LAST_YEAR, LOGISTIC, MODEL, PROGRAMME, PROGRAMME_RULE, list_doubts
from somv_risk.metrics import Cases, judge_briefly
from somv_risk.model.matrix import Matrix
from somv_risk.model.model import Head
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.training.rows import Sample
from somv_risk.training.steps import Prepared

FloatArray = npt.NDArray[np.float64]

RANKING: Final = "ranking"
METRIC: Final = "metric"
PERSONS: Final = "persons"
VALUE: Final = "value"
LOW: Final = "low"
HIGH: Final = "high"
NOTE: Final = "note"
PRECISION: Final = "precision"
RISKS: Final = (MODEL, LOGISTIC)
NO_TRAINING: Final = (
    "Training stopped: a part has too few events, or its scores do not rise with the outcome."
)
NUMBERS: Final = pl.Schema({VALUE: pl.Float64(), LOW: pl.Float64(), HIGH: pl.Float64(), NOTE: pl.String()})


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of the same persons: by ranking, what a list is made by, and the risks of those that have any.

    A calibration in steps gives many persons one risk; the list is made by the raw score, which orders them.
    """

    order: Mapping[str, FloatArray]
    risks: Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True)
class Judged:
    """Persons at one index moment whose outcome is known: what became of them, and what was known before.

    `rules` are the rankings that are not fitted: `count_last_year` and `programme_rule`.
    """

    matrix: Matrix
    outcome: npt.NDArray[np.bool_]
    rules: Mapping[str, FloatArray]

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def events(self) -> int:
        """How many had the outcome."""
        return int(self.outcome.sum())

    def score(self, prepared: Prepared, head: Head) -> Scores:
        """Score the persons by a head, its penalised logistic reference, and the rules."""
        raw = head.predict_raw(self.matrix)
        log_odds = head.logistic.predict_raw(prepared.encoding, self.matrix)
        risks = {MODEL: head.calibration.predict_risk(raw), LOGISTIC: 1 / (1 + np.exp(-log_odds))}
        return Scores({MODEL: raw, LOGISTIC: log_odds, **self.rules}, risks)

    def rank(self, prepared: Prepared, head: Head) -> dict[str, FloatArray]:
        """Rank the persons as an evaluation does: by risk where there is one."""
        scores = self.score(prepared, head)
        return {**scores.order, **scores.risks}


def find_test_time(prepared: Prepared) -> datetime:
    """Find the last test moment: there each person is one row, and the outcome is the latest there is."""
    return max(prepared.times.test)


def gather_judged(histories: Histories, prepared: Prepared, sample: Sample) -> Judged:
    """Gather the test persons of a sample at the last test moment."""
    part = sample.take_slice("test", prepared.settings.build_targets()[0])
    is_last = (sample.rows[s.INDEX_TIME] == find_test_time(prepared)).to_numpy()[part.places]
    places = part.places[is_last]
    rows = sample.rows[places]
    recent = count_past_events(histories, rows, PROGRAMME, prepared.settings.build_lags())
    is_chosen = recent.select(pl.col(OUTCOME_EVENTS) >= PROGRAMME.min_count).collect().to_series()
    return Judged(
        matrix=sample.matrix[places],
        outcome=part.outcome[is_last],
        rules={
            LAST_YEAR: part.past_events[is_last],
            PROGRAMME_RULE: is_chosen.to_numpy().astype(np.float64),
        },
    )


def join_notes(*notes: pl.Expr) -> pl.Expr:
    """Join notes into one column of sentences, null where there is nothing to say."""
    return pl.concat_str(*notes, separator=" ", ignore_nulls=True).replace("", None).alias(NOTE)


@dataclass(frozen=True, slots=True)
class Judge:
    """How rankings are judged: draws and seed of the intervals, and the capacity of the list."""

    draws: int = 200
    seed: int = 0
    capacity: str = "1 %"

    def measure(
        self,
        judged: Judged,
        rankings: Mapping[str, FloatArray],
        head: Head,
        risks: tuple[str, ...] = RISKS,
    ) -> pl.DataFrame:
        """Measure rankings of the same persons, by a head beside others, as `judge_briefly` does."""
        cases = Cases(judged.outcome, rankings, risks, doubts=list_doubts(head))
        return judge_briefly(cases, capacity=self.capacity, draws=self.draws, seed=self.seed)


USUAL: Final = Judge()


def judge_fitted(histories: Histories, fitted: Fitted, judge: Judge) -> pl.DataFrame:
    """Judge a fitted head on its test persons; see `Judge.measure`.

    Raises
    ------
    CohortError
        If there are no test persons with a known outcome.
    """
    judged = gather_test(histories, fitted.prepared)
    return judge.measure(judged, judged.rank(fitted.prepared, fitted.head), fitted.head)


def gather_test(histories: Histories, prepared: Prepared) -> Judged:
    """Gather the test persons, of whom there must be some."""
    judged = gather_judged(histories, prepared, prepared.samples["test"])
    if not len(judged):
        raise CohortError("There are no test persons with a known outcome. Choose an earlier test moment.")
    return judged
