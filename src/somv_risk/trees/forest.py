"""The forest: the trees of a LightGBM model as arrays, with what lies above and below every split.

It is read from the text that LightGBM writes, which is exact and needs no walk through nested nodes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from somv_risk.errors import ModelError

MOST_PLACES: Final = 65_533  # of a feature; a code has 16 bits, and the first one is kept for what is missing
ZERO: Final = float(np.float32(1e-35))  # LightGBM takes what lies this near to zero for zero
NONE: Final = -1
PROBES: Final = 256
_ZERO_MISSING, _NAN_MISSING = 1, 2

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class UnsupportedForestError(ModelError):
    """The trees are sound, but not of the kind that can be laid out as arrays here."""


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

    A split sends a row to the left if the row's code of `feature` lies from `first` to `last`, and a row
    with the code `turned` the other way than that. A split on categories sends those to the left that are in
    row `category` of `sets`, whose last column is that of all other categories. -1 stands for none.

    From split s, branch 2 s goes left and branch 2 s + 1 right; a `child` below 0 is leaf -1 - child.
    `into` is the branch that leads to a split, `earlier` the last one before it that splits on the same
    feature. `ratio` is the share of the training rows that went this way at all splits on the feature so far.
    Leaves are numbered from left to right: those to the left of a split are `leaf_from` to `leaf_to` - 1.
    Splits, branches and leaves are numbered anew in each tree. `nodes` is how many a quadrature needs.
    """

    split_offsets: Ints
    feature: Ints
    first: Ints
    last: Ints
    turned: Ints
    category: Ints
    sets: Mask
    into: Ints
    earlier: Ints
    leaf_from: Ints
    leaf_to: Ints
    child: Ints
    ratio: Floats
    leaf_offsets: Ints
    leaf_value: Floats
    nodes: Ints


@dataclass(frozen=True, slots=True)
class Forest:
    """A model's trees, how many features it has, and its mean raw score.

    The thresholds of feature f, in order, are `thresholds[bounds[f]:bounds[f + 1]]`; `by_category` are the
    features whose values are categories, `is_used` those that any tree splits on. `codes` is the smallest
    type that holds every code; the largest tree has `most_splits`.
    """

    width: int
    base: float
    bounds: Ints
    thresholds: Floats
    by_category: Mask
    is_used: Mask
    codes: np.dtype[np.unsignedinteger[Any]]
    most_splits: int
    trees: Trees


def read_forest(text: str) -> Forest:
    """Read the forest of a model in LightGBM's text format.

    Raises
    ------
    ModelError
        If a tree has linear leaves, or the model has no trees or several scores per row.
    UnsupportedForestError
        If a feature has more than 65,533 thresholds, or a category of a higher number.
    """
    header, *blocks = text.split("\nTree=")
    if not blocks:
        raise ModelError("The model has no trees. Train it first.")
    facts = _read_lines(header)
    if facts.get("num_class", "1") != "1" or facts.get("num_tree_per_iteration", "1") != "1":
        raise ModelError("The model has several scores per row. Explain one with a single score.")
    trees = [_read_tree(block) for block in blocks]
    return _build_forest(int(facts["max_feature_idx"]) + 1, trees)


def draw_probes(forest: Forest) -> Floats:
    """Draw rows that lie on the thresholds of a forest, right beside them, at zero, or are missing."""
    random = np.random.default_rng(0)
    rows = np.zeros((PROBES, forest.width))
    for feature in range(forest.width):
        own = forest.thresholds[forest.bounds[feature] : forest.bounds[feature + 1]]
        if forest.by_category[feature]:
            own = np.arange(forest.trees.sets.shape[1] + 1.0)
        edges = np.concatenate([[0.0, np.nan], own, np.nextafter(own, np.inf)])
        rows[:, feature] = random.choice(edges, PROBES)
    return rows


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
    feature, threshold, decision = (_join(trees, name) for name in ("feature", "threshold", "decision"))
    by_category, missing = (decision & 1) > 0, (decision >> 2) & 3
    thresholds = [
        _list_thresholds(threshold[own := (feature == f) & ~by_category], missing[own]) for f in range(width)
    ]
    sets = _list_sets([values for tree in trees for values in _read_sets(tree)])
    most_codes = max([sets.shape[1], *(len(own) + 2 for own in thresholds)])
    if most_codes > MOST_PLACES + 2:
        raise UnsupportedForestError(
            f"A feature has more than {MOST_PLACES:,} thresholds, or a higher category. Use fewer bins."
        )
    places = _place(feature, threshold, decision, thresholds)
    return Forest(
        width=width,
        base=sum(map(_find_expected, trees)),
        bounds=_offset(map(len, thresholds)),
        thresholds=np.concatenate([np.empty(0), *thresholds]),
        by_category=np.isin(np.arange(width), feature[by_category]),
        is_used=np.isin(np.arange(width), feature),
        codes=np.dtype(np.uint8 if most_codes <= 1 << 8 else np.uint16),
        most_splits=max([1, *(len(tree.feature) for tree in trees)]),
        trees=Trees(feature=feature, sets=sets, **places, **_lay_out(trees)),
    )


