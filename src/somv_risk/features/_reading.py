"""Reading: the rows that some feature may need, read and made ready once for any number of index moments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import Final, cast

import numpy as np
import polars as pl

from somv_risk.cohort.asof import Lags
from somv_risk.features._definition import Feature
from somv_risk.features._tables import (
    LARGE_TABLES,
    Numbers,
    Prepared,
    encode,
    encode_persons,
    find_hospital_since,
    make_persons,
    make_table,
)
from somv_risk.features._texts import Texts
from somv_risk.features.views import VIEWS
from somv_risk.registers import schema as s
from somv_risk.registers.histories import CONTACT, PERSON, Histories


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which tables are read, which of their rows, and how far back large ones are read at least."""

    tables: Sequence[str]
    is_before: pl.Expr
    is_in_reach: pl.Expr
    reach: timedelta | None

    def keep(self, rows: pl.LazyFrame, table: str) -> pl.LazyFrame:
        """Keep the rows that start before the latest index and, of a large table, within reach."""
        return rows.filter(self.is_before & self.is_in_reach if table in LARGE_TABLES else self.is_before)


def read_rows(
    histories: Histories, moments: pl.DataFrame, features: Sequence[Feature], lags: Lags
) -> Prepared:
    """Read and prepare the persons of the moments, and the rows that some feature may need."""
    asked = _ask(moments, features)
    texts = Texts()
    is_numbered = bool(histories.numbered)
    read = _scan_numbered if is_numbered else _scan_named
    scan, rows = read(histories, moments[s.PERSON_ID], asked)
    people, *frames = collect(
        [
            encode_persons(scan, texts),
            *(
                encode(rows[table], table, texts, lags.of(table), is_numbered=is_numbered)
                for table in asked.tables
            ),
        ]
    )
    tables = {
        table: make_table(frame, table, people.height + 1, lags.of(table), texts)
        for table, frame in zip(asked.tables, frames, strict=True)
    }
    persons = make_persons(people, texts)
    return Prepared(
        numbers=_find_numbers(moments[s.PERSON_ID], people[s.PERSON_ID]),
        persons=persons,
        tables=tables,
        hospital_since=find_hospital_since(tables, persons),
        reach=asked.reach,
    )


def _ask(moments: pl.DataFrame, features: Sequence[Feature]) -> _Asked:
    times, started = moments[s.INDEX_TIME].cast(pl.Int64), pl.col(s.STARTED_AT)
    earliest, latest = cast("int", times.min() or 0), cast("int", times.max() or 0)
    reach = _find_reach(features)
    is_in_reach = pl.lit(value=True)
    if reach is not None:
        is_in_reach = started >= _moment(earliest - reach // timedelta(microseconds=1))
    views = frozenset(feature.definition.events for feature in features)
    return _Asked(_list_tables(views), started < _moment(latest), is_in_reach, reach)


def _moment(microseconds: int) -> pl.Expr:
    """Return a moment as a literal, which takes a fifth of the time that one made of a `datetime` takes."""
    return pl.lit(microseconds, dtype=pl.Datetime("us"))


Scans = tuple[pl.LazyFrame, dict[str, pl.LazyFrame]]


def _scan_numbered(histories: Histories, _person_ids: pl.Series, asked: _Asked) -> Scans:
    """Scan tables whose persons and contacts have numbers, and whose rows are in order."""
    stored = histories.numbered
    return stored[s.PERSONS], {
        table: asked.keep(stored.get(table, _NOTHING[table]), table) for table in asked.tables
    }


_NUMBERS: Final = MappingProxyType({PERSON: pl.Int32(), CONTACT: pl.Int32()})
_NOTHING: Final = MappingProxyType(
    {table: pl.LazyFrame(schema={**s.get_columns(table), **_NUMBERS}) for table in s.EVENT_TABLES}
)


def _scan_named(histories: Histories, person_ids: pl.Series, asked: _Asked) -> Scans:
    """Scan tables, number the persons asked for, and put the rows in order."""
    ids = person_ids if len(person_ids) == 1 else person_ids.unique(maintain_order=True)
    persons = ids.to_frame().lazy().join(histories.persons, on=s.PERSON_ID, how="left", maintain_order="left")
    by = () if len(ids) == 1 else (PERSON,)
    return persons, {
        table: _number(asked.keep(histories.table(table), table), ids).sort(
            *by, s.STARTED_AT, *s.TABLES[table].ties
        )
        for table in asked.tables
    }


def _number(rows: pl.LazyFrame, ids: pl.Series) -> pl.LazyFrame:
    """Number the persons by their position among the ids, and leave out all others."""
    if len(ids) == 1:  # one citizen needs no join, which would take longer than all else
        return rows.filter(pl.col(s.PERSON_ID) == ids[0]).with_columns(_FIRST)
    numbered = ids.to_frame().lazy().with_row_index(PERSON).with_columns(pl.col(PERSON).cast(pl.Int32))
    return rows.join(numbered, on=s.PERSON_ID)


_FIRST: Final = pl.lit(0, dtype=pl.Int32).alias(PERSON)


def _find_numbers(person_ids: pl.Series, persons: pl.Series) -> Numbers:
    """Find the number of each person, or the one after the last."""
    if person_ids.equals(persons):
        return np.arange(len(persons), dtype=np.int32)
    numbered = persons.to_frame().lazy().with_row_index(NUMBER).with_columns(pl.col(NUMBER).cast(pl.Int32))
    return look_up(person_ids, numbered, len(persons))


NUMBER: Final = "number"


def look_up(person_ids: pl.Series, numbered: pl.LazyFrame, missing: int) -> Numbers:
    """Look up the `number` of each person (Int32), in a frame that has each once.

    A person may stand in many rows, one after the other: the first one is looked up.
    """
    is_other = person_ids.ne_missing(person_ids.shift(1)).to_numpy().copy()
    is_other[:1] = True  # the first, even one who has no id
    starts = pl.Series(np.flatnonzero(is_other))
    first = person_ids.gather(starts).to_frame().lazy()
    found = first.join(numbered, on=s.PERSON_ID, how="left", maintain_order="left")
    (numbers,) = collect([found.select(pl.col(NUMBER).fill_null(missing))])
    return np.repeat(numbers[NUMBER].to_numpy(), np.diff(starts.to_numpy(), append=len(person_ids)))


def collect(frames: Iterable[pl.LazyFrame]) -> list[pl.DataFrame]:
    """Collect frames; planning more than what saves reading takes longer than the work for one citizen."""
    return pl.collect_all(list(frames), engine="in-memory", optimizations=_PLANNING)


_PLANNING: Final = pl.QueryOptFlags.none().update(predicate_pushdown=True, projection_pushdown=True)


@cache
def _list_tables(views: frozenset[str]) -> tuple[str, ...]:
    read = {table for name in views for table in (*VIEWS[name].tables, *VIEWS[name].also)}
    return tuple(table for table in s.EVENT_TABLES if table in read)


def _find_reach(features: Sequence[Feature]) -> timedelta | None:
    """Find how far back the features of large tables look, None if one has no window.

    The rows of such a table are only counted, one by one, so that older ones cannot matter.
    """
    large = {name for name, view in VIEWS.items() if set(LARGE_TABLES) & set(view.tables)}
    windows = [feature.window for feature in features if feature.definition.events in large]
    days = [window.days for window in windows if window is not None]
    return timedelta(days=max(days)) if days and len(days) == len(windows) else None
