"""The small world: Hypothesis draws of three persons around the index moment, rich in exact coincidences.

Days run from -6 to 3 with few hours of the day, so that events often touch each other and the index; some
lie exactly one window back or one horizon on, or a microsecond or a minute beside it. Some contacts were
never closed: their longest time is over at such a moment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

import polars as pl
from hypothesis import settings
from hypothesis import strategies as st

from reference import LONGEST_OPEN, Row, Rows
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)

# For properties that are quick to try, and for those that build features several times per example.
OFTEN = settings(max_examples=4 * settings().max_examples)
SELDOM = settings(max_examples=max(1, settings().max_examples // 5))

INDEX = datetime(2025, 3, 1)
INDEX_TIMES = (INDEX, INDEX - 2 * DAY, INDEX + DAY + 4 * HOUR, INDEX + 30 * DAY, INDEX + 365 * DAY)
PERSONS = ("ada", "bo", "cy")
BUSY = ("ada", "ada", "ada", "bo", "cy")  # one person has most events, so that they meet

HOURS = (timedelta(0), 4 * HOUR, 4 * HOUR + MINUTE, 12 * HOUR, 16 * HOUR)
NEAR = [INDEX + day * DAY + hour for day in (*range(-1, -7, -1), *range(4)) for hour in HOURS]
WINDOWS = (3, 7, 14, 30, 90, 180, 360, 365, 728, 730, 1825)
BESIDE = (timedelta(0), MICROSECOND, -MICROSECOND, MINUTE, -MINUTE)
FAR = [INDEX - days * DAY + beside for days in WINDOWS for beside in BESIDE]
LATER = [INDEX + days * DAY + beside for days in (30, 363, 365, 200) for beside in BESIDE]
# Moments at which much happens at once; a discharge 44 days back is 14 and 30 days from two of them.
BUSY_MOMENTS = 6 * [INDEX - days * DAY for days in (5, 14, 30, 44)]
SHORT = (12 * HOUR, DAY, 4 * HOUR, 12 * HOUR - MICROSECOND, 12 * HOUR, timedelta(0))
LENGTHS = (*SHORT, *SHORT, None, 3 * DAY, 14 * DAY, 30 * DAY, 400 * DAY)

CODES = (
    *(None, "F102", "F112", "E119", "F200", "F320", "F411", "F603", "X619", "J440", "I500", "I426"),
    *("N189", "K700", "G409", "F009", "T510", "S060", "Z590", "T401", "I109", "E11", "E101"),
)
# Joined without care, A with B/C is the same unit as A/B with C.
HOSPITALS, DEPARTMENTS = ("A", "A", "A/B", None), ("C", "C", "B/C", None)
PROVIDERS = ("north", "south", "northern", None)
PARAGRAPHS = ("85", "107", "85a", None)
ATTENDANCES = (*s.ATTENDANCES, "no_show", "no_show", "attended")
# What several features ask for is drawn more often.
BENEFITS = (*s.BENEFITS, "self_support", "self_support", "sickness", "social_assistance")
SERVICES = (*s.SERVICES, "shelter", "home_care", "home_nursing")

moments = st.sampled_from([*NEAR, *NEAR, *FAR, *LATER, *BUSY_MOMENTS])


def known_at(row: Row) -> list[datetime | None]:
    """Moments at which a row may become known: from before it started to after the index."""
    start = row["started_at"]
    return [
        *(None, None, None, start, start + 4 * HOUR, start - DAY, start + 3 * DAY),
        *(INDEX, INDEX - MICROSECOND, INDEX + 2 * DAY),
    ]


@st.composite
def spans(draw: st.DrawFn) -> tuple[datetime, datetime | None]:
    """Start and end, of which one or the other is a telling moment."""
    moment, length = draw(moments), draw(st.sampled_from(LENGTHS))
    if length is None:
        return moment, None
    return (moment - length, moment) if draw(st.booleans()) else (moment, moment + length)


@st.composite
def events(draw: st.DrawFn, **columns: st.SearchStrategy) -> Row:
    """One row of an event table."""
    row = {"person_id": draw(st.sampled_from(BUSY))}
    row["started_at"], row["ended_at"] = draw(spans())
    row["known_at"] = draw(st.sampled_from(known_at(row)))
    return row | {name: draw(strategy) for name, strategy in columns.items()}


def number_rows(rows: Rows, column: str, prefix: str) -> Rows:
    return [row | {column: f"{prefix}{number}"} for number, row in enumerate(rows)]


def rows_of(most: int, **columns: st.SearchStrategy) -> st.SearchStrategy[Rows]:
    """Lists of every length alike; left to itself Hypothesis prefers empty ones."""
    lists = [st.lists(events(**columns), min_size=size, max_size=size) for size in range(most + 1)]
    return st.sampled_from(lists).flatmap(lambda rows: rows)


def numbered_rows(
    most: int, column: str, prefix: str, **columns: st.SearchStrategy
) -> st.SearchStrategy[Rows]:
    return rows_of(most, **columns).map(partial(number_rows, column=column, prefix=prefix))


def one_of(values: tuple) -> st.SearchStrategy:
    return st.sampled_from(values)


GAPS = (
    timedelta(0),
    DAY,
    4 * HOUR + MINUTE,
    4 * HOUR,
    4 * HOUR + MICROSECOND,
    *(d * DAY - e for d in (3, 7, 30) for e in (timedelta(0), MICROSECOND)),
)
CHAIN_DAYS = (-6, 0, -20, -44.5, 1, -1, -200, -6, -20, -730, -730.5, -365.5)
CHAIN_STARTS = tuple(INDEX + days * DAY for days in CHAIN_DAYS)


@st.composite
def chained(draw: st.DrawFn, drawn: st.SearchStrategy[Rows]) -> Rows:
    """Sometimes make all rows one person's, known at once, a telling gap after the one before or with it."""
    rows = draw(drawn)
    if not draw(st.booleans()):
        return rows
    moment, chain = draw(st.sampled_from(CHAIN_STARTS)), []
    for row in rows:
        end = moment + draw(st.sampled_from(SHORT))
        chain.append(row | {"person_id": PERSONS[0], "started_at": moment, "ended_at": end, "known_at": None})
        moment = draw(st.sampled_from([*(end + gap for gap in GAPS), moment, moment]))
    return chain