def _lay_out(trees: list[Tree]) -> dict[str, npt.NDArray[Any]]:
    """Lay the splits and leaves of all trees out, one tree after the other."""
    splits = [_list_splits(tree) for tree in trees]
    return {
        "split_offsets": _offset(len(tree.feature) for tree in trees),
        "leaf_offsets": _offset(len(tree.leaf_value) for tree in trees),
        **{name: np.concatenate([own[name] for own in splits]) for name in splits[0]},
    }


def _list_thresholds(of_splits: Floats, missing: Ints) -> Floats:
    """List the thresholds of a feature; where zero is taken for missing, zero has a place of its own."""
    if (missing == _ZERO_MISSING).any():
        of_splits = np.append(of_splits, [np.nextafter(-ZERO, -1.0), ZERO])
    return np.unique(of_splits)


def _place(
    feature: Ints, threshold: Floats, decision: Ints, thresholds: list[Floats]
) -> dict[str, npt.NDArray[Any]]:
    """Say of each split which codes go left: 0 is missing, 1 the place up to the first threshold."""
    by_category, goes_left, missing = (decision & 1) > 0, (decision & 2) > 0, (decision >> 2) & 3
    zero_is_below = threshold >= 0.0
    missing_goes_left = np.where(missing == 0, zero_is_below, goes_left)
    found = zip(feature, threshold, strict=True)
    last = np.array([np.searchsorted(thresholds[f], t) + 1 for f, t in found], dtype=np.int64)
    zero = np.array([np.searchsorted(thresholds[f], 0.0) + 1 for f in feature], dtype=np.int64)
    is_turned = (missing == _ZERO_MISSING) & (goes_left != zero_is_below) & ~by_category
    return {
        "first": np.where(missing_goes_left, 0, 1),
        "last": last,
        "turned": np.where(is_turned, zero, NONE),
        "category": np.where(by_category, np.cumsum(by_category) - 1, NONE),
    }


def _list_splits(tree: Tree) -> dict[str, npt.NDArray[Any]]:
    """List what lies above and below each split, and the leaves from left to right."""
    splits = len(tree.feature)
    children = np.stack([tree.left, tree.right], axis=1)
    if not (children > np.arange(splits)[:, None])[children >= 0].all():
        raise UnsupportedForestError("A split stands before the one above it. Write the model with LightGBM.")
    into, earlier, ratio, longest = _follow_branches(tree, children.tolist())
    leaf_from, leaf_to, order = _order_leaves(children.tolist())
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    leaves = children < 0
    children[leaves] = -1 - rank[-1 - children[leaves]]
    return {
        "into": into,
        "earlier": earlier,
        "leaf_from": leaf_from,
        "leaf_to": leaf_to,
        "child": children.ravel(),
        "ratio": ratio,
        "leaf_value": tree.leaf_value[order],
        "nodes": np.array([(longest + 1) // 2], dtype=np.int64),
    }


def _follow_branches(tree: Tree, children: list[list[int]]) -> tuple[Ints, Ints, Floats, int]:
    """Follow the branches down: what leads to each split, and how many features lie on the longest path."""
    into, earlier = np.full(len(children), NONE), np.full(len(children), NONE)
    ratio, longest = np.ones(2 * len(children)), 1
    latest: list[dict[int, int]] = [{} for _ in children]  # branch by feature, above each split
    for split, feature in enumerate(tree.feature.tolist()):
        above = latest[split]
        earlier[split] = above.get(feature, NONE)
        so_far = ratio[earlier[split]] if feature in above else 1.0
        for branch, child in enumerate(children[split], 2 * split):
            count = tree.node_count[child] if child >= 0 else tree.leaf_count[-1 - child]
            ratio[branch] = so_far * (count / tree.node_count[split])
            if child >= 0:
                into[child], latest[child] = branch, {**above, feature: branch}
            else:
                longest = max(longest, len(above.keys() | {feature}))
    return into, earlier, ratio, longest


def _order_leaves(children: list[list[int]]) -> tuple[Ints, Ints, Ints]:
    """Order the leaves from left to right: from which to which lie left of each split, and which they are."""
    leaf_from, leaf_to = np.zeros(len(children), dtype=np.int64), np.zeros(len(children), dtype=np.int64)
    order: list[int] = []
    waiting = [(0, False)] if children else [(-1, False)]
    while waiting:
        split, is_left_done = waiting.pop()
        if split < 0:
            order.append(-1 - split)
        elif is_left_done:
            leaf_to[split] = len(order)
            waiting.append((children[split][1], False))
        else:
            leaf_from[split] = len(order)
            waiting += [(split, True), (children[split][0], False)]
    return leaf_from, leaf_to, np.array(order, dtype=np.int64)


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
