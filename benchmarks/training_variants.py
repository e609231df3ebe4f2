"""Ways of training to compare: each differs from the start in one thing, combinations in two or three."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from benchmarks.training_rows import COUNT
from somv_risk.cohort.outcomes import FREQUENT_ADMISSION, UNFINISHED_TREATMENT
from somv_risk.features import THEMES, Feature

Keep = Callable[[Feature], bool]

COUNTS_ONLY, UNFINISHED, LEARNT = "counts of admissions only", "Unfinished treatment", "What is learnt"
_SOCIAL = ("benefits_and_work", "housing_and_services")


@dataclass(frozen=True)
class Variant:
    """One way of training.

    `parameters` are added to those of the start. `watched` says by which moments trees stop growing: so many
    later ones, or those they are grown on, or none (all `rounds` are kept). `first` is how many of the
    youngest training moments are passed over; `weightiest` so many features, by gain at the start, are kept.
    """

    group: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rounds: int = 2_000
    watched: Literal["later", "training", "none"] = "later"
    later: int = 1
    moments: int = 5
    first: int = 0
    keep: Keep | None = None
    weightiest: int = 0
    label: str = FREQUENT_ADMISSION.name
    judged_by: str = FREQUENT_ADMISSION.name


START_PARAMETERS: Mapping[str, Any] = MappingProxyType(
    {
        "learning_rate": 0.05,
        "max_depth": 6,
        "num_leaves": 31,
        "min_data_in_leaf": 100,
        "feature_fraction": 0.5,
        "lambda_l2": 5.0,
        "max_bin": 127,
    }
)
START = Variant("start", "start")
CHOSEN = "rate 0.03, depth 5, 31 leaves"


def _count_admissions(feature: Feature) -> bool:
    definition = feature.definition
    return definition.events == "admissions" and definition.measure == "count"


def _is_not_social(feature: Feature) -> bool:
    return feature.definition.theme not in _SOCIAL


def _leave_out(theme: str) -> Keep:
    return lambda feature: feature.definition.theme != theme


def _set(group: str, parameter: str, *values: float) -> list[Variant]:
    return [Variant(group, f"{parameter} {value:g}", {parameter: value}) for value in values]


def _objectives() -> list[Variant]:
    counts = [
        Variant(LEARNT, f"count of admissions, {name}", parameters, label=COUNT)
        for name, parameters in {
            "Poisson": {"objective": "poisson"},
            "Tweedie 1.2": {"objective": "tweedie", "tweedie_variance_power": 1.2},
            "Tweedie 1.5": {"objective": "tweedie", "tweedie_variance_power": 1.5},
        }.items()
    ]
    weights = [{"scale_pos_weight": weight} for weight in (10, 90)]
    weighted = [
        *(Variant(LEARNT, f"events weigh {w['scale_pos_weight']}", w) for w in weights),
        *(
            Variant(LEARNT, f"events weigh {w['scale_pos_weight']}, always 100 trees", w, 100, "none")
            for w in weights
        ),
    ]
    return counts + weighted


def _combinations() -> list[Variant]:
    slow = {"learning_rate": 0.03}
    flat, small = {"max_depth": 5}, {"max_depth": 4, "num_leaves": 15}
    tweedie = {"objective": "tweedie", "tweedie_variance_power": 1.5}
    return [
        Variant("Combinations", CHOSEN, slow | flat),
        Variant("Combinations", "rate 0.03, depth 4, 15 leaves", slow | small),
        Variant("Combinations", "rate 0.03, count, Tweedie 1.5", slow | tweedie, label=COUNT),
    ]


def _targets() -> list[Variant]:
    unfinished = UNFINISHED_TREATMENT.name
    return [
        Variant(UNFINISHED, "own trees", label=unfinished, judged_by=unfinished),
        Variant(UNFINISHED, "ranked by the trees of frequent admission", judged_by=unfinished),
    ]


def list_variants() -> list[Variant]:
    """List all of them, the weightiest questions first; the start comes before any other."""
    depths = [
        Variant(
            "Depth and leaves", f"depth {depth}, {leaves} leaves", {"max_depth": depth, "num_leaves": leaves}
        )
        for depth, leaves in (
            *((3, 8), (4, 15), (5, 31), (6, 15), (6, 63)),
            *((8, 31), (8, 127), (-1, 31), (-1, 63), (-1, 127)),
        )
    ]
    return [
        START,
        *_targets(),
        *depths,
        *_set("Rate", "learning_rate", 0.02, 0.03, 0.1),
        *_objectives(),
        Variant("Directions", "no directions", {"monotone_constraints": None}),
        Variant("Directions", "directions, the advanced method", {"monotone_constraints_method": "advanced"}),
        *(Variant("Training moments", f"{n} moments", moments=n) for n in (1, 3, 8)),
        Variant("When to stop", "watched at the training moments", watched="training"),
        Variant("When to stop", "watched at 3 later moments, trained half a year earlier", later=3, first=2),
        Variant("When to stop", "watched at 1 later moment, trained half a year earlier", first=2),
        *(Variant("When to stop", f"always {n} trees", rounds=n, watched="none") for n in (100, 200)),
        *_combinations(),
        Variant("Features", COUNTS_ONLY, keep=_count_admissions),
        Variant("Features", "without benefits and services", keep=_is_not_social),
        *(Variant("Features", f"the {n} weightiest", weightiest=n) for n in (20, 60)),
        *_set("Leaf size", "min_data_in_leaf", 20, 1000),
        *_set("Share of features per tree", "feature_fraction", 0.2, 1.0),
        *_set("Shrinkage", "lambda_l2", 0, 50),
        *(
            Variant("Features", f"without {theme.replace('_', ' ')}", keep=_leave_out(theme))
            for theme in THEMES
        ),
    ]