FORGOTTEN_BESIDE = (*BESIDE, *(sign * gap for gap in GAPS[2:5] for sign in (1, -1)))
NEVER_CLOSED = (None, None, INDEX.replace(year=2209))


@st.composite
def forgotten(draw: st.DrawFn, drawn: st.SearchStrategy[Rows]) -> Rows:
    """Sometimes let the end of a few contacts never come."""
    rows = draw(drawn)
    places = draw(st.sampled_from([(), (), (0,), (1,), (0, 1), (0, 2), (0, 1, 2)]))
    return [leave_open(draw, row) if place in places else row for place, row in enumerate(rows)]


def leave_open(draw: st.DrawFn, row: Row) -> Row:
    over = draw(moments) + draw(st.sampled_from(FORGOTTEN_BESIDE))
    start = over - LONGEST_OPEN[row["sector"]]
    return row | {"started_at": start, "ended_at": draw(st.sampled_from(NEVER_CLOSED)), "known_at": None}


days_around = st.sampled_from(
    [
        *(None, None, None),
        *(
            (INDEX + days * DAY).date()
            for days in (-730, -366, -365, -364, -2, -1, 0, 1, 30, 364, 365, 366, 800)
        ),
    ]
)
birth_dates = st.sampled_from(
    [
        date(1980, 6, 1),
        date(2007, 3, 1),
        date(2007, 3, 2),
        date(2007, 2, 28),
        date(2004, 2, 29),
        date(2025, 2, 28),
    ]
)


@st.composite
def person_rows(draw: st.DrawFn, person_id: str) -> Row:
    birth = draw(birth_dates)
    death, start, end = (draw(days_around) for _ in range(3))
    return {
        "person_id": person_id,
        "birth_date": birth,
        "sex": draw(one_of(s.SEXES)),
        "municipality": draw(one_of((None, "376", "360"))),
        "death_date": death if death is None or death >= birth else None,
        "observed_from": start,
        "observed_until": end if None in (start, end) or end >= start else None,
        "known_at": None,
    }


