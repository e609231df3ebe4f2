"""The forest: the trees of a LightGBM model as arrays, with the path to every leaf.

It is read from the text that LightGBM writes, which is exact and needs no walk through nested nodes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from somv_risk.errors import ModelError

WORD: Final = 64  # decisions per word of a mask
MOST_PLACES: Final = 65_533  # of a feature; a code has 16 bits, and two are kept for zero and not known
_ZERO_MISSING, _NAN_MISSING = 1, 2

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree as LightGBM writes it: node k splits on `feature[k]`, a child below 0 is leaf -1 - child."""

    feature: Ints
    threshold: Floats
    decision: Ints
    left: Ints
    right: Ints
    node_count: Floats
    leaf_value: Floats
    leaf_count: Floats
    set_bounds: Ints
    set_words: Ints


class Trees(NamedTuple):
    """Trees one after the other; each kind of row has an array of offsets, one per tree and one at the end.

    A split sends a row to the left if the row's code of the feature is at most `place`; the codes behind
    the last are those of a missing value and of zero, for which `left_if_missing` and `left_if_zero` say so.
    A split on categories sends those to the left that are in row `category` of `sets` (-1 for others); the
    last column is that of all other categories.
    A step is a feature on the path to a leaf: `select` and `want` are the splits on it and the way they must
    go, `ratio` is the share of the training rows that went there, `local` the feature's number in the tree.
    """

    split_offsets: Ints
    feature: Ints
    place: Ints
    left_if_missing: Mask
    left_if_zero: Mask
    category: Ints
    sets: Mask
    leaf_offsets: Ints
    leaf_value: Floats
    step_offsets: Ints
    ratio: Floats
    local: Ints
    select: Words
    want: Words
    local_offsets: Ints
    local_feature: Ints


@dataclass(frozen=True, slots=True)
class Forest:
    """A model's trees, how many features it has, and its mean raw score.

    The thresholds of feature f, in order, are `thresholds[bounds[f]:bounds[f + 1]]`; `by_category` are the
    features whose values are categories.
    """

    width: int
    base: float
    bounds: Ints
    thresholds: Floats
    by_category: Mask
    trees: Trees

    @property
    def longest_path(self) -> int:
        """The most features on the path to a leaf."""
        return int(np.diff(self.trees.step_offsets).max(initial=1))


def read_forest(text: str) -> Forest:
    """Read the forest of a model in LightGBM's text format.

    Raises
    ------
    ModelError
        If a tree has linear leaves, or the model has several scores per row, or more than 65,533 thresholds
        or categories of one feature.
    """
    header, *blocks = text.split("\nTree=")
    facts = _read_lines(header)
    if facts.get("num_class", "1") != "1" or facts.get("num_tree_per_iteration", "1") != "1":
        raise ModelError("The model has several scores per row. Explain one with a single score.")
    trees = [_read_tree(block) for block in blocks]
    return _build_forest(int(facts["max_feature_idx"]) + 1, trees)


