"""The model: everything needed to score raw histories, as text and JSON in a folder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from somv_risk.asof import Lags
from somv_risk.calibration import Calibration, read_calibration
from somv_risk.contributions import score_trees
from somv_risk.errors import ModelError
from somv_risk.features import Feature, describe_definition, read_definition
from somv_risk.matrix import Encoding, Matrix
from somv_risk.origins import open_folder
from somv_risk.outcomes import Target
from somv_risk.references import PenalisedLogistic, read_logistic
from somv_risk.trees import lightgbm
from somv_risk.windows import Horizon

MODEL_VERSION: Final = 2
MODEL_FILE: Final = "model.json"
CARD_FILE: Final = "CARD.md"


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

    def save(self, path: str | Path) -> None:
        """Save as a folder: `model.json`, one text file of trees per target, and the model card.

        Raises
        ------
        ModelError
            If the folder cannot be written.
        """
        folder = Path(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, head in self.heads.items():
                (folder / f"{name}.txt").write_text(head.trees, encoding="utf-8")
            (folder / MODEL_FILE).write_text(json.dumps(_describe(self), indent=1), encoding="utf-8")
            (folder / CARD_FILE).write_text(str(self.facts.get("card", "")), encoding="utf-8")
        except OSError as error:
            raise ModelError(
                f"The model cannot be saved in {folder} ({error.strerror}). Choose another folder."
            ) from None


def load_trees(text: str) -> lightgbm.Booster:
    """Load trees from their text."""
    try:
        return lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise ModelError(f"The trees cannot be read ({error}). Restore the model folder.") from None


def load_model(path: str | Path) -> RiskModel:
    """Load a model from its folder, or from the registry by a name such as "models:/somv-risk@champion".

    Raises
    ------
    ModelError
        If a file is missing, of another version or altered, or the trees name other features; if the
        registry has no model of that name.
    """
    with open_folder(path) as folder:
        return _load_folder(folder)


def _load_folder(folder: Path) -> RiskModel:
    data = _read_description(folder / MODEL_FILE)
    try:
        trees = {name: _read(folder / f"{name}.txt") for name in data["heads"]}
        if compute_hash(data, trees) != data["hash"]:
            raise ModelError(
                f"The model in {folder} was altered: its hash does not fit. Restore the model folder."
            )
        model = _assemble(data, trees)
    except (KeyError, TypeError, AttributeError, StopIteration):
        raise ModelError(f"{folder / MODEL_FILE} is incomplete. Restore the model folder.") from None
    for head in model.heads.values():
        _check_names(model.encoding, head)
    return model


def _read_description(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(_read(file))
    except ValueError as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{file} is not JSON. Restore the model folder.") from None
    found = data.get("model_version") if isinstance(data, dict) else None
    if found != MODEL_VERSION:
        raise ModelError(
            f"The model has version {found}; this library reads {MODEL_VERSION}. Train it again."
        )
    return dict(data)


def compute_hash(data: Mapping[str, Any], trees: Mapping[str, str]) -> str:
    """Compute the SHA-256 of all that a model says and all its trees."""
    said = {key: value for key, value in data.items() if key != "hash"}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(trees):
        digest.update(trees[name].encode())
    return digest.hexdigest()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ModelError(
            f"Model file {file} is missing or unreadable. Give the folder that train wrote."
        ) from None


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
    return data | {"hash": compute_hash(data, {name: head.trees for name, head in model.heads.items()})}


def compute_model_hash(model: RiskModel) -> str:
    """Compute the hash by which a saved model is known."""
    return str(_describe(model)["hash"])


def _describe_feature(feature: Feature) -> dict[str, Any]:
    row = describe_definition(feature.definition)
    return {
        "id": feature.definition.id,
        "days": feature.window.days if feature.window else None,
        "definition": row,
    }


def _read_feature(data: Mapping[str, Any]) -> Feature:
    definition = read_definition(data["id"], data["definition"])
    return next(f for f in definition.features() if (f.window.days if f.window else None) == data["days"])


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
