"""Calibration: from raw scores to probabilities, by one of three curves that is chosen on data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from somv_risk.errors import CohortError
from somv_risk.model.calibration_curves import CURVES, FITS, Curve, FloatArray, Outcome, fit_platt

FOLDS: Final = 5
# With fewer events the highest step holds a handful of them, and everybody who matters the same risk.
LEAST_EVENTS: Final[Mapping[str, int]] = MappingProxyType({"isotonic": 500})
_TINY: Final = 1e-15  # a loss is finite even where a risk is rounded to 0 or 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curve that was chosen, and the cross-validated log loss of each kind (None: could not be fitted).

    No curve changes who ranks before whom.
    """

    curve: Curve
    losses: Mapping[str, float | None] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def kind(self) -> str:
        """The kind of curve: "platt", "beta" or "isotonic"."""
        return self.curve.kind

    def predict_risk(self, raw: FloatArray) -> FloatArray:
        """Return the risk for each raw score (log-odds); the same bits for one row and for many."""
        return self.curve.predict_risk(raw)

    def state_choice(self) -> dict[str, Any]:
        """Return the kind and the losses as plain data."""
        return {"kind": self.kind, "losses": dict(self.losses)}

    def describe(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return self.state_choice() | {
            "curve": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in ((name, getattr(self.curve, name)) for name in self.curve.__slots__)
            }
        }


def read_calibration(data: Mapping[str, Any]) -> Calibration:
    """Read what `Calibration.describe` returned."""
    fitted: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data["curve"].items()}
    return Calibration(CURVES[data["kind"]](**fitted), MappingProxyType(dict(data["losses"])))


def fit_calibration(raw: FloatArray, outcome: Outcome, persons: npt.ArrayLike | None = None) -> Calibration:
    """Choose and fit the calibration on a slice later than the one that trained the trees.

    The kinds are compared by their log loss over 5 folds of persons. The simplest that is within one
    standard error of the best is chosen, in the order platt, beta, isotonic, and fitted on all rows.
    Isotonic steps are chosen from 500 events up.

    Parameters
    ----------
    persons
        Who each row is about; by default each row is about another person.

    Raises
    ------
    CohortError
        If the slice has no event or nothing but events, or raw scores do not rise with the outcome.
    """
    person = _number(raw, persons)
    fit_platt(raw, outcome)
    losses = {kind: cross_validate(kind, raw, outcome, person) for kind in FITS}
    may_be_chosen = {
        kind: loss for kind, loss in losses.items() if outcome.sum() >= LEAST_EVENTS.get(kind, 0)
    }
    curve = FITS[_choose_kind(may_be_chosen, person)](raw, outcome)
    means = {kind: None if loss is None else float(loss.mean()) for kind, loss in losses.items()}
    return Calibration(curve, MappingProxyType(means))


def cross_validate(
    kind: str, raw: FloatArray, outcome: Outcome, persons: npt.ArrayLike | None = None
) -> FloatArray | None:
    """Compute the log loss of each row by a curve fitted on other persons; None where a fit fails."""
    fold = deal_folds(outcome, _number(raw, persons))
    losses = np.empty(len(raw))
    for number in range(FOLDS):
        is_held = fold == number
        try:
            curve = FITS[kind](raw[~is_held], outcome[~is_held])
        except CohortError:
            return None
        losses[is_held] = compute_log_losses(outcome[is_held], curve.predict_risk(raw[is_held]))
    return losses


def compute_log_losses(outcome: Outcome, risk: FloatArray) -> FloatArray:
    """Compute the log loss of each row."""
    given = np.clip(np.where(outcome, risk, 1 - risk), _TINY, 1)
    return np.asarray(-np.log(given), dtype=np.float64)


def _number(raw: FloatArray, persons: npt.ArrayLike | None) -> npt.NDArray[np.intp]:
    """Number the persons from 0; by default each row is about another person."""
    _, person = np.unique(np.arange(len(raw)) if persons is None else persons, return_inverse=True)
    return person


def deal_folds(
    outcome: Outcome, person: npt.NDArray[np.intp], folds: int = FOLDS, seed: int = 0
) -> npt.NDArray[np.intp]:
    """Deal persons, numbered from 0, to folds as shuffled cards, those with the outcome after the others.

    All rows of a person are in one fold, and the folds have as many persons with the outcome, to within one.

    They are not sorted by score: folds would then share their chance ups and downs, which steps follow.
    """
    has_event = np.zeros(person.max() + 1, dtype=bool)
    np.logical_or.at(has_event, person, outcome)
    shuffled = np.random.default_rng(seed).random(len(has_event))
    fold = np.empty(len(has_event), dtype=np.intp)
    fold[np.lexsort((shuffled, has_event))] = np.arange(len(has_event)) % folds
    return fold[person]


def _choose_kind(losses: Mapping[str, FloatArray | None], person: npt.NDArray[np.intp]) -> str:
    known = {kind: loss for kind, loss in losses.items() if loss is not None}
    if not known:
        return next(iter(losses))
    best = min(known.values(), key=lambda loss: float(loss.mean()))
    return next(kind for kind, loss in known.items() if _is_near(loss - best, person))


def _is_near(excess: FloatArray, person: npt.NDArray[np.intp]) -> bool:
    """Tell whether the mean excess of a loss is within one standard error, persons being independent."""
    sums = np.bincount(person, weights=excess)
    return bool(sums.sum() <= np.sqrt(len(sums)) * sums.std())