def _read_lines(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _read_tree(block: str) -> Tree:
    facts = _read_lines(block.split("\n\n", 1)[0])
    if facts.get("is_linear", "0") != "0":
        raise ModelError("A leaf has a linear model. Explain a model without linear trees.")

    def read(name: str, kind: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - a NumPy type
        return np.array(facts.get(name, "").split(), dtype=kind)

    return Tree(
        feature=read("split_feature", np.int64),
        threshold=read("threshold", np.float64),
        decision=read("decision_type", np.int64),
        left=read("left_child", np.int64),
        right=read("right_child", np.int64),
        node_count=read("internal_count", np.float64),
        leaf_value=read("leaf_value", np.float64),
        leaf_count=read("leaf_count", np.float64),
        set_bounds=read("cat_boundaries", np.int64),
        set_words=read("cat_threshold", np.int64),
    )


def _build_forest(width: int, trees: list[Tree]) -> Forest:
    grown = [tree for tree in trees if len(tree.feature)]
    feature, threshold = _join(grown, "feature"), _join(grown, "threshold")
    by_category = (_join(grown, "decision") & 1) > 0
    thresholds = [np.unique(threshold[(feature == f) & ~by_category]) for f in range(width)]
    sets = _list_sets([values for tree in grown for values in _read_sets(tree)])
    if max(sets.shape[1], *map(len, thresholds)) > MOST_PLACES:
        raise ModelError(f"A feature has more than {MOST_PLACES:,} thresholds or categories. Use fewer bins.")
    return Forest(
        width=width,
        base=sum(map(_find_expected, trees)),
        bounds=_offset(map(len, thresholds)),
        thresholds=np.concatenate([np.empty(0), *thresholds]),
        by_category=np.isin(np.arange(width), feature[by_category]),
        trees=Trees(**_list_splits(grown, thresholds), sets=sets, **_list_steps(grown)),
    )


def _list_splits(grown: list[Tree], thresholds: list[Floats]) -> dict[str, npt.NDArray[Any]]:
    """List the splits, node by node and tree by tree."""
    feature, threshold, decision = (_join(grown, name) for name in ("feature", "threshold", "decision"))
    by_category, goes_left, missing = (decision & 1) > 0, (decision & 2) > 0, (decision >> 2) & 3
    zero_goes_left = np.where(missing == _ZERO_MISSING, goes_left, threshold >= 0.0)
    places = [np.searchsorted(thresholds[f], t) for f, t in zip(feature, threshold, strict=True)]
    return {
        "split_offsets": _offset(len(tree.feature) for tree in grown),
        "feature": feature,
        "place": np.array(places, dtype=np.int64),
        "left_if_missing": np.where(missing == _NAN_MISSING, goes_left, zero_goes_left),
        "left_if_zero": zero_goes_left,
        "category": np.where(by_category, np.cumsum(by_category) - 1, -1),
    }


def _list_steps(grown: list[Tree]) -> dict[str, npt.NDArray[Any]]:
    """List the leaves, and the steps on the path to each."""
    local = [_number_features(tree) for tree in grown]
    paths = [(own, path) for own, tree in zip(local, grown, strict=True) for path in _list_paths(tree)]
    steps = [step for _, path in paths for step in path.values()]
    words = max((-(-len(tree.feature) // WORD) for tree in grown), default=1)
    return {
        "leaf_offsets": _offset(len(tree.leaf_value) for tree in grown),
        "leaf_value": _join(grown, "leaf_value"),
        "step_offsets": _offset(len(path) for _, path in paths),
        "ratio": np.array([step.ratio for step in steps], dtype=np.float64),
        "local": np.array([own[feature] for own, path in paths for feature in path], dtype=np.int64),
        "select": _to_words([step.select for step in steps], words),
        "want": _to_words([step.want for step in steps], words),
        "local_offsets": _offset(map(len, local)),
        "local_feature": np.array([feature for own in local for feature in own], dtype=np.int64),
    }


def _number_features(tree: Tree) -> dict[int, int]:
    """Number the features of a tree from 0."""
    return {feature: number for number, feature in enumerate(np.unique(tree.feature).tolist())}


class Step(NamedTuple):
    """A feature on a path: its splits there and the way they go, one bit each, and the share that goes so."""

    select: int = 0
    want: int = 0
    ratio: float = 1.0


def _list_paths(tree: Tree) -> list[dict[int, Step]]:
    """List the path to each leaf, step by feature."""
    found = dict(_walk(tree))
    return [found[leaf] for leaf in range(len(tree.leaf_value))]


def _walk(tree: Tree) -> Iterator[tuple[int, dict[int, Step]]]:
    """Walk to every leaf."""
    waiting: list[tuple[int, dict[int, Step]]] = [(0, {})]
    while waiting:
        node, path = waiting.pop()
        if node < 0:
            yield -1 - node, path
            continue
        feature = int(tree.feature[node])
        step = path.get(feature, Step())
        for child, is_left in ((int(tree.left[node]), 1), (int(tree.right[node]), 0)):
            count = tree.node_count[child] if child >= 0 else tree.leaf_count[-1 - child]
            ratio = step.ratio * float(count / tree.node_count[node])
            further = Step(step.select | 1 << node, step.want | is_left << node, ratio)
            waiting.append((child, {**path, feature: further}))


def _read_sets(tree: Tree) -> Iterator[list[int]]:
    """Read the categories that each split on categories sends to the left."""
    for number in tree.threshold[(tree.decision & 1) > 0].astype(np.int64).tolist():
        words = tree.set_words[tree.set_bounds[number] : tree.set_bounds[number + 1]].tolist()
        yield [32 * place + bit for place, word in enumerate(words) for bit in range(32) if word >> bit & 1]


def _list_sets(listed: list[list[int]]) -> Mask:
    most = max((value for values in listed for value in values), default=-1)
    sets = np.zeros((len(listed), most + 2), dtype=np.bool_)
    for row, values in enumerate(listed):
        sets[row, values] = True
    return sets


def _find_expected(tree: Tree) -> float:
    if not len(tree.feature):
        return float(tree.leaf_value[0])
    return float(tree.leaf_value @ tree.leaf_count / tree.leaf_count.sum())


def _offset(lengths: Iterable[int]) -> Ints:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _join(grown: list[Tree], name: str) -> npt.NDArray[Any]:
    """Join one kind of rows of all trees."""
    kind = np.float64 if name in {"threshold", "leaf_value"} else np.int64
    return np.concatenate([np.empty(0, dtype=kind), *(getattr(tree, name) for tree in grown)])


def _to_words(masks: list[int], words: int) -> Words:
    lowest = (1 << WORD) - 1
    listed = [[mask >> (WORD * word) & lowest for word in range(words)] for mask in masks]
    return np.array(listed, dtype=np.uint64).reshape(-1, words)
