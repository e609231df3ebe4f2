"""Events: how many persons with the outcome each slice has, counted before anything is built."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.cohort.outcomes import Target
from somv_risk.cohort.splits import ROLE
from somv_risk.registers import schema as s
from somv_risk.training.rows import Snapshot, name_label

# Under so many persons with the outcome, a slice kept for each purpose leaves too few for any of them.
FEW_EVENTS: Final = 200
EVERYBODY: Final = "everybody"
# How many persons with the outcome each slice needs: split in time, and cross-validated.
IN_TIME: Final[Mapping[str, int]] = MappingProxyType({"fit": 5, "stop": 5, "calibrate": 5, "test": 1})
IN_FOLDS: Final[Mapping[str, int]] = MappingProxyType({EVERYBODY: 25})


@dataclass(frozen=True, slots=True)
class Events:
    """Of one target and slice: rows with a known outcome, and persons with and without the outcome."""

    target: str
    role: str
    rows: int
    persons: int
    without: int
    least: int

    @property
    def is_enough(self) -> bool:
        """Whether the slice can be fitted to, or tested on."""
        return self.persons >= self.least and self.without > 0

    def __str__(self) -> str:
        return f"{self.persons} in {self.role} (of {self.rows:,} rows; needed {self.least})"


def count_events(
    snapshots: Iterable[Snapshot], targets: Sequence[Target], least: Mapping[str, int]
) -> list[Events]:
    """Count, of each target and slice, the persons with the outcome; whoever has it twice counts once."""
    rows = pl.concat(snapshot.rows for snapshot in snapshots)
    return [_count(rows, target, role, number) for target in targets for role, number in least.items()]


def _count(rows: pl.DataFrame, target: Target, role: str, least: int) -> Events:
    of_role = rows if role == EVERYBODY else rows.filter(pl.col(ROLE) == role)
    known = of_role.select(s.PERSON_ID, pl.col(name_label(target.name)).alias("has_it")).drop_nulls()
    persons, without = (known.filter(has_it=has_it)[s.PERSON_ID].n_unique() for has_it in (True, False))
    return Events(target.name, role, known.height, persons, without, least)


def add_up(counts: Iterable[Events], target: Target) -> int:
    """Add up the persons with the outcome over all slices; nobody is in two of them."""
    return sum(one.persons for one in counts if one.target == target.name)


def tell_shortage(counts: Iterable[Events], target: Target) -> str | None:
    """Tell of a target that has too few persons with the outcome in some slice; None if it has enough."""
    own = [one for one in counts if one.target == target.name]
    if all(one.is_enough for one in own):
        return None
    return f"Target {target.name} has too few persons with the outcome: {', '.join(map(str, own))}."


def describe_events(counts: Iterable[Events], targets: Iterable[str]) -> list[dict[str, Any]]:
    """Describe the counts of some targets as plain data."""
    names = set(targets)
    return [
        {"target": one.target, "slice": one.role, "rows": one.rows, "persons": one.persons}
        for one in counts
        if one.target in names
    ]
