"""Events: those of one kind, seen from many index moments at once, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.features._kinds import Anchor
from somv_risk.features._loops import NO_VALUE, Integers, Mask, Moments, Places
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import AT_THE_INDEX, MOMENT

START_AGE: Final = "start_age"
END_AGE: Final = "end_age"

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The events that have what a definition asks for: their row numbers (None for all), moments and ages.

    `age` is the length of the shortest window that each lies in, by its start, its end or any part of it.
    """

    rows: Places | None
    moment: Moments
    age: Integers

    def __len__(self) -> int:
        return len(self.moment)

    def take(self, values: Array) -> Array:
        """Return the chosen entries."""
        return values if self.rows is None else values[self.rows]


class Events:
    """The rows of a view beside each other: row i was seen from moment `moment[i]`, of 0 to `size` - 1.

    Ages are microseconds before the index; an open event reaches to the
    index and ends at age 0. `flags` says what each event is, `values` holds whole numbers (-1 for none) and
    `coded` texts, which can be matched and counted.
    """

    def __init__(
        self,
        size: int,
        moment: Moments,
        start_age: Integers,
        end_age: Integers,
        *,
        flags: Mapping[str, Mask] | None = None,
        values: Mapping[str, Array] | None = None,
        coded: Mapping[str, Coded] | None = None,
    ) -> None:
        self.size = size
        self.moment, self.start_age, self.end_age = moment, start_age, end_age
        self.flags = flags or {}
        self.coded = coded or {}
        self.values = values or {}
        self._chosen: dict[object, Chosen] = {}

    def __len__(self) -> int:
        return len(self.moment)

    def age(self, anchor: Anchor) -> Integers:
        """Return the length of the shortest window that each event lies in, by its start, end or any part.

        A part lies in a window that the event started in, or had not left before it opened.
        """
        if anchor == "part":
            return np.minimum(self.start_age, self.end_age + 1)
        return self.end_age if anchor == "end" else self.start_age

    @cached_property
    def is_open(self) -> Mask:
        """Whether the end is unknown."""
        is_open: Mask = self.end_age == AT_THE_INDEX
        return is_open

    def having(self, flags: tuple[str, ...], match: Mapping[str, tuple[str, ...]] | None = None) -> Mask:
        """Whether each event has all the flags and matches all the texts; none matches nothing."""
        masks = [self.flags[name] for name in flags]
        masks += [match_text(self.coded[column], patterns) for column, patterns in (match or {}).items()]
        if not masks:
            return np.ones(len(self), dtype=np.bool_)
        return masks[0] if len(masks) == 1 else np.logical_and.reduce(masks)

    def choose(
        self,
        flags: tuple[str, ...],
        match: Mapping[str, tuple[str, ...]] | None = None,
        anchor: Anchor = "start",
    ) -> Chosen:
        """Choose the events with the flags and texts; by their end only those whose end is known."""
        asked = (flags, tuple((match or {}).items()), anchor)
        if asked not in self._chosen:
            self._chosen[asked] = self._choose(flags, match, anchor)
        return self._chosen[asked]

    def _choose(
        self, flags: tuple[str, ...], match: Mapping[str, tuple[str, ...]] | None, anchor: Anchor
    ) -> Chosen:
        ages = self.age(anchor)
        if not flags and not match and anchor != "end":
            return Chosen(None, self.moment, ages)
        is_asked = self.having(flags, match)
        rows = np.flatnonzero(is_asked & ~self.is_open if anchor == "end" else is_asked)
        return Chosen(rows, self.moment[rows], ages[rows])

    def to_frame(self) -> pl.DataFrame:
        """Return the events as a frame: `moment`, `start_age`, `end_age` (null while open), and the rest."""
        numbers = {name: coded.codes for name, coded in self.coded.items()} | dict(self.values)
        return pl.DataFrame({MOMENT: self.moment, START_AGE: self.start_age, **self.flags}).with_columns(
            _to_series(END_AGE, self.end_age, AT_THE_INDEX),
            *(_to_series(name, values, NO_VALUE) for name, values in numbers.items()),
        )


def _to_series(name: str, values: Array, none: int) -> pl.Series:
    """Return numbers as a series, one of them as null."""
    series = pl.Series(name, values)
    return series.set(series == none, None)


def match_text(coded: Coded, patterns: tuple[str, ...]) -> Mask:
    """Whether a text is one of the patterns; one that ends in `*` stands for all that begin so."""
    beginnings = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
    whole = {pattern for pattern in patterns if not pattern.endswith("*")}
    matches = [name in whole or name.startswith(beginnings) for name in coded.names]
    return np.array([*matches, False])[coded.codes]  # the last entry is that of no text
