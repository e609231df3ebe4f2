"""Timeline: a person's last two years, placed in days on a line that ends at the index moment."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from types import MappingProxyType
from typing import Final, Literal

import polars as pl

from somv_risk.cohort.windows import MICROSECONDS_PER_DAY, Lookback
from somv_risk.errors import InputError
from somv_risk.registers.schema import ENDED_AT, INDEX_TIME, PERSON_ID, STARTED_AT

CATEGORY: Final = "category"
UNFINISHED: Final = "unfinished"
CARD: Final = "card"
STARTS: Final = "starts"
ENDS: Final = "ends"
IS_OPEN: Final = "is_open"
IS_UNFINISHED: Final = "is_unfinished"

EVENT_COLUMNS: Final = (PERSON_ID, STARTED_AT, ENDED_AT, CATEGORY, UNFINISHED)
WINDOW: Final = Lookback(730)

MONTHS_PER_LABEL: Final = 3
LABEL_DAYS: Final = 60
SLIMMEST_BAR_DAYS: Final = 2.2


@dataclass(frozen=True, slots=True)
class Mark:
    """How a category of event is drawn: in which lane, as what shape, from where and how high."""

    lane: str
    shape: Literal["bar", "tick", "ring"]
    y: float
    height: float

    def draw(self, starts: float, ends: float) -> str:
        """Draw an event between two days as an SVG path."""
        if self.shape == "bar":
            width = max(ends - starts, SLIMMEST_BAR_DAYS)
            return f"M{starts:g} {self.y:g}h{width:g}v{self.height:g}h{-width:g}z"
        if self.shape == "tick":
            return f"M{starts:g} {self.y:g}v{self.height:g}"
        radius = self.height / 2
        arc = f"a{radius:g} {radius:g} 0 1 0"
        return f"M{starts - radius:g} {self.y + radius:g}{arc} {self.height:g} 0{arc} {-self.height:g} 0"

    def draw_unfinished(self, ends: float) -> str:
        """Draw the sign for an unfinished end: a triangle on its tip, above a bar or upon a tick."""
        top = self.y - 9 if self.shape == "bar" else self.y + 1
        return f"M{ends - 4.5:g} {top:g}h9l-4.5 7z"

    def draw_open(self) -> str:
        """Draw the sign for an event that goes on at the index: an arrow beyond the line's end."""
        return f"M4 {self.y:g}l8 {self.height / 2:g}l-8 {self.height / 2:g}z"

    @property
    def sample(self) -> str:
        """What the legend shows, between the days -26 and 0."""
        if self.shape == "bar":
            return self.draw(-26, 0)
        return "".join(self.draw(day, day) for day in (-21, -13, -5))


LANE_HEIGHTS: Final[Mapping[str, int]] = MappingProxyType(
    {"hospital": 42, "psychiatry": 42, "substance": 26, "services": 37, "primary_care": 20}
)
LANE_BOTTOMS: Final[Mapping[str, int]] = MappingProxyType(
    dict(zip(LANE_HEIGHTS, accumulate(LANE_HEIGHTS.values()), strict=True))
)
MARKS: Final[Mapping[str, Mark]] = MappingProxyType(
    {
        "acute_admission": Mark("hospital", "bar", 11, 15),
        "planned_admission": Mark("hospital", "bar", 11, 15),
        "emergency_visit": Mark("hospital", "tick", 30, 9),
        "psychiatric_admission": Mark("psychiatry", "bar", 53, 15),
        "psychiatric_contact": Mark("psychiatry", "tick", 72, 9),
        "no_show": Mark("psychiatry", "ring", 72, 9),
        "substance_treatment": Mark("substance", "bar", 95, 11),
        "shelter": Mark("services", "bar", 121, 9),
        "home_care": Mark("services", "bar", 135, 8),
        "primary_care": Mark("primary_care", "tick", 152, 10),
    }
)
BARS: Final = tuple(category for category, mark in MARKS.items() if mark.shape == "bar")


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """An event on the line; `starts` and `ends` are days from the index, cut to the window."""

    category: str
    started_at: datetime
    ended_at: datetime | None
    starts: float
    ends: float
    is_open: bool
    is_unfinished: bool

    @property
    def outline(self) -> str:
        """The event's shape as an SVG path."""
        return MARKS[self.category].draw(self.starts, self.ends)


