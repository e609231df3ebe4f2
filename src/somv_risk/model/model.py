"""The model: everything needed to score raw histories, as text and JSON in a folder."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from somv_risk.calls.arguments import read_path
from somv_risk.calls.notebook import render_notebook_table
from somv_risk.cohort.asof import Lags
from somv_risk.cohort.outcomes import Target
from somv_risk.cohort.windows import Horizon
from somv_risk.errors import ModelError, SomvRiskError
from somv_risk.features import Feature, describe_definition, read_definition
from somv_risk.model.calibration import Calibration, read_calibration
from somv_risk.model.files import FILES, MODEL_FILE, MODEL_VERSION, read_model, write_model
from somv_risk.model.logistic_baseline import PenalisedLogistic, read_logistic
from somv_risk.model.matrix import Encoding, Matrix
from somv_risk.model.origins import open_folder
from somv_risk.registers.histories import Histories
from somv_risk.trees.lightgbm import lightgbm
from somv_risk.trees.scores import score_trees

# What a description comes to that lacks a part, or has one of another kind.
UNSOUND: Final = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, StopIteration)
CROSS: Final = "cross"  # the kind of validation in which everybody grows trees
MODELS_KEPT: Final = 4  # loaded ones, for whoever scores by a folder's name again and again
FIRST_VERSION: Final = 1  # of a feature; not written, so that the hash of a model of before stays what it is


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Who may be scored: completed years of age and days of residence before the index."""

    minimum_age_years: int = 18
    minimum_residence_days: int = 365


