"""The question that a measure answers: as much of a definition, and of a feature, as it looks at."""

from collections.abc import Mapping
from typing import Protocol

from somv_risk.cohort.windows import Lookback
from somv_risk.features._kinds import Anchor


class Question(Protocol):
    """Which events are asked for, and what of them; a `Definition` is one."""

    @property
    def where(self) -> tuple[str, ...]:
        """Flags that the events must have."""

    @property
    def of(self) -> tuple[str, ...]:
        """Flags of the events of which a share, or a last one, is taken."""

    @property
    def match(self) -> Mapping[str, tuple[str, ...]]:
        """Texts that the columns of the events must be, or begin with."""

    @property
    def anchor(self) -> Anchor:
        """What of an event must lie in the window."""

    @property
    def measured(self) -> str:
        """The value measured, of a measure that takes one."""

    @property
    def within_days(self) -> int | None:
        """The span of a measure that takes one."""


class WindowedQuestion(Protocol):
    """A question over one window; a `Feature` is one."""

    @property
    def definition(self) -> Question:
        """The question."""

    @property
    def lookback(self) -> Lookback:
        """The window, of a measure that has one."""