@dataclass(frozen=True, slots=True)
class Month:
    """The first of a month on the line."""

    day: float
    starts_at: datetime
    has_label: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """One person's placed events, oldest first."""

    events: tuple[PlacedEvent, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """Events per category, in the order of the lanes."""
        found = Counter(event.category for event in self.events)
        return {category: found[category] for category in MARKS if found[category]}

    @property
    def unfinished_count(self) -> int:
        """Events that ended unfinished."""
        return sum(event.is_unfinished for event in self.events)

    @property
    def bars(self) -> Mapping[str, tuple[PlacedEvent, ...]]:
        """Events that last, per category."""
        return {category: self._pick(category) for category in self.counts if category in BARS}

    @property
    def points(self) -> Mapping[str, str]:
        """Events that are points, as one SVG path per category."""
        return {
            category: "".join(event.outline for event in self._pick(category))
            for category in self.counts
            if category not in BARS
        }

    @property
    def unfinished(self) -> str:
        """The signs for unfinished ends as one SVG path."""
        return "".join(
            MARKS[event.category].draw_unfinished(event.ends) for event in self.events if event.is_unfinished
        )

    @property
    def open(self) -> str:
        """The signs for what goes on at the index as one SVG path."""
        return "".join(MARKS[event.category].draw_open() for event in self.events if event.is_open)

    def _pick(self, category: str) -> tuple[PlacedEvent, ...]:
        return tuple(event for event in self.events if event.category == category)


def build_timelines(scores: pl.DataFrame, events: pl.DataFrame) -> tuple[Timeline, ...]:
    """Build one timeline per row of `scores`, in the same order."""
    placed = place_events(scores, events).partition_by(CARD, as_dict=True, include_key=False)
    return tuple(Timeline(_read_events(placed.get((card,)))) for card in range(scores.height))


def place_events(scores: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Build one row per event and row of `scores` (`card`) in whose window some of the event lies.

    `starts` and `ends` are days from the index, cut to the window. An end at or after the index is not
    known yet: the event is open, its end is null, and it is not unfinished.
    """
    _check_categories(events)
    cards = scores.select(PERSON_ID, INDEX_TIME).with_row_index(CARD)
    return (
        events.select(EVENT_COLUMNS)
        .with_columns(pl.col(CATEGORY).cast(pl.String), pl.col(UNFINISHED).fill_null(value=False))
        .join(cards, on=PERSON_ID)
        .with_columns(_days_from_index(STARTED_AT).alias(STARTS))
        .with_columns(_find_end().alias(ENDS))
        .filter(pl.col(STARTS) < 0, (pl.col(ENDS) > -WINDOW.days) | (pl.col(STARTS) >= -WINDOW.days))
        .with_columns((pl.col(ENDS) >= 0).alias(IS_OPEN))
        .select(CARD, CATEGORY, STARTED_AT, *_mask_open_ends(), _cut(STARTS), _cut(ENDS), IS_OPEN)
        .sort(CARD, STARTED_AT, CATEGORY, ENDED_AT, IS_UNFINISHED)
    )


def find_months(index_time: datetime) -> tuple[Month, ...]:
    """Find the first of every month in the window, oldest first."""
    opens_at = index_time - timedelta(days=WINDOW.days)
    numbers = range(opens_at.year * 12 + opens_at.month - 1, index_time.year * 12 + index_time.month)
    firsts = (datetime(number // 12, number % 12 + 1, 1) for number in numbers)
    return tuple(_place_month(first, index_time) for first in firsts if opens_at <= first < index_time)


def _place_month(first: datetime, index_time: datetime) -> Month:
    day = round((first - index_time) / timedelta(days=1), 1)
    return Month(day, first, has_label=(first.month - 1) % MONTHS_PER_LABEL == 0 and day < -LABEL_DAYS)


def _check_categories(events: pl.DataFrame) -> None:
    unknown = events.filter(
        ~pl.col(CATEGORY).cast(pl.String).is_in(list(MARKS)).fill_null(value=False)
    ).height
    if unknown:
        raise InputError(
            f"`events` has {unknown} rows whose `{CATEGORY}` has no lane on the timeline. "
            f"Use one of: {', '.join(MARKS)}."
        )


def _days_from_index(column: str) -> pl.Expr:
    return (pl.col(column) - pl.col(INDEX_TIME)).dt.total_microseconds() / MICROSECONDS_PER_DAY


def _find_end() -> pl.Expr:
    lasting = pl.when(pl.col(CATEGORY).is_in(BARS))
    return lasting.then(_days_from_index(ENDED_AT).fill_null(0.0)).otherwise(pl.col(STARTS))


def _mask_open_ends() -> tuple[pl.Expr, pl.Expr]:
    known = ~pl.col(IS_OPEN)
    return pl.when(known).then(ENDED_AT).alias(ENDED_AT), (known & pl.col(UNFINISHED)).alias(IS_UNFINISHED)


def _cut(column: str) -> pl.Expr:
    return pl.col(column).clip(-WINDOW.days, 0).round(1)


def _read_events(placed: pl.DataFrame | None) -> tuple[PlacedEvent, ...]:
    return () if placed is None else tuple(PlacedEvent(**row) for row in placed.iter_rows(named=True))
