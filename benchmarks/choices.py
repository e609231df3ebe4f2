"""Choices of features: the catalogue, parts of it, and more than it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from somv_risk.features import Definition, Feature, list_features, load_catalogue, load_definitions


def choose_half() -> tuple[Feature, ...]:
    """Choose every other definition, so that all kinds are there."""
    return list_features(load_definitions()[::2])


def choose_copied() -> tuple[Feature, ...]:
    """Choose the catalogue, and behind it the catalogue under other ids."""
    copies = [replace(definition, id=f"{definition.id}_again") for definition in load_definitions()]
    return list_features([*load_definitions(), *copies])


def choose_windowed() -> tuple[Feature, ...]:
    """Choose what looks back over windows."""
    return list_features(_list_windowed())


def choose_more_windows() -> tuple[Feature, ...]:
    """Choose the same, each with as many windows again, a fifth shorter than the catalogue's."""
    return list_features(
        replace(definition, windows=_double(definition.windows)) for definition in _list_windowed()
    )


def _list_windowed() -> list[Definition]:
    return [definition for definition in load_definitions() if definition.windows]


def _double(windows: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted((*windows, *(_shorten(days) for days in windows))))


def _shorten(days: int) -> int:
    """Shorten by a fifth, to an even number of days: some measures compare halves."""
    return days * 2 // 5 * 2


CHOICES: Mapping[str, Callable[[], tuple[Feature, ...]]] = MappingProxyType(
    {
        "all": load_catalogue,
        "half": choose_half,
        "copied": choose_copied,
        "windowed": choose_windowed,
        "more_windows": choose_more_windows,
    }
)
