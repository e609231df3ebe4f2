"""Shapley values of trees, exact and path-dependent, by quadrature over decision masks.

**What is computed.** For a row, feature j gets its Shapley value in the game whose value for a set S of
known features is the tree's expectation when splits on features outside S send the row both ways, in
proportion to the training rows that went there (Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9;
LightGBM's `pred_contrib` gives the same numbers).

**The formula.** On the path to a leaf with value v lie d different features. Feature i has a ratio r_i (the
share of the training rows that took the path at all splits on i) and o_i, 1 if the row takes the path at
all these splits and 0 otherwise. With S known, the leaf is worth v prod_{i in S} o_i prod_{i not in S} r_i.
Averaging what j adds over the order in which features become known, with z the moment at which j does:

    phi_j = v (o_j - r_j) integral_0^1 prod_{i != j} f_i(z) dz,    f_i(z) = r_i (1 - z) + o_i z.

**Why the quadrature is exact.** The integrand is a polynomial of degree d - 1 in z, and Gauss-Legendre
quadrature with n nodes is exact up to degree 2 n - 1: ceil(d / 2) nodes are enough.

**How a tree is walked.** At a node z of the quadrature, let F be the product of all f_i of a leaf. Then
phi_j is the sum over leaves of v F (o_j - r_j) / f_j. Going down, each branch multiplies by its feature's f
(divided by the f of an earlier branch on the same feature, which it replaces); going up, the v F of the
leaves below are added. At each branch that sum, times (o - r) / f (less that of the earlier branch), is what
its feature gets: two passes over the branches for each node, however many features a path has.

**Why it is fast.** The value depends on the row only through the o_i, so through the splits at which it goes
left: a mask of one bit per split. Rows with the same mask in a tree have the same values there, and the
rows of a population share most of their masks. With m different masks the cost of a tree is
O(splits rows + splits d m), and one addition per row and feature of the tree.

**Related.** Quadrature-TreeSHAP (Wettenstein et al. 2026, arXiv:2605.04497) and QuadraSHAP (2026,
arXiv:2605.05870) published this integral and its ceil(d / 2) nodes, row by row; Linear TreeSHAP (Yu et al.
2022, arXiv:2209.08192) uses the same polynomials, GPUTreeShap (Mitchell et al. 2022,
doi:10.7717/peerj-cs.880) merges the splits on one feature, Woodelf (arXiv:2511.09376) works out the patterns
of a leaf once for all rows.
"""

from typing import NamedTuple

import numpy as np

from somv_risk.machine_code import compiled
from somv_risk.trees.forest import Floats, Ints, Trees
from somv_risk.trees.masks import DECISIONS, Codes, Places, Room, Words, find_different, mark


class Nodes(NamedTuple):
    """Nodes and weights of quadratures on [0, 1]: row n has those of n nodes."""

    at: Floats
    weight: Floats


class Columns(NamedTuple):
    """What contributions are added up into: `listed` are the columns that a tree has any for.

    `local` says which of its tree's columns the feature of a split belongs to.
    """

    local: Ints
    offsets: Ints
    listed: Ints


def list_nodes(most: int) -> Nodes:
    """List the nodes and weights of quadratures of up to so many nodes."""
    at, weight = np.zeros((most + 1, most)), np.zeros((most + 1, most))
    for n in range(1, most + 1):
        points, weights = np.polynomial.legendre.leggauss(n)
        at[n, :n], weight[n, :n] = (points + 1) / 2, weights / 2
    return Nodes(at, weight)


def list_columns(trees: Trees, column_of: Ints) -> Columns:
    """List the columns of each tree; `column_of` says to which one each feature belongs."""
    splits, columns = np.diff(trees.split_offsets), int(column_of.max(initial=0)) + 1
    tree = np.repeat(np.arange(len(splits)), splits)
    pairs, place = np.unique(tree * columns + column_of[trees.feature], return_inverse=True)
    offsets = np.searchsorted(pairs, np.arange(len(splits) + 1) * columns)
    return Columns(place - offsets[tree], offsets, pairs % columns)


@compiled
def explain_forest(
    codes: Codes, trees: Trees, columns: Columns, nodes: Nodes, room: Room, total: Floats, raw: Floats
) -> None:
    """Add to `total`, of the shape (columns, rows), what each tree gives them, and to `raw` the leaves."""
    for tree in range(len(trees.split_offsets) - 1):
        words = mark(codes, trees, tree, DECISIONS, room)
        different = room.different[: find_different(words, room)]
        first, last = columns.offsets[tree], columns.offsets[tree + 1]
        values = np.zeros((last - first, len(different)))
        explain_masks(words, different, trees, tree, columns.local, nodes, room, values)
        for local in range(last - first):
            column = columns.listed[first + local]
            for r in range(len(raw)):
                total[column, r] += values[local, room.which[r]]
        leaves = np.empty(len(different))
        for m in range(len(different)):
            leaves[m] = find_leaf(words, different[m], trees, tree)
        for r in range(len(raw)):
            raw[r] += leaves[room.which[r]]


