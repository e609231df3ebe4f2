"""Plan: which region is to be made up."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from numbers import Integral
from typing import Final

from somv_risk.calls.shown import show
from somv_risk.errors import ConfigError
from somv_risk.simulate.catalogue import read_municipalities
from somv_risk.simulate.draws import Seed
from somv_risk.simulate.period import Period

FIRST_DAY: Final = date(2020, 1, 1)
LAST_DAY: Final = date(2026, 1, 1)
PERSONS_PER_BLOCK: Final = 10_000
MOST_PERSONS: Final = 9_999_999  # so that ids of seven digits sort as their numbers do


@dataclass(frozen=True, slots=True)
class Plan:
    """Which region of the many possible ones; an object that exists can be simulated.

    `municipalities` are codes such as "360", sorted whatever their order was; None stands for all of the
    region.
    """

    persons: int
    seed: int
    period: Period
    municipalities: Collection[str] | None = None

    def __post_init__(self) -> None:
        given = {
            "persons": to_whole("persons", self.persons, 1, MOST_PERSONS),
            "seed": to_whole("seed", self.seed, 0),
            "municipalities": None if self.municipalities is None else _sort_codes(self.municipalities),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def list_blocks(self) -> "list[Block]":
        """The blocks of persons that make up the region; the last may be smaller."""
        sizes = [
            min(PERSONS_PER_BLOCK, self.persons - first)
            for first in range(0, self.persons, PERSONS_PER_BLOCK)
        ]
        return [Block(self, number, size) for number, size in enumerate(sizes)]


@dataclass(frozen=True, slots=True)
class Block:
    """Persons who are drawn together, from a seed of their own.

    That makes a region the same on any number of threads and in any number of buckets.
    """

    plan: Plan
    number: int
    persons: int

    @property
    def first_number(self) -> int:
        """Number of the block's first person in the region, from 1."""
        return self.number * PERSONS_PER_BLOCK + 1

    @property
    def seed(self) -> Seed:
        """The seed of the block."""
        return Seed(self.plan.seed, self.number)

    def list_places(self) -> list[int]:
        """Positions of the municipalities in which people live, among all of the region."""
        codes = [place.code for place in read_municipalities()]
        return [codes.index(code) for code in self.plan.municipalities or codes]


def to_whole(name: str, number: object, least: int, most: int | None = None) -> int:
    """Give a whole number of any type, such as numpy's, as an int; other numbers are refused."""
    if isinstance(number, Integral) and not isinstance(number, bool):
        whole = int(number)
        if whole >= least and (most is None or whole <= most):
            return whole
    limits = f"from {least}" if most is None else f"from {least} to {most}"
    raise ConfigError(
        f"{name!r} of a simulation must be a whole number {limits}, not {show(number)}. "
        f"Give an integer {limits}."
    )


def _sort_codes(codes: Collection[str]) -> tuple[str, ...]:
    known = {place.code: place.name for place in read_municipalities()}
    try:
        given = () if isinstance(codes, str) else tuple(codes)
    except TypeError:
        given = ()
    are_known = all(isinstance(code, str) and code in known for code in given)
    if given and are_known and len(set(given)) == len(given):
        return tuple(sorted(given))
    listed = ", ".join(f"{code} {name}" for code, name in known.items())
    raise ConfigError(
        f"'municipalities' of a simulation must be different codes of its region, not {show(codes)}. "
        f"Give some of: {listed}."
    )
