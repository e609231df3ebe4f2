"""Events: those of one kind, seen from many index moments at once, as arrays."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.features._timeline import END_AGE, MOMENT, START_AGE

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

AT_THE_INDEX: Final = 0
NO_VALUE: Final = -1
_VALUE: Final = "value"
_MEASURED: Final = "measured"


class Events:
    """The rows of a view beside each other: row i was seen from moment `moment[i]`, of 0 to `size` - 1.

    Ages are microseconds before the index; an open event reaches to the index and ends at age 0.
    """

    def __init__(self, frame: pl.DataFrame, size: int) -> None:
        self.frame = frame
        self.size = size
        self._flags: dict[str, Mask] = {}
        self._counts: dict[object, tuple[Integers, Integers]] = {}

    def __len__(self) -> int:
        return self.frame.height

    @cached_property
    def moment(self) -> Integers:
        """Number of the moment from which each event was seen."""
        return self.frame[MOMENT].cast(pl.Int64).to_numpy()

    @cached_property
    def start_age(self) -> Integers:
        """Microseconds from the start to the index."""
        return self.frame[START_AGE].to_numpy()

    @cached_property
    def end_age(self) -> Integers:
        """Microseconds from the end to the index; 0 while the end is unknown."""
        return self.frame[END_AGE].fill_null(AT_THE_INDEX).to_numpy()

    def age(self, anchor: str) -> Integers:
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
        """Whether each event has all the flags and matches all the texts; an unknown flag is not had."""
        held = [self._flag(name) for name in flags]
        if match:
            texts = [match_text(column, patterns) for column, patterns in match.items()]
            held.append(_to_mask(self.frame.select(pl.all_horizontal(texts)).to_series()))
        if not held:
            return np.ones(len(self), dtype=np.bool_)
        return held[0] if len(held) == 1 else np.logical_and.reduce(held)

    def _flag(self, name: str) -> Mask:
        if name not in self._flags:
            self._flags[name] = _to_mask(self.frame[name])
        return self._flags[name]

    def value(self, name: str) -> Integers:
        """Return one number per event, -1 where it has none."""
        return self.frame[name].fill_null(NO_VALUE).to_numpy()

    def count_by_value(self, name: str, rows: Integers, asked: object) -> tuple[Integers, Integers]:
        """Count the given events by moment and value: the moments and the numbers, in no order.

        Events without the value are not counted. `asked` says which rows they are, as several measures ask
        for the same.
        """
        if asked not in self._counts:
            found = self._group(name, rows, self.moment[rows], pl.len().cast(pl.Int64))
            self._counts[asked] = found
        return self._counts[asked]

    def find_youngest(self, name: str, rows: Integers, age: Integers) -> tuple[Integers, Integers]:
        """Find the youngest of the given events for each moment and value: the moments and the ages."""
        return self._group(name, rows, age, pl.col(_MEASURED).min())

    def _group(
        self, name: str, rows: Integers, measured: Integers, result: pl.Expr
    ) -> tuple[Integers, Integers]:
        if not len(rows):
            return rows, measured
        chosen = pl.DataFrame(
            {MOMENT: self.moment[rows], _VALUE: self.frame[name].gather(rows), _MEASURED: measured}
        )
        groups = (
            chosen.lazy()
            .filter(pl.col(_VALUE).is_not_null())
            .group_by(MOMENT, _VALUE)
            .agg(result.alias(_MEASURED))
            .collect(engine="in-memory")
        )
        return groups[MOMENT].to_numpy(), groups[_MEASURED].to_numpy()


def _to_mask(flags: pl.Series) -> Mask:
    mask: Mask = (flags.fill_null(value=False) if flags.null_count() else flags).to_numpy()
    return mask


def match_text(column: str, patterns: tuple[str, ...]) -> pl.Expr:
    """Whether a text is one of the patterns; one that ends in `*` stands for all that begin so."""
    text = pl.col(column).cast(pl.String)
    beginnings = [text.str.starts_with(pattern[:-1]) for pattern in patterns if pattern.endswith("*")]
    return pl.any_horizontal(text.is_in([p for p in patterns if not p.endswith("*")]), *beginnings)
