"""Capacities: how long a list is, in persons or as a share of the population."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Final

from somv_risk.calls.arguments import list_values
from somv_risk.calls.shown import show
from somv_risk.errors import ConfigError

_CURE: Final = "Give persons, like '100', or a share of everybody, like '0.5 %'."
CAPACITIES: Final = ("50", "100", "200", "500", "1000", "0.5 %", "1 %", "2 %")


@dataclass(frozen=True, slots=True)
class Capacity:
    """The length of a list: a number of persons ("100") or a share of everybody ("0.5 %").

    Raises
    ------
    ConfigError
        If it is neither, not positive, or a share above 100 %.

    Examples
    --------
    >>> Capacity("0.5 %").count(10_000), Capacity("100").count(10_000)
    (50, 100)
    """

    label: str

    def __post_init__(self) -> None:
        try:
            amount = self._amount
        except ValueError:
            raise ConfigError(f"Capacity {show(self.label)} is no number. {_CURE}") from None
        is_length = 0 < amount <= 100 if self.is_share else amount > 0 and amount.is_integer()
        if not is_length:
            raise ConfigError(f"Capacity {show(self.label)} is no length of a list. {_CURE}")

    @property
    def is_share(self) -> bool:
        """Whether it is a share and not a number of persons."""
        return self.label.strip().endswith("%")

    @property
    def _amount(self) -> float:
        return float(self.label.strip().removesuffix("%"))

    def count(self, population: int) -> int:
        """Count the places on the list in a population; a share has at least one."""
        return max(1, round(self._amount / 100 * population)) if self.is_share else int(self._amount)


def read_capacities(labels: Sequence[str | int]) -> tuple[Capacity, ...]:
    """Read capacities, each once."""
    listed = list_values(labels)
    if listed is None or not all(isinstance(label, str | Real) for label in listed):
        raise ConfigError(f"capacities is {show(labels)}. Give some in a list, such as ['100', '1 %'].")
    return tuple(Capacity(label) for label in dict.fromkeys(str(label) for label in listed))
