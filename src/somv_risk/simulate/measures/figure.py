"""Figure: a ratio of two sums over persons."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A ratio of two sums over persons.

    `y` and `x` name the columns of a frame with one row per person; `scale` turns their ratio into the
    figure's unit, such as 365,000 for days at risk into events per 1000 person-years.
    """

    name: str
    y: str
    x: str
    scale: float = 1.0
