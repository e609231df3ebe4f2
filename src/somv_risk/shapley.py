"""Shapley values of trees, exact and path-dependent, by quadrature over decision masks.

**What is computed.** For a row, feature j gets its Shapley value in the game whose value for a set S of
known features is the tree's expectation when splits on features outside S send the row both ways, in
proportion to the training rows that went there (Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9;
LightGBM's `pred_contrib` gives the same numbers).

**The formula.** On the path to a leaf with value v lie d different features. Feature i has a ratio r_i (the
share of the training rows that took the path at all splits on i) and o_i, 1 if the row takes the path at
all these splits and 0 otherwise. With S known, the leaf is worth v prod_{i in S} o_i prod_{i not in S} r_i.
Averaging what j adds over the order in which features become known, with z the moment at which j does:

    phi_j = v (o_j - r_j) integral_0^1 prod_{i != j} (r_i (1 - z) + o_i z) dz.

**Why the quadrature is exact.** The integrand is a polynomial of degree d - 1 in z, and Gauss-Legendre
quadrature with n nodes is exact up to degree 2n - 1: ceil(d / 2) nodes are enough.

**Why it is fast.** The value depends on the row only through the o_i, so through the splits at which it goes
left: a mask of one bit per split. Rows with the same mask in a tree have the same values there, and the
rows of a population share most of their masks. What a pattern of the o_i is worth at a leaf is kept.
With m different masks per tree the cost is O(trees (splits rows + leaves d m)), and one addition per row
and feature of the tree.

**Related.** Linear TreeSHAP (Yu et al. 2022, arXiv:2209.08192) uses the same polynomials, GPUTreeShap
(Mitchell et al. 2022, doi:10.7717/peerj-cs.880) merges the splits on one feature, Woodelf shares masks.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from somv_risk.forest import Floats, Ints, Mask, Trees, Words
from somv_risk.machine_code import compiled

MOST_TABULATED: Final = 8  # features on a path; of more, each pattern that occurs is worked out
ZERO: Final = float(np.float32(1e-35))  # LightGBM takes what lies this near to zero for zero

Codes = npt.NDArray[np.uint16]


def list_nodes(most: int) -> tuple[Floats, Floats]:
    """List nodes and weights on [0, 1]; row n is of n nodes, padded with weight 0."""
    nodes, weights = np.zeros((most + 1, most)), np.zeros((most + 1, most))
    for n in range(1, most + 1):
        points, weight = np.polynomial.legendre.leggauss(n)
        nodes[n, :n], weights[n, :n] = (points + 1) / 2, weight / 2
    return nodes, weights


@compiled
def code_rows(
    matrix: npt.NDArray[Any], bounds: Ints, thresholds: Floats, by_category: Mask, others: int, codes: Codes
) -> None:
    """Replace values by their places among the thresholds; `codes` has the shape (features, rows).

    A value that is not known has the first code behind the places, zero the one after it. A category is
    a whole number, what is behind its point is cut off, and it is its own code; `others` stands for those
    that no split knows, or that are not known.
    """
    for feature in range(len(by_category)):
        first, last = bounds[feature], bounds[feature + 1]
        if first == last and not by_category[feature]:
            continue
        own = codes[feature]
        for r in range(len(own)):
            value = np.float64(matrix[r, feature])
            if by_category[feature]:
                own[r] = np.uint16(value) if -1.0 < value < others else others
            elif np.isnan(value):
                own[r] = last - first + 1
            elif abs(value) <= ZERO:
                own[r] = last - first + 2
            else:
                own[r] = np.searchsorted(thresholds[first:last], value)


@compiled
def fill_masks(codes: Codes, missing: Ints, trees: Trees, tree: int, masks: Words) -> None:
    """Fill in, for each row, at which splits of a tree it goes left; `masks` has the shape (words, rows)."""
    masks[:] = 0
    first = trees.split_offsets[tree]
    for s in range(first, trees.split_offsets[tree + 1]):
        feature, bit = trees.feature[s], np.uint64((s - first) % 64)
        own, word = codes[feature], masks[(s - first) // 64]
        if trees.category[s] >= 0:
            goes_left = trees.sets[trees.category[s]]
            for r in range(len(word)):
                word[r] |= np.uint64(goes_left[own[r]]) << bit
        else:
            last, is_missing = np.uint16(trees.place[s]), np.uint16(missing[feature])
            is_zero = np.uint16(missing[feature] + 1)
            if_missing, if_zero = trees.left_if_missing[s], trees.left_if_zero[s]
            for r in range(len(word)):
                known = own[r] <= last
                unknown = ((own[r] == is_missing) & if_missing) | ((own[r] == is_zero) & if_zero)
                word[r] |= np.uint64(known | unknown) << bit


@compiled
def find_different(masks: Words, slots: Ints, different: Ints, which: Ints) -> int:
    """Find the different masks: `different` lists a row of each, `which` the number of each row's mask.

    `slots` is room for a hash table whose size is a power of two above the number of rows.
    """
    slots[:] = -1
    found = 0
    limit = np.uint64(len(slots) - 1)
    for r in range(masks.shape[1]):
        hashed = np.uint64(0)
        for w in range(masks.shape[0]):
            hashed = (hashed ^ masks[w, r]) * np.uint64(0x9E3779B97F4A7C15)
            hashed ^= hashed >> np.uint64(29)
        slot = hashed & limit
        while True:
            number = slots[slot]
            if number < 0:
                slots[slot] = found
                different[found] = r
                which[r] = found
                found += 1
                break
            is_same = True
            for w in range(masks.shape[0]):
                is_same &= masks[w, r] == masks[w, different[number]]
            if is_same:
                which[r] = number
                break
            slot = (slot + np.uint64(1)) & limit
    return found


@compiled
def explain_masks(
    masks: Words, different: Ints, trees: Trees, tree: int, nodes: Floats, weights: Floats, values: Floats
) -> None:
    """Add what each different mask of a tree is worth; `values` has the shape (masks, features of the tree).

    What a pattern of steps taken is worth at a leaf is worked out where it is first met, and kept.
    """
    most = 2 * nodes.shape[1]
    taken, shares, before = np.empty(most, np.bool_), np.empty(most), np.empty(most + 1)
    table = np.empty((1 << MOST_TABULATED, MOST_TABULATED))
    is_known = np.empty(1 << MOST_TABULATED, np.bool_)
    for leaf in range(trees.leaf_offsets[tree], trees.leaf_offsets[tree + 1]):
        first, last = trees.step_offsets[leaf], trees.step_offsets[leaf + 1]
        ratio, local = trees.ratio[first:last], trees.local[first:last]
        select, want = trees.select[first:last], trees.want[first:last]
        is_tabulated = len(ratio) <= MOST_TABULATED
        is_known[:] = False
        for m in range(len(different)):
            pattern = find_taken(masks, different[m], select, want, taken)
            share = table[pattern] if is_tabulated else shares
            if not is_tabulated or not is_known[pattern]:
                integrate(ratio, taken, nodes, weights, before, share)
                for j in range(len(ratio)):
                    share[j] *= trees.leaf_value[leaf] * (taken[j] - ratio[j])
                if is_tabulated:
                    is_known[pattern] = True
            for j in range(len(ratio)):
                values[m, local[j]] += share[j]


@compiled
def find_taken(masks: Words, row: int, select: Words, want: Words, taken: Mask) -> int:
    """Find which steps of a path the row takes, and the pattern they make, one bit each."""
    pattern = 0
    for j in range(len(select)):
        taken[j] = True
        for w in range(len(masks)):
            taken[j] &= (masks[w, row] ^ want[j, w]) & select[j, w] == 0
        pattern |= int(taken[j]) << j
    return pattern


@compiled
def integrate(
    ratio: Floats, taken: Mask, nodes: Floats, weights: Floats, before: Floats, shares: Floats
) -> None:
    """Integrate, for each step, the product over all other steps; `before` is room to work in."""
    d = len(ratio)
    n = (d + 1) // 2
    shares[:d] = 0.0
    for k in range(n):
        z = nodes[n, k]
        before[0] = weights[n, k]
        for j in range(d):
            before[j + 1] = before[j] * (ratio[j] * (1.0 - z) + taken[j] * z)
        after = 1.0
        for j in range(d - 1, -1, -1):
            shares[j] += before[j] * after
            after *= ratio[j] * (1.0 - z) + taken[j] * z


@compiled
def explain_forest(
    codes: Codes, missing: Ints, trees: Trees, nodes: Floats, weights: Floats, total: Floats
) -> None:
    """Add to `total`, of shape (rows, features), what each tree gives to the features of each row."""
    rows = codes.shape[1]
    masks = np.empty((trees.select.shape[1], rows), np.uint64)
    size = 2
    while size < 2 * rows:
        size *= 2
    slots, different, which = np.empty(size, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    for tree in range(len(trees.split_offsets) - 1):
        splits = trees.split_offsets[tree + 1] - trees.split_offsets[tree]
        of_tree = masks[: (splits + 63) // 64]
        fill_masks(codes, missing, trees, tree, of_tree)
        found = find_different(of_tree, slots, different, which)
        features = trees.local_feature[trees.local_offsets[tree] : trees.local_offsets[tree + 1]]
        values = np.zeros((found, len(features)))
        explain_masks(of_tree, different[:found], trees, tree, nodes, weights, values)
        for r in range(rows):
            own = values[which[r]]
            for k in range(len(features)):
                total[r, features[k]] += own[k]
