"""Masks: which way rows go at the splits of a tree, and the leaf where each of them ends.

A value is replaced once by its place among all thresholds of the model, a code of one byte where that is
enough. What a split says of a row is then one comparison of codes, done for a whole vector of rows at a
time, and one bit: the decisions of a tree are a mask of one bit per split. Rows with the same mask end in
the same leaf and have the same contributions.

A row's leaf is found without walking (QuickScorer: Lucchese et al., SIGIR 2015, doi:10.1145/2766462.2767733):
each split that sends the row to the right strikes out the leaves to its left, and the first leaf that is
left over is the row's.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from somv_risk.machine_code import compiled
from somv_risk.trees.forest import ZERO, Floats, Forest, Ints, Mask, Trees

Codes = npt.NDArray[Any]  # unsigned, of 8 or 16 bits
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int32]

DECISIONS, EXITS = 0, 1  # what is marked
BYTE: Final = 8
WORD: Final = 64
MOST_LANES: Final = 64  # masks worked at side by side
MOST_FLOWS: Final = 1 << 16  # numbers, which still fit into the processor's second cache
# A word with one bit, times this, has another number in its upper six bits for each place of the bit.
DE_BRUIJN: Final = 0x03F79D71B4CB0A89
_PLACE_OF: Final = np.zeros(WORD, dtype=np.int64)
_PLACE_OF[[(DE_BRUIJN << place) % 2**64 >> 58 for place in range(WORD)]] = np.arange(WORD)


class Room(NamedTuple):
    """Room to work in, for one thread.

    `left` tells of each row whether a split sends it left; `planes` hold eight such bits of each row, `words`
    sixty-four. `slots` is a hash table of the masks in `words`: `different` has a row of each mask, `which`
    the number of each row's mask. `taken` and `flow` are by branch and lane, `if_taken` is by branch.
    """

    left: Bytes
    planes: Bytes
    words: Words
    slots: Places
    different: Places
    which: Places
    taken: Floats
    flow: Floats
    if_taken: Floats


def make_room(forest: Forest, rows: int) -> Room:
    """Make room for some rows of a forest."""
    bits = max(forest.most_splits + 1, forest.width * forest.codes.itemsize * BYTE)
    branches = 2 * forest.most_splits
    lanes = min(max(MOST_FLOWS // branches, 1), MOST_LANES, max(rows, 1))
    return Room(
        left=np.empty(rows, dtype=np.uint8),
        planes=np.empty((-(-(forest.most_splits + 1) // BYTE), rows), dtype=np.uint8),
        words=np.empty((-(-bits // WORD), rows), dtype=np.uint64),
        slots=np.empty(1 << (2 * max(rows, 1) - 1).bit_length(), dtype=np.int32),
        different=np.empty(rows, dtype=np.int32),
        which=np.empty(rows, dtype=np.int32),
        taken=np.empty((branches, lanes)),
        flow=np.empty((branches + 1, lanes)),
        if_taken=np.empty(branches),
    )


@compiled
def code_rows(
    matrix: npt.NDArray[Any],
    is_used: Mask,
    bounds: Ints,
    thresholds: Floats,
    by_category: Mask,
    others: int,
    codes: Codes,
) -> None:
    """Replace values by codes, of the shape (features, rows): 0 for missing, else 1 and the place.

    A category is a whole number, what is behind its point is cut off, and it is its own code; `others`
    stands for those that no split knows, or that are missing.
    """
    for feature in range(len(is_used)):
        if not is_used[feature]:
            continue
        own, first, last = codes[feature], bounds[feature], bounds[feature + 1]
        zero = 1 + find_place(thresholds, first, last, 0.0)
        for r in range(len(own)):
            value = np.float64(matrix[r, feature])
            if by_category[feature]:
                own[r] = int(value) if -1.0 < value < others else others
            elif abs(value) <= ZERO:  # by far the commonest
                own[r] = zero
            elif np.isnan(value):
                own[r] = 0
            else:
                own[r] = 1 + find_place(thresholds, first, last, value)


@compiled
def find_place(thresholds: Floats, first: int, last: int, value: float) -> int:
    """Count the thresholds below a value, by halving and without a branch that would have to be guessed."""
    place, left = first, last - first
    while left > 0:
        half = (left + 1) // 2
        place += half * int(thresholds[place + half - 1] < value)
        left -= half
    return place - first


@compiled
def pack(planes: Bytes, words: Words) -> None:
    """Pack planes into words, eight into each, the first one lowest."""
    words[:] = 0
    for p in range(len(planes)):
        shift = np.uint64(8 * (p % 8))
        for r in range(planes.shape[1]):
            words[p // 8, r] |= np.uint64(planes[p, r]) << shift


@compiled
def mark(codes: Codes, trees: Trees, tree: int, what: int, room: Room) -> Words:
    """Mark at which splits of a tree each row goes left, or which of its leaves are not struck out.

    Of decisions, bit s is that of split s; of exits, the lowest bit is the leaf where the row ends.
    """
    first, last = trees.split_offsets[tree], trees.split_offsets[tree + 1]
    bits = last - first if what == DECISIONS else trees.leaf_offsets[tree + 1] - trees.leaf_offsets[tree]
    planes, words, left = room.planes[: (bits + 7) // 8], room.words[: (bits + 63) // 64], room.left
    planes[:] = 0 if what == DECISIONS else 255
    for split in range(first, last):
        feature, category, turned = trees.feature[split], trees.category[split], trees.turned[split]
        if category >= 0:
            for r in range(len(left)):
                left[r] = trees.sets[category, codes[feature, r]]
        else:
            # Below the lowest code, the difference wraps around and is large.
            lowest = codes.dtype.type(trees.first[split])
            span = codes.dtype.type(trees.last[split] - trees.first[split])
            for r in range(len(left)):
                left[r] = codes.dtype.type(codes[feature, r] - lowest) <= span
        if turned >= 0:
            for r in range(len(left)):
                left[r] ^= np.uint8(codes[feature, r] == turned)
        if what == DECISIONS:
            p, bit = (split - first) // 8, (split - first) % 8
            for r in range(len(left)):
                planes[p, r] |= np.uint8(left[r] << bit)
        else:
            strike_out(trees.leaf_from[split], trees.leaf_to[split], left, planes)
    pack(planes, words)
    return words


@compiled
def strike_out(leaf_from: int, leaf_to: int, left: Bytes, planes: Bytes) -> None:
    """Strike out some leaves for the rows that do not go left."""
    for p in range(leaf_from // 8, (leaf_to + 7) // 8):
        struck = (1 << min(leaf_to - 8 * p, 8)) - (1 << max(leaf_from - 8 * p, 0))
        kept = np.uint8(255 - struck)
        for r in range(len(left)):
            planes[p, r] &= kept | np.uint8(-left[r])


@compiled
def score_forest(codes: Codes, trees: Trees, room: Room, raw: Floats) -> None:
    """Add to each row's raw score the leaf of each tree, one tree after the other as LightGBM does."""
    for tree in range(len(trees.split_offsets) - 1):
        words = mark(codes, trees, tree, EXITS, room)
        leaf_value = trees.leaf_value[trees.leaf_offsets[tree] : trees.leaf_offsets[tree + 1]]
        for r in range(len(raw)):
            w = 0
            while words[w, r] == 0:
                w += 1
            lowest = words[w, r] & (~words[w, r] + np.uint64(1))
            raw[r] += leaf_value[64 * w + _PLACE_OF[(lowest * np.uint64(DE_BRUIJN)) >> np.uint64(58)]]


