"""Leakage: the executable proof that features see only what was known before the index moment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.moments import Moment, parse_moment
from somv_risk.cohort.asof import NO_LAGS, Lags
from somv_risk.cohort.windows import MICROSECONDS_PER_DAY
from somv_risk.errors import LeakageError
from somv_risk.features import Feature, build_features
from somv_risk.registers import schema as s
from somv_risk.registers.codes import load_groups
from somv_risk.registers.histories import Histories

FARTHEST_BACK: Final = 800 * MICROSECONDS_PER_DAY
FARTHEST_ON: Final = 30 * MICROSECONDS_PER_DAY
LONGEST: Final = 20 * MICROSECONDS_PER_DAY
ADDED_PER_PERSON: Final = 3
NAMES_TOLD: Final = 12
ID_COLUMNS: Final = frozenset(
    name for table in s.EVENT_TABLES for name in s.TABLES[table].columns if name.endswith("_id")
)

Tables = Mapping[str, pl.DataFrame]
Offsets = npt.NDArray[np.int64]  # microseconds
Alteration = Callable[[str, pl.DataFrame], pl.DataFrame]


class FeatureBuilder(Protocol):
    """What is tested: any function with the signature of `build_features`."""

    def __call__(
        self,
        histories: Histories,
        cohort: pl.DataFrame,
        features: Sequence[Feature] | None = None,
        *,
        lags: Lags = NO_LAGS,
    ) -> pl.LazyFrame:
        """Build one row per cohort row, in cohort order."""


def assert_no_future_leakage(
    histories: Histories,
    index_time: Moment,
    *,
    features: Sequence[Feature] | None = None,
    lags: Lags = NO_LAGS,
    build: FeatureBuilder = build_features,
    seed: int = 0,
    rounds: int = 3,
) -> None:
    """Alter everything that was not yet known at the index moment and demand the same features, bit for bit.

    What was not yet known is deleted once, and changed and added to in each of `rounds` rounds: rows that
    start at or after the index, rows that became known at or after it (among them such as would bridge
    two stays), what is learnt at an end that is not yet known, and deaths and removals to come.

    Parameters
    ----------
    histories
        All its persons are looked at; collected into memory.
    build
        The builder under test; any with the signature of `build_features`.
    seed
        The same seed makes the same alterations.

    Raises
    ------
    LeakageError
        If a feature changed; the message names features and tables, and no person.

    Examples
    --------
    >>> from datetime import datetime
    >>> tables = {name: pl.LazyFrame(schema=s.get_columns(name)) for name in ("persons", "admissions")}
    >>> assert_no_future_leakage(Histories(tables), datetime(2026, 1, 1))
    """
    index = parse_moment(index_time)
    tables = {name: frame.collect() for name, frame in histories.tables.items()}
    cohort = tables[s.PERSONS].select(s.PERSON_ID, pl.lit(index, pl.Datetime("us")).alias(s.INDEX_TIME))

    def measure(altered: Tables) -> pl.DataFrame:
        frames = {name: frame.lazy() for name, frame in altered.items()}
        altered_histories = Histories(frames, data_end=histories.data_end, timezone=histories.timezone)
        return build(altered_histories, cohort, features, lags=lags).collect()

    expected = measure(tables)
    for deed, alter in _list_alterations(_Unknown(index, lags, cohort[s.PERSON_ID]), seed, rounds):
        altered = {name: alter(name, frame) for name, frame in tables.items()}
        if changed := _list_changed(expected, measure(altered)):
            blamed = [n for n in tables if _list_changed(expected, measure({**tables, n: altered[n]}))]
            raise LeakageError(_tell(changed, blamed or sorted(tables), deed))


def _list_changed(expected: pl.DataFrame, found: pl.DataFrame) -> list[str]:
    return [name for name in expected.columns if not expected[name].equals(found[name], null_equal=True)]


def _tell(changed: list[str], tables: list[str], deed: str) -> str:
    told = ", ".join(changed[:NAMES_TOLD])
    more = f" and {len(changed) - NAMES_TOLD} more" if len(changed) > NAMES_TOLD else ""
    return (
        f"Features {told}{more} changed when what was not yet known in table {', '.join(tables)} was {deed}. "
        "Cut each table to what was known before the index (build_asof_view), and only then derive from it."
    )


@dataclass(frozen=True, slots=True)
class _Unknown:
    """What was not yet known at the index moment."""

    index: datetime
    lags: Lags
    person_ids: pl.Series

    def lag(self, table: str) -> timedelta:
        return self.lags.of(table)

    def rows(self, table: str) -> pl.Expr:
        """Rows that had not started, or of which nobody knew."""
        started_at = pl.col(s.STARTED_AT)
        known_at = pl.coalesce(s.KNOWN_AT, started_at + self.lag(table))
        return (started_at >= self.index) | (known_at >= self.index)

    def ends(self, table: str) -> pl.Expr:
        """Rows whose end had not come, or of which nobody knew."""
        ended_at = pl.coalesce(s.ENDED_AT, s.STARTED_AT) if s.TABLES[table].is_point else pl.col(s.ENDED_AT)
        return (ended_at + self.lag(table) >= self.index).fill_null(value=True)

    @property
    def first_day(self) -> date:
        """The first day whose midnight had not come."""
        return (self.index + timedelta(days=1, microseconds=-1)).date()


def _list_alterations(unknown: _Unknown, seed: int, rounds: int) -> Iterator[tuple[str, Alteration]]:
    yield "deleted", partial(_delete, unknown)
    for number in range(rounds):
        yield "changed", partial(_change, unknown, (seed, number, 0))
        yield "added to", partial(_add, unknown, (seed, number, 1))


def _generator(seed: tuple[int, ...], table: str) -> np.random.Generator:
    """A table is altered alike alone and among the others, so that it can be blamed."""
    return np.random.default_rng([*seed, list(s.TABLES).index(table)])


def _delete(unknown: _Unknown, table: str, frame: pl.DataFrame) -> pl.DataFrame:
    if table != s.PERSONS:
        return frame.filter(~unknown.rows(table))
    return frame.with_columns(
        pl.when(pl.col(name) < unknown.first_day).then(name).alias(name)
        for name in (s.DEATH_DATE, s.OBSERVED_UNTIL)
    )


def _change(unknown: _Unknown, seed: tuple[int, ...], table: str, frame: pl.DataFrame) -> pl.DataFrame:
    rng = _generator(seed, table)
    if table == s.PERSONS:
        return _change_fates(unknown, frame, rng)
    rows = frame.select(unknown.rows(table)).to_series()
    redrawn = frame.with_columns(
        *_draw_times(unknown, table, frame.height, rng), *_draw_values(frame, frame.height, rng)
    )
    return _replace(rows, redrawn, _change_ends(unknown, table, frame, rng))


def _replace(rows: pl.Series, by: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame([by[name].zip_with(rows, frame[name]) for name in frame.columns])


def _change_fates(unknown: _Unknown, persons: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Let those of whom nothing was known die, leave or stay on other days to come."""
    days = [rng.integers(0, 1000, persons.height) for _ in range(2)]
    stays_on = [rng.random(persons.height) < 1 / 3 for _ in range(2)]
    drawn = [
        pl.Series(name, np.datetime64(unknown.first_day) + on.astype("timedelta64[D]")).set(
            pl.Series(stays), None
        )
        for name, on, stays in zip((s.DEATH_DATE, s.OBSERVED_UNTIL), days, stays_on, strict=True)
    ]
    is_known = [(persons[day.name] < unknown.first_day).fill_null(value=False) for day in drawn]
    return persons.with_columns(
        persons[day.name].zip_with(known, day) for day, known in zip(drawn, is_known, strict=True)
    )


