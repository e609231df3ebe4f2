"""Brute force: Shapley values as their definition says, slowly, by trying every coalition of features.

What the fast values are held against. Nothing here is shared with them: trees are walked one by one, as
LightGBM describes them.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from math import factorial, isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from lightgbm import Booster

Node = Mapping[str, Any]
Row = Sequence[float]


def explain_slowly(booster: "Booster", row: Row) -> npt.NDArray[np.float64]:
    """Compute the path-dependent Shapley values of one row, in time that doubles with every feature.

    Returns
    -------
    Shape (features + 1): what each feature contributes to the raw score; last the value of no feature.

    References
    ----------
    Shapley, A value for n-person games, 1953, doi:10.1515/9781400881970-018.
    """
    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    features = booster.num_feature()
    worth = {
        coalition: sum(expect(tree, row, set(coalition)) for tree in trees)
        for size in range(features + 1)
        for coalition in combinations(range(features), size)
    }
    values = np.zeros(features + 1)
    values[-1] = worth[()]
    for coalition, without in worth.items():
        for feature in set(range(features)) - set(coalition):
            weight = weigh(len(coalition), features)
            values[feature] += weight * (worth[tuple(sorted((*coalition, feature)))] - without)
    return values


def weigh(size: int, features: int) -> float:
    """Weigh a coalition of some size that one more of all features joins."""
    return factorial(size) * factorial(features - size - 1) / factorial(features)


def expect(node: Node, row: Row, known: Collection[int]) -> float:
    """Return a tree's value where some features are known: elsewhere both ways, weighed by training rows."""
    if "leaf_value" in node:
        return float(node["leaf_value"])
    left, right = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        return expect(left if goes_left(node, row[node["split_feature"]]) else right, row, known)
    share = count_rows(left) / (count_rows(left) + count_rows(right))
    return share * expect(left, row, known) + (1 - share) * expect(right, row, known)


def goes_left(node: Node, value: float) -> bool:
    """Whether a value goes to the left child."""
    if node["decision_type"] == "==":
        return not isnan(value) and int(value) in {int(part) for part in node["threshold"].split("||")}
    if isnan(value):
        return bool(node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0)
    return bool(value <= node["threshold"])


def count_rows(node: Node) -> int:
    """Return how many training rows came to a node."""
    return int(node["leaf_count"] if "leaf_value" in node else node["internal_count"])