@compiled
def find_different(words: Words, room: Room) -> int:
    """Find the different masks: how many there are, `room.different` and `room.which`."""
    slots = room.slots
    slots[:] = -1
    found = 0
    limit = np.uint64(len(slots) - 1)
    for r in range(words.shape[1]):
        hashed = np.uint64(0)
        for w in range(words.shape[0]):
            hashed = (hashed ^ words[w, r]) * np.uint64(0x9E3779B97F4A7C15)
            hashed ^= hashed >> np.uint64(29)
        slot = hashed & limit
        while True:
            number = slots[slot]
            if number < 0:
                slots[slot] = found
                room.different[found] = r
                room.which[r] = found
                found += 1
                break
            is_same = True
            for w in range(words.shape[0]):
                is_same &= words[w, r] == words[w, room.different[number]]
            if is_same:
                room.which[r] = number
                break
            slot = (slot + np.uint64(1)) & limit
    return found


def find_different_rows(codes: Codes, is_used: Mask, room: Room) -> int:
    """Find the rows that differ in any code, as `find_different` finds masks."""
    used = codes[is_used]
    planes = used if used.itemsize == 1 else np.concatenate([used, used >> BYTE]).astype(np.uint8)
    words = room.words[: -(-len(planes) // (WORD // BYTE))]
    pack(planes, words)
    return int(find_different(words, room))
