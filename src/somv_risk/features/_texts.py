"""Texts: what a register writes out, as numbers while it is worked with."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.features._loops import NO_VALUE, Codes
from somv_risk.registers import schema as s


@dataclass(frozen=True, slots=True)
class Coded:
    """Texts as numbers: the position of each in `names`, -1 for none."""

    codes: Codes
    names: Sequence[Any] | pl.Series

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: npt.NDArray[Any]) -> "Coded":
        """Return the texts of some rows."""
        return Coded(self.codes[rows], self.names)

    def list_texts(self) -> list[str | None]:
        """List the texts themselves."""
        names = [*self.names, None]  # the last entry is that of none
        return [names[code] for code in self.codes.tolist()]

    def are(self, *values: str) -> npt.NDArray[np.bool_]:
        """Whether each text is one of the values; none is none of them."""
        found = np.zeros(len(self.codes), dtype=np.bool_)
        for code, name in enumerate(self.names):
            if name in values:
                found |= self.codes == code
        return found

    def without(self, value: str) -> "Coded":
        """Return the same texts with one of them taken for none."""
        return Coded(np.where(self.are(value), np.int32(NO_VALUE), self.codes), self.names)


class Texts:
    """The texts that occur in some tables, numbered by column; all diagnosis codes are numbered alike."""

    def __init__(self) -> None:
        self._categories: dict[str, pl.Categories] = {}
        self._holds: list[pl.Series] = []

    def of(self, column: str) -> pl.Categories:
        """Return the texts of a column."""
        name = _SAME.get(column, column)
        if name not in self._categories:
            self._categories[name] = pl.Categories.random()
            # Categories forget their texts once nothing of their type is left.
            self._holds.append(pl.Series([], dtype=pl.Categorical(self._categories[name])))
        return self._categories[name]


_SAME: Final = MappingProxyType({s.CODE: s.DIAGNOSIS})
