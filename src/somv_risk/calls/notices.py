"""Notices: the warnings of one call, each given once, at the line of whoever called the library."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from somv_risk.errors import SomvRiskWarning

_HOUSE: Final = (str(Path(__file__).parents[1]), str(contextlib.__file__))


@dataclass(frozen=True, slots=True)
class Notice:
    """What somebody was warned of."""

    category: str
    sentence: str


_given: ContextVar[list[Notice] | None] = ContextVar("somv_risk_notices", default=None)


@contextmanager
def one_call() -> Iterator[list[Notice]]:
    """Make one call of all that happens inside: what several of its parts warn of is said once.

    Gives the notices so far. It serves as a decorator, too.

    Examples
    --------
    >>> with one_call() as notices, warnings.catch_warnings(record=True) as shown:
    ...     warnings.simplefilter("always")
    ...     give_notice("Data are old.", SomvRiskWarning)
    ...     give_notice("Data are old.", SomvRiskWarning)
    >>> len(shown), notices
    (1, [Notice(category='SomvRiskWarning', sentence='Data are old.')])
    """
    outer = _given.get()
    if outer is not None:
        yield outer
        return
    notices: list[Notice] = []
    token = _given.set(notices)
    try:
        yield notices
    finally:
        _given.reset(token)


def list_notices() -> list[dict[str, str]]:
    """List what this call has warned of so far: `category` and `sentence`."""
    return [asdict(notice) for notice in _given.get() or ()]


def give_notice(sentence: str, category: type[SomvRiskWarning]) -> None:
    """Warn at the line outside the library that led here, unless this call has said so already."""
    notice, given = Notice(category.__name__, sentence), _given.get()
    if given is not None:
        if notice in given:
            return
        given.append(notice)
    warnings.warn(sentence, category, stacklevel=_find_caller())


def _find_caller() -> int:
    """Find how many frames above `give_notice` the library was called."""
    frame, level = sys._getframe(1), 1  # noqa: SLF001 - `inspect` reads source files for it
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HOUSE):
        frame, level = frame.f_back, level + 1
    return level
