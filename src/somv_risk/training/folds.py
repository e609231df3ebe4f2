"""Folds: a model cross-validated over persons, for data of few events, and then fitted to everybody.

The trees stop, and the calibration is fitted, by inner folds; all figures come from outer folds, whose
persons had no say in either. Time is not held out: everybody is seen at the same moments.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from somv_risk.cohort.outcomes import Target
from somv_risk.errors import CohortError
from somv_risk.metrics.metrics import compute_expected_ratio, compute_metrics
from somv_risk.model.calibration import deal_folds, fit_calibration
from somv_risk.model.logistic_baseline import fit_logistic
from somv_risk.model.matrix import Encoding
from somv_risk.model.model import Head, load_trees
from somv_risk.training.fit import Slice, TreeSettings, grow_rounds, grow_watched, make_head

OUTER_FOLDS: Final = 5
INNER_FOLDS: Final = 4
DRAWS: Final = 200
RISKS: Final = "model"

FloatArray = npt.NDArray[np.float64]
Say = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Crossed:
    """A head fitted to everybody, and what heads that had not met a person said of each row.

    `rankings` are the model's risk, the penalised logistic regression fitted in the same folds, and last
    year's count.
    """

    head: Head
    outcome: npt.NDArray[np.bool_]
    person: npt.NDArray[np.intp]
    rankings: Mapping[str, FloatArray]

    def measure(self, seed: int, draws: int = DRAWS) -> list[dict[str, Any]]:
        """Measure each ranking, with 95 % percentile intervals over draws of persons."""
        values = _measure(self, np.arange(len(self.outcome)))
        drawn = [_measure(self, rows) for rows in _draw_rows(self.person, seed, draws)]
        return [
            {"target": self.head.target.name, "ranking": ranking, "metric": metric, "value": value}
            | _find_interval([one[ranking, metric] for one in drawn if one], metric)
            for (ranking, metric), value in values.items()
        ]


def cross_validate_head(
    target: Target, encoding: Encoding, everybody: Slice, settings: TreeSettings, say: Say = lambda *_: None
) -> Crossed:
    """Fit a head to everybody, and others to all but each fold of persons, to say what it is worth.

    Raises
    ------
    CohortError
        If scores do not rise with the outcome in some fold, or too few persons have it.
    """
    _, person = np.unique(everybody.persons.to_numpy(), return_inverse=True)
    fold = deal_folds(everybody.outcome, person, OUTER_FOLDS, settings.seed)
    risk, logistic = np.empty(len(fold)), np.empty(len(fold))
    for number in range(OUTER_FOLDS):
        say(number, OUTER_FOLDS + 1)
        held = everybody.take(np.flatnonzero(fold == number))
        head = fit_folded(target, encoding, everybody.take(np.flatnonzero(fold != number)), settings)
        matrix = held.copy_rows()
        risk[fold == number] = head.predict_risk(matrix)
        logistic[fold == number] = head.logistic.predict_raw(encoding, matrix)
    say(OUTER_FOLDS, OUTER_FOLDS + 1)
    rankings = {
        RISKS: risk,
        "penalised_logistic": logistic,
        "count_last_year": everybody.past_events,
    }
    return Crossed(fit_folded(target, encoding, everybody, settings), everybody.outcome, person, rankings)


def fit_folded(target: Target, encoding: Encoding, part: Slice, settings: TreeSettings) -> Head:
    """Fit a head to all persons of a slice; folds of them say when trees stop and how scores become risks."""
    _, person = np.unique(part.persons.to_numpy(), return_inverse=True)
    fold = deal_folds(part.outcome, person, INNER_FOLDS, settings.seed)
    raw, rounds = np.empty(len(fold)), []
    for number in range(INNER_FOLDS):
        held = part.take(np.flatnonzero(fold == number))
        grown = load_trees(grow_watched(encoding, part.take(np.flatnonzero(fold != number)), held, settings))
        rounds.append(grown.num_trees())
        raw[fold == number] = grown.predict(held.copy_rows(), raw_score=True)
    return make_head(
        target,
        trees=grow_rounds(encoding, part, settings, max(1, int(np.median(rounds)))),
        calibration=fit_calibration(raw, part.outcome, part.persons),
        raw=raw,
        logistic=fit_logistic(encoding, part.matrix, part.places, part.outcome),
        flag_share=settings.flag_share,
    )


def _measure(crossed: Crossed, rows: npt.NDArray[np.intp]) -> dict[tuple[str, str], float]:
    """Measure every ranking on some rows; nothing if they hold no event, or nothing else."""
    outcome = crossed.outcome[rows]
    try:
        found = {
            (ranking, metric): value
            for ranking, score in crossed.rankings.items()
            for metric, value in compute_metrics(outcome, score[rows]).iter_rows()
        }
    except CohortError:
        return {}
    ratio = compute_expected_ratio(outcome, crossed.rankings[RISKS][rows])
    return found | {(RISKS, "expected_over_observed"): ratio}


def _draw_rows(person: npt.NDArray[np.intp], seed: int, draws: int) -> Iterator[npt.NDArray[np.intp]]:
    """Draw as many persons as there are, with replacement, and take all rows of each as often."""
    random, persons = np.random.default_rng([seed, draws]), int(person.max()) + 1
    for _ in range(draws):
        times = np.bincount(random.integers(0, persons, persons), minlength=persons)
        yield np.repeat(np.arange(len(person)), times[person])


def _find_interval(values: list[float], metric: str) -> dict[str, float | None]:
    if metric in ("rows", "events") or not values:
        return {"low": None, "high": None}
    low, high = np.quantile(values, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}