COSTS = (None, 1200.0, 37.5)
TABLES: dict[str, st.SearchStrategy[Rows]] = {
    "persons": st.tuples(*map(person_rows, PERSONS)).map(list),
    "admissions": forgotten(
        chained(
            numbered_rows(
                14,
                "contact_id",
                "a",
                sector=one_of(s.SECTORS),
                admission_type=one_of(s.ADMISSION_TYPES),
                hospital=one_of(HOSPITALS),
                department=one_of(DEPARTMENTS),
                diagnosis=one_of(CODES),
                discharge=one_of((*s.DISCHARGES, "left_early", None)),
                cost=one_of(COSTS),
            )
        )
    ),
    "diagnoses": rows_of(
        4,
        contact_id=one_of(("a0", "a1", "p0")),
        code=one_of(CODES[1:]),
        kind=one_of(s.DIAGNOSIS_KINDS),
    ),
    "psychiatric_contacts": chained(
        numbered_rows(
            8,
            "contact_id",
            "p",
            contact_type=one_of(s.CONTACT_TYPES),
            attendance=one_of(ATTENDANCES),
            diagnosis=one_of(CODES),
            provider=one_of(PROVIDERS),
            cost=one_of(COSTS),
        )
    ),
    "substance_abuse": numbered_rows(
        6,
        "episode_id",
        "e",
        substance=one_of(s.SUBSTANCES),
        end_reason=one_of((*s.END_REASONS, None)),
        provider=one_of(PROVIDERS),
    ),
    "social_benefits": chained(rows_of(9, benefit=one_of(BENEFITS))),
    "social_services": rows_of(
        8,
        service=one_of(SERVICES),
        paragraph=one_of(PARAGRAPHS),
        provider=one_of(PROVIDERS),
        hours_per_week=one_of((None, 2.5, 37.0)),
    ),
    "primary_care": rows_of(4, kind=one_of(s.PRIMARY_CARE_KINDS), cost=one_of(COSTS)),
}
OPTIONAL_TABLES = tuple(table for table in TABLES if table not in s.REQUIRED_TABLES)


@dataclass
class World:
    """Tables as plain rows, cohort rows (repeats included), and the end of the data."""

    tables: dict[str, Rows]
    cohort: list[tuple[str, datetime]]
    data_end: datetime | None

    @property
    def histories(self) -> Histories:
        return build_histories(self.tables, self.data_end)


def build_histories(tables: Mapping[str, Rows], data_end: datetime | None = None) -> Histories:
    """Type plain rows and put them into histories, unchecked."""
    frames = {name: pl.LazyFrame(rows, schema=s.get_columns(name)) for name, rows in tables.items()}
    return Histories(frames, data_end=data_end)


def build_cohort(rows: list[tuple[str, datetime]]) -> pl.DataFrame:
    schema = {s.PERSON_ID: pl.String, s.INDEX_TIME: pl.Datetime("us")}
    return pl.DataFrame(rows, schema=schema, orient="row")


data_ends = st.sampled_from(
    [INDEX + 365 * DAY, None, INDEX + 3 * DAY, INDEX, INDEX + 365 * DAY - MICROSECOND, INDEX + 800 * DAY]
)


@st.composite
def cohort_rows(draw: st.DrawFn) -> list[tuple[str, datetime]]:
    """Persons at the index and at one other moment, in any order, some of them twice."""
    times = (INDEX, draw(st.sampled_from(INDEX_TIMES[1:])))
    pairs = [(person_id, moment) for person_id in PERSONS for moment in times]
    return draw(st.permutations(pairs)) + draw(st.lists(st.sampled_from(pairs), max_size=2))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw the tables, of which optional ones are sometimes absent."""
    absent = draw(st.one_of(st.just(set()), st.sets(st.sampled_from(OPTIONAL_TABLES), max_size=3)))
    tables = {name: draw(rows) for name, rows in TABLES.items() if name not in absent}
    return World(tables, draw(cohort_rows()), draw(data_ends))


@st.composite
def hospital_worlds(draw: st.DrawFn) -> World:
    """Draw the required tables only."""
    tables = {name: draw(TABLES[name]) for name in s.REQUIRED_TABLES}
    return World(tables, draw(cohort_rows()), draw(data_ends))


lags = st.sampled_from(
    [
        {},
        {"admissions": 1.0},
        {"psychiatric_contacts": 2.0, "substance_abuse": 1.0},
        dict.fromkeys(s.EVENT_TABLES, 3.0),
    ]
)


def map_tables(world: World, change: Callable[[Rows], Rows]) -> World:
    """Return the world with each table changed."""
    return World({name: change(rows) for name, rows in world.tables.items()}, world.cohort, world.data_end)