def _change_ends(
    unknown: _Unknown, table: str, frame: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    """Redraw what is learnt at an end that is not known, and let it end at another such moment."""
    earliest = pl.max_horizontal(s.STARTED_AT, pl.lit(unknown.index) - unknown.lag(table))
    ended_at = frame.select(earliest + _spread(_later(frame.height, rng)).alias(s.ENDED_AT)).to_series()
    # A point event without an end is over when it starts, which may be known.
    if not s.TABLES[table].is_point:
        ended_at = ended_at.set(pl.Series(rng.random(frame.height) < 1 / 3), None)
    learnt = set(s.list_learnt_at_end(table))
    values = [value for value in _draw_values(frame, frame.height, rng) if value.name in learnt]
    redrawn = frame.with_columns(ended_at.alias(s.ENDED_AT), *values)
    return _replace(frame.select(unknown.ends(table)).to_series(), redrawn, frame)


def _add(unknown: _Unknown, seed: tuple[int, ...], table: str, frame: pl.DataFrame) -> pl.DataFrame:
    if table == s.PERSONS:
        return frame
    rng = _generator(seed, table)
    bridges = _build_bridges(unknown, table, frame)
    person_ids = pl.concat([unknown.person_ids] * ADDED_PER_PERSON)
    others = pl.DataFrame([person_ids, *_draw_times(unknown, table, person_ids.len(), rng)])
    added = pl.concat([bridges, others])
    filled = added.with_columns(*_draw_values(frame, added.height, rng), *_number(frame, added.height))
    return pl.concat([frame, filled.select(frame.columns)])


def _build_bridges(unknown: _Unknown, table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Build one row per person from the first known end to the last known start, known at the index."""
    first_end = pl.coalesce(s.ENDED_AT, s.STARTED_AT).min()
    last_start = pl.col(s.STARTED_AT).max()
    known = frame.filter(~unknown.rows(table)).group_by(s.PERSON_ID, maintain_order=True)
    return known.agg(
        pl.min_horizontal(first_end, last_start).alias(s.STARTED_AT),
        pl.max_horizontal(first_end, last_start).alias(s.ENDED_AT),
        pl.lit(unknown.index, pl.Datetime("us")).alias(s.KNOWN_AT),
    )


def _number(frame: pl.DataFrame, count: int) -> list[pl.Series]:
    """Give added rows ids and row numbers of their own."""
    ids = [
        pl.Series(name, [f"added-{n}" for n in range(count)]) for name in ID_COLUMNS if name in frame.columns
    ]
    if s.ROW in frame.columns:
        ids.append(pl.Series(s.ROW, range(frame.height, frame.height + count), frame.schema[s.ROW]))
    return ids


def _draw_times(unknown: _Unknown, table: str, count: int, rng: np.random.Generator) -> list[pl.Series]:
    """Draw rows that are not yet known: registered late, still under way to the register, or to come."""
    lag = unknown.lag(table) // timedelta(microseconds=1)
    late = -rng.integers(1, FARTHEST_BACK, count)
    under_way = -rng.integers(0, lag + 1, count)
    to_come, announced = _later(count, rng), -rng.integers(1, FARTHEST_ON, count)
    kind = rng.integers(0, 4, count)
    start = np.choose(kind, [late, under_way, to_come, to_come])
    known = np.choose(kind, [_later(count, rng), 0, 0, announced])
    end = start + rng.integers(0, LONGEST, count)
    index = pl.lit(unknown.index, pl.Datetime("us"))
    moments = pl.select(
        (index + _spread(start)).alias(s.STARTED_AT),
        (index + _spread(end)).alias(s.ENDED_AT),
        (index + _spread(known)).alias(s.KNOWN_AT),
    )
    is_open, is_unsaid = rng.random(count) < 1 / 3, np.isin(kind, [1, 2])
    return [
        moments[s.STARTED_AT],
        moments[s.ENDED_AT].set(pl.Series(is_open), None),
        moments[s.KNOWN_AT].set(pl.Series(is_unsaid), None),
    ]


def _later(count: int, rng: np.random.Generator) -> Offsets:
    """Draw microseconds after a moment; every third is the moment itself."""
    return np.where(rng.random(count) < 1 / 3, 0, rng.integers(0, FARTHEST_ON, count))


def _spread(offsets: Offsets) -> pl.Expr:
    return pl.lit(pl.Series(offsets, dtype=pl.Int64).cast(pl.Duration("us")))


def _draw_values(frame: pl.DataFrame, count: int, rng: np.random.Generator) -> list[pl.Series]:
    """Draw what a row says, besides whose it is, which it is and when it was."""
    kept = {s.ROW, s.PERSON_ID, s.STARTED_AT, s.ENDED_AT, s.KNOWN_AT, *ID_COLUMNS}
    return [_draw_value(frame[name], count, rng) for name in frame.columns if name not in kept]


def _draw_value(column: pl.Series, count: int, rng: np.random.Generator) -> pl.Series:
    pool = _list_possible(column)
    return pl.Series(column.name, [pool[at] for at in rng.integers(0, len(pool), count)], column.dtype)


def _list_possible(column: pl.Series) -> list[Any]:
    if isinstance(column.dtype, pl.Enum):
        return column.dtype.categories.to_list()
    if not isinstance(column.dtype, pl.String):
        return [*column.drop_nulls().unique().sort(), None]
    if column.name in {s.CODE, s.DIAGNOSIS}:
        return [group.prefixes[0].ljust(3, "0") for group in load_groups().values()]
    return [*sorted(column.drop_nulls().unique()), "elsewhere"]