@compiled
def find_leaf(words: Words, row: int, trees: Trees, tree: int) -> float:
    """Find the value of the leaf where a row ends, by its decisions."""
    first = trees.split_offsets[tree]
    split = 0 if trees.split_offsets[tree + 1] > first else -1
    while split >= 0:
        goes_left = words[split // 64, row] >> np.uint64(split % 64) & np.uint64(1)
        split = trees.child[2 * (first + split) + 1 - int(goes_left)]
    value: float = trees.leaf_value[trees.leaf_offsets[tree] - 1 - split]
    return value


@compiled
def explain_masks(
    words: Words,
    different: Places,
    trees: Trees,
    tree: int,
    local: Ints,
    nodes: Nodes,
    room: Room,
    values: Floats,
) -> None:
    """Add what each mask of a tree is worth to `values`, of the shape (columns of the tree, masks)."""
    n, lanes = trees.nodes[tree], room.taken.shape[1]
    for start in range(0, len(different), lanes):
        rows = different[start : start + lanes]
        take(words, rows, trees, tree, room.taken)
        for k in range(n):
            z = nodes.at[n, k]
            if len(rows) == 1:  # known when it is compiled, this makes one row twice as fast
                descend(trees, tree, z, nodes.weight[n, k], 1, room)
                ascend(trees, tree, z, local, start, 1, room, values)
            else:
                descend(trees, tree, z, nodes.weight[n, k], len(rows), room)
                ascend(trees, tree, z, local, start, len(rows), room, values)


@compiled
def take(words: Words, rows: Places, trees: Trees, tree: int, taken: Floats) -> None:
    """Tell of each branch whether a row takes it and all earlier ones on its feature: 1, or else 0."""
    first = trees.split_offsets[tree]
    for split in range(trees.split_offsets[tree + 1] - first):
        left, right, earlier = 2 * split, 2 * split + 1, trees.earlier[first + split]
        for m in range(len(rows)):
            was_taken = taken[earlier, m] if earlier >= 0 else 1.0
            bit = words[split // 64, rows[m]] >> np.uint64(split % 64) & np.uint64(1)
            taken[left, m] = was_taken * np.float64(bit)
            taken[right, m] = was_taken - taken[left, m]


@compiled
def descend(trees: Trees, tree: int, z: float, weight: float, lanes: int, room: Room) -> None:
    """Multiply, on the way down to each branch, the f of all features there, and the weight of the node."""
    taken, flow = room.taken, room.flow
    first, root = trees.split_offsets[tree], len(flow) - 1
    flow[root] = weight
    for split in range(trees.split_offsets[tree + 1] - first):
        earlier, above = trees.earlier[first + split], trees.into[first + split]
        if above < 0:
            above = root
        for branch in range(2 * split, 2 * split + 2):
            ratio = trees.ratio[2 * first + branch]
            missed = ratio * (1 - z)
            if earlier < 0:
                for m in range(lanes):
                    flow[branch, m] = flow[above, m] * (missed + taken[branch, m] * z)
            else:
                # f is missed + taken z; that of the earlier branch, by which it is divided, has two cases.
                before = trees.ratio[2 * first + earlier]
                if_taken = 1 / (before * (1 - z) + z)
                if_missed = ratio / before if before > 0 else 0.0
                for m in range(lanes):
                    both = (missed + taken[branch, m] * z) * if_taken
                    flow[branch, m] = flow[above, m] * (if_missed + taken[earlier, m] * (both - if_missed))


@compiled
def ascend(
    trees: Trees, tree: int, z: float, local: Ints, start: int, lanes: int, room: Room, values: Floats
) -> None:
    """Add up what flows from the leaves, and give each feature its part of it at each of its branches."""
    taken, flow, if_taken, if_missed = room.taken, room.flow, room.if_taken, -1 / (1 - z)
    first, first_leaf = trees.split_offsets[tree], trees.leaf_offsets[tree]
    splits = trees.split_offsets[tree + 1] - first
    for branch in range(2 * splits):  # what (o - r) / f is
        ratio = trees.ratio[2 * first + branch]
        if_taken[branch] = (1 - ratio) / (ratio * (1 - z) + z)
    for split in range(splits - 1, -1, -1):
        earlier, column = trees.earlier[first + split], local[first + split]
        for branch in range(2 * split, 2 * split + 2):
            child, more = trees.child[2 * first + branch], if_taken[branch] - if_missed
            if child < 0:
                value = trees.leaf_value[first_leaf - 1 - child]
                for m in range(lanes):
                    flow[branch, m] *= value
            else:
                for m in range(lanes):
                    flow[branch, m] = flow[2 * child, m] + flow[2 * child + 1, m]
            if earlier < 0:
                for m in range(lanes):
                    values[column, start + m] += flow[branch, m] * (if_missed + taken[branch, m] * more)
            else:
                less = if_missed - if_taken[earlier]
                for m in range(lanes):
                    share = taken[earlier, m] * less + taken[branch, m] * more
                    values[column, start + m] += flow[branch, m] * share
