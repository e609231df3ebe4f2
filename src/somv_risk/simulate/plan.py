"""Plan: which region is to be made up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

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

    `municipalities` are codes such as "360"; None stands for all of the region.
    """

    persons: int
    seed: int
    period: Period
    municipalities: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _check_whole("persons", self.persons, 1, MOST_PERSONS)
        _check_whole("seed", self.seed, 0)
        _check_municipalities(self.municipalities)

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


def _check_whole(name: str, number: int, least: int, most: int | None = None) -> None:
    is_whole = isinstance(number, int) and not isinstance(number, bool)
    if is_whole and number >= least and (most is None or number <= most):
        return
    limits = f"from {least}" if most is None else f"from {least} to {most}"
    raise ConfigError(
        f"{name!r} of a simulation must be a whole number {limits}, not {number!r}. Give an integer {limits}."
    )


def _check_municipalities(codes: Sequence[str] | None) -> None:
    if codes is None:
        return
    known = {place.code: place.name for place in read_municipalities()}
    unknown = [code for code in codes if code not in known]
    if isinstance(codes, str) or unknown or not codes or len(set(codes)) < len(codes):
        listed = ", ".join(f"{code} {name}" for code, name in known.items())
        raise ConfigError(
            f"'municipalities' of a simulation must be different codes of its region, not {codes!r}. "
            f"Give some of: {listed}."
        )
