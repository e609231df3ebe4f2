"""Nearest: which word of a list a written one was probably meant to be."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_LEAST_PREFIX: Final = 3
_LONG: Final = 6


def measure_distance(one: str, other: str) -> int:
    """Measure how many letters must be put in, taken out or replaced to make one word the other.

    Examples
    --------
    >>> measure_distance("ended_at", "end_at")
    2
    """
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        before, row = row, [place]
        for column, wanted in enumerate(other, 1):
            row.append(min(before[column] + 1, row[-1] + 1, before[column - 1] + (letter != wanted)))
    return row[-1]


def find_near_name(name: str, names: Iterable[str]) -> str | None:
    """Find the name that differs in two letters at most, and in less than half of them, or in underscores.

    Examples
    --------
    >>> find_near_name("endedat", ["ended_at", "known_at"])
    'ended_at'
    """
    near = {known: measure_distance(name.replace("_", ""), known.replace("_", "")) for known in names}
    near |= {known: min(near[known], measure_distance(name, known)) for known in near}
    within = [known for known in near if near[known] <= min(2, (len(known) - 1) // 2)]
    return min(within, key=near.__getitem__, default=None)


def find_near_value(
    value: str, values: Sequence[str], translations: Mapping[str, Sequence[str]]
) -> str | None:
    """Find the value of a closed list that a delivered one stands for, if that can be seen.

    It can be if the two differ in capitals, a letter or two or their end, or if `translations` has the
    delivered word under the value.

    Examples
    --------
    >>> find_near_value("Akut", ["acute", "planned"], {"acute": ["akut"]})
    'acute'
    """
    word = value.strip().casefold()
    for known in values:
        if word == known or word in translations.get(known, ()):
            return known
    limit = 1 if len(word) < _LONG else 2
    distances = {known: measure_distance(word, known) for known in values}
    nearest = min(distances, key=distances.__getitem__)
    if distances[nearest] <= limit < len(word):
        return nearest
    begun = [known for known in values if len(word) >= _LEAST_PREFIX and known.startswith(word)]
    return begun[0] if begun else None
