"""Options: how scored persons are flagged and explained, one value for every way to ask for scores."""

from dataclasses import dataclass
from typing import Literal, get_args

from somv_risk.calls.arguments import check_choice, read_count, read_share
from somv_risk.errors import ConfigError
from somv_risk.scoring.reasons import load_texts

Explain = Literal["flagged", "all", "none"]


@dataclass(frozen=True, slots=True)
class Options:
    """How persons are flagged and explained, in the words of `score`.

    Raises
    ------
    ConfigError
        If one is out of its range, or both `capacity` and `threshold` are given.
    """

    capacity: int | None = None
    threshold: float | None = None
    reasons: int = 3
    language: str = "da"
    explain: Explain = "flagged"

    def __post_init__(self) -> None:
        if self.capacity is not None and self.threshold is not None:
            raise ConfigError("Both capacity and threshold were given. Give one of them.")
        if self.capacity is not None:
            read_count("capacity", self.capacity)
        if self.threshold is not None:
            read_share("threshold", self.threshold)
        read_count("reasons", self.reasons, least=1)
        check_choice("explain", self.explain, get_args(Explain))
        load_texts(self.language)