@dataclass(frozen=True, slots=True)
class Head:
    """What was fitted for one target.

    `reference_risks` are the quantiles (0, 0.1, ..., 100 %) of the risk in the reference population;
    `threshold` is the risk from which a person is flagged when no capacity or threshold is given.
    """

    target: Target
    trees: str
    calibration: Calibration
    logistic: PenalisedLogistic
    reference_risks: tuple[float, ...]
    threshold: float
    booster: lightgbm.Booster = field(compare=False, repr=False)

    def predict_raw(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """Return the raw score (log-odds) of each row."""
        return score_trees(self.booster, matrix)

    def predict_risk(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """Return the calibrated risk of each row."""
        return self.calibration.predict_risk(self.predict_raw(matrix))

    def rank_percentile(self, risk: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the percentage of the reference population with a lower risk, in steps of 0.1."""
        below = np.searchsorted(np.array(self.reference_risks), risk, side="left")
        return np.asarray(np.clip(below, 0, 1000) / 10.0)


@dataclass(frozen=True, slots=True, repr=False)
class RiskModel:
    """A fitted model: features with their definitions, one head per target, and where it comes from.

    `facts` are plain data about the training: index times, row counts, tables present, data
    fingerprint, library versions, and the metrics of the model beside its references.
    """

    encoding: Encoding
    lags: Lags
    eligibility: Eligibility
    heads: Mapping[str, Head]
    facts: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"RiskModel({list(self.heads)}, {len(self.features)} features)"

    def _repr_html_(self) -> str:
        rows = [
            (name, head.target.horizon.days, head.booster.num_trees()) for name, head in self.heads.items()
        ]
        title = f"RiskModel, {len(self.features)} features of {', '.join(self.tables)}"
        return render_notebook_table(title, ["target", "horizon in days", "trees"], rows)

    @property
    def features(self) -> tuple[Feature, ...]:
        """Features in matrix order."""
        return self.encoding.features

    @property
    def main(self) -> Head:
        """The head of the first target, by which persons are ranked."""
        return next(iter(self.heads.values()))

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables that were present in training."""
        return tuple(self.facts["tables"])

    def see(self, histories: Histories) -> Histories:
        """See histories with the tables of the training: one that was absent then changes no score now."""
        return histories.keep_tables(self.tables)

    @property
    def is_cross_validated(self) -> bool:
        """Whether it has learnt from everybody, so that nobody was kept for the test."""
        return bool(self.facts.get("validation", {}).get("kind") == CROSS)

    def __reduce__(self) -> tuple[Callable[..., "RiskModel"], tuple[object, ...]]:
        """Pickle and copy by what a folder would hold: no class but this one is named, nothing else kept."""
        return _restore, (json.dumps(_describe(self)), _list_trees(self))

    def save(self, path: str | Path) -> None:
        """Save as a folder: `model.json`, one text file of trees per target, and the model card.

        A model that is there is replaced at one stroke: stopped at any moment, or on a full disk, the
        folder holds the old model or the new one.

        Raises
        ------
        ModelError
            If the folder cannot be written; a model that was there stays.
        """
        card = str(self.facts.get("card", ""))
        write_model(read_path("path", path), _describe(self), dict(_list_trees(self)), card)


def _list_trees(model: RiskModel) -> tuple[tuple[str, str], ...]:
    return tuple((name, head.trees) for name, head in model.heads.items())


def load_trees(text: str) -> lightgbm.Booster:
    """Load trees from their text."""
    try:
        return lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise ModelError(f"The trees cannot be read ({error}). Restore the model folder.") from None


def load_model(path: str | Path) -> RiskModel:
    """Load a model by its folder, the name of a packaged one, or a name in the registry.

    "models:/somv-risk@champion" is a name in the registry, "simulated" a packaged model (`somv-risk models`
    lists them). Where the working folder has a folder "simulated", that is loaded, or refused if it holds no
    model: no other model takes the place of one's own. The files are read each time; where they are those of
    a model loaded before, its trees are taken again.

    Raises
    ------
    ModelError
        If a file is missing, of another version or altered, or the trees name other features; if the
        registry has no model of that name.

    Examples
    --------
    >>> load_model("simulated")
    RiskModel(['frequent_admission', 'unfinished_treatment'], 286 features)
    """
    with open_folder(read_path("model", path)) as folder:
        stored = read_model(folder)
        try:
            return _restore(stored.text, tuple(stored.trees.items()))
        except ModelError as error:
            raise ModelError(f"{folder}: {error}") from None


def get_model(model: RiskModel | str | Path) -> RiskModel:
    """Return a model that is given as such, or by the name that `load_model` takes.

    Raises
    ------
    ModelError, ConfigError
        As `load_model`.
    """
    return model if isinstance(model, RiskModel) else load_model(model)


def _restore(text: str, trees: tuple[tuple[str, str], ...]) -> RiskModel:
    """Restore a model from its texts; what it says of itself is nobody else's, as it could be changed."""
    return replace(_build(text, trees), facts=MappingProxyType(dict(json.loads(text)["facts"])))


@lru_cache(MODELS_KEPT)
def _build(text: str, trees: tuple[tuple[str, str], ...]) -> RiskModel:
    data, by_target = json.loads(text), dict(trees)
    try:
        _check_hash(data, by_target)
        model = _assemble(data, by_target)
    except ModelError:
        raise
    except (*UNSOUND, SomvRiskError):
        raise ModelError(f"{MODEL_FILE} is incomplete. Restore the model folder.") from None
    for head in model.heads.values():
        _check_names(model.encoding, head)
    return model


def _check_hash(data: Mapping[str, Any], trees: Mapping[str, str]) -> None:
    if compute_hash(data, trees) != data["hash"]:
        raise ModelError("The model was altered: its hash does not fit. Restore the model folder.")


def compute_hash(data: Mapping[str, Any], trees: Mapping[str, str]) -> str:
    """Compute the SHA-256 of all that a model says and all its trees, whatever their files are called.

    It is a checksum, which finds damage; who alters a model on purpose can compute it too.
    """
    said = {key: value for key, value in data.items() if key not in ("hash", FILES)}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(trees):
        digest.update(trees[name].encode())
    return digest.hexdigest()


def _check_names(encoding: Encoding, head: Head) -> None:
    if head.booster.feature_name() != encoding.names:
        raise ModelError(
            f"The trees of {head.target.name} were grown on other features than the model lists. "
            "Restore the model folder."
        )


def _describe(model: RiskModel) -> dict[str, Any]:
    data: dict[str, Any] = {
        "model_version": MODEL_VERSION,
        "features": [_describe_feature(feature) for feature in model.features],
        "categories": {name: list(values) for name, values in model.encoding.categories.items()},
        "lags": dict(model.lags.days),
        "eligibility": {name: getattr(model.eligibility, name) for name in Eligibility.__slots__},
        "heads": {name: _describe_head(head) for name, head in model.heads.items()},
        "facts": dict(model.facts),
    }
    return data | {"hash": compute_hash(data, dict(_list_trees(model)))}


def compute_model_hash(model: RiskModel) -> str:
    """Compute the hash by which a saved model is known."""
    return str(_describe(model)["hash"])


def _describe_feature(feature: Feature) -> dict[str, Any]:
    row = describe_definition(feature.definition)
    told = {
        "id": feature.definition.id,
        "days": feature.window.days if feature.window else None,
        "definition": row,
    }
    return told if feature.version == FIRST_VERSION else told | {"version": feature.version}


def _read_feature(data: Mapping[str, Any]) -> Feature:
    definition = read_definition(data["id"], data["definition"])
    version = data.get("version", FIRST_VERSION)
    features = (replace(feature, version=version) for feature in definition.features())
    return next(f for f in features if (f.window.days if f.window else None) == data["days"])


def _describe_head(head: Head) -> dict[str, Any]:
    return {
        "target": describe_target(head.target),
        "calibration": head.calibration.describe(),
        "logistic": head.logistic.describe(),
        "reference_risks": list(head.reference_risks),
        "threshold": head.threshold,
    }


def describe_target(target: Target) -> dict[str, Any]:
    """Return a target as plain data; `read_target` reads it back."""
    data = {name: getattr(target, name) for name in Target.__slots__ if name != "horizon"}
    return data | {"horizon_days": target.horizon.days}


def read_target(data: Mapping[str, Any]) -> Target:
    """Read a target from plain data (`horizon_days` for its horizon)."""
    given: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "horizon_days"
    }
    return Target(**given, horizon=Horizon(data["horizon_days"]))


def _assemble(data: Mapping[str, Any], trees: Mapping[str, str]) -> RiskModel:
    features = tuple(_read_feature(row) for row in data["features"])
    categories = {name: tuple(values) for name, values in data["categories"].items()}
    return RiskModel(
        encoding=Encoding(features, MappingProxyType(categories)),
        lags=Lags(MappingProxyType(dict(data["lags"]))),
        eligibility=Eligibility(**data["eligibility"]),
        heads=MappingProxyType({name: _read_head(head, trees[name]) for name, head in data["heads"].items()}),
        facts=MappingProxyType(dict(data["facts"])),
    )


def _read_head(data: Mapping[str, Any], trees: str) -> Head:
    return Head(
        target=read_target(data["target"]),
        trees=trees,
        calibration=read_calibration(data["calibration"]),
        logistic=read_logistic(data["logistic"]),
        reference_risks=tuple(data["reference_risks"]),
        threshold=data["threshold"],
        booster=load_trees(trees),
    )
