"""Reading: the rows that some feature may need, read and prepared once for any number of index moments."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from somv_risk import schema as s
from somv_risk.asof import Lags
from somv_risk.features._rows import LARGE_TABLES, number_persons, prepare_rows
from somv_risk.features._spec import Feature
from somv_risk.features._timeline import MOMENT, Timeline, build_known_stays, look_back
from somv_risk.features._views import VIEWS
from somv_risk.histories import NOBODY, PERSON, Histories

_ASKED: Final = "_asked"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows in memory that can be looked back upon from any moment for which they were read.

    If they were read for several index times, those of large tables are in order of time: what one of these
    times reaches then stands together, and need not be searched for.
    """

    features: Sequence[Feature]
    persons: pl.DataFrame
    rows: Mapping[str, pl.DataFrame]
    lags: Lags

    def look_back(self, moments: pl.DataFrame) -> Timeline:
        """Look back from moments, upon the rows they may see."""
        renumbered = moments.drop(MOMENT).with_row_index(MOMENT)
        seen = {
            table: self._slice(frame, moments) if table in LARGE_TABLES else frame
            for table, frame in self.rows.items()
        }
        return _hold(look_back(renumbered, seen, self.persons, self.lags))

    def _slice(self, rows: pl.DataFrame, moments: pl.DataFrame) -> pl.DataFrame:
        """Take, of rows in order of time, those between the farthest look back and the latest index."""
        started_at = rows[s.STARTED_AT]
        if not started_at.is_sorted():
            return rows
        earliest, latest = _span(moments)
        reach = _find_reach(self.features)
        first = 0 if reach is None else started_at.search_sorted(earliest - reach, side="left")
        last = started_at.search_sorted(latest, side="left")
        return rows[first:last]


def read_rows(
    histories: Histories, moments: pl.DataFrame, features: Sequence[Feature], lags: Lags
) -> Prepared:
    """Read and prepare the persons of the moments, and the rows that some feature may need."""
    numbers = moments.select(s.PERSON_ID, PERSON)
    if moments[s.INDEX_TIME].n_unique() > 1:
        numbers = numbers.unique()
    tables = _list_tables(features)
    read = _read_numbered if histories.numbered else _read_named
    persons, numbered = read(
        histories, numbers, tables, lambda rows, table: _keep_reachable(rows, table, features, moments)
    )
    prepared = prepare_rows({table: frame.lazy() for table, frame in numbered.items()}, lags)
    if moments[s.INDEX_TIME].n_unique() > 1:
        prepared |= {table: prepared[table].sort(s.STARTED_AT) for table in LARGE_TABLES if table in prepared}
    rows = dict(zip(prepared, collect(prepared.values()), strict=True))
    return Prepared(features, persons, rows, lags)


Cut = Callable[[pl.LazyFrame, str], pl.LazyFrame]


def _read_named(
    histories: Histories, numbers: pl.DataFrame, tables: Sequence[str], cut: Cut
) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Read persons and event tables, and number the persons by their ids."""
    people = histories.persons.join(numbers.lazy(), on=s.PERSON_ID, how="semi")
    persons, *read = collect([people, *(cut(histories.table(table), table) for table in tables)])
    rows = zip(tables, read, strict=True)
    return persons, {table: number_persons(frame, numbers) for table, frame in rows}


def _read_numbered(
    histories: Histories, numbers: pl.DataFrame, tables: Sequence[str], cut: Cut
) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Read tables whose persons have numbers already, and replace these by the numbers asked for."""
    stored = histories.numbered
    people = stored[s.PERSONS].join(numbers.lazy(), on=s.PERSON_ID, how="left", suffix=_ASKED)
    scans = [
        cut(stored[table].drop(s.PERSON_ID) if table in stored else _number_nothing(table), table)
        for table in tables
    ]
    persons, *read = collect([people, *scans])
    asked = persons[PERSON + _ASKED].fill_null(NOBODY).to_numpy()
    number = persons[PERSON].to_numpy()
    place = np.full(number.max(initial=-1) + 2, NOBODY, dtype=np.int32)  # the last one is nobody's
    place[number] = asked
    rows = {
        table: frame.with_columns(pl.Series(PERSON, place[frame[PERSON].to_numpy()], pl.Int32))
        for table, frame in zip(tables, read, strict=True)
    }
    return persons.filter(asked != NOBODY).drop(PERSON, PERSON + _ASKED), rows


def _number_nothing(table: str) -> pl.LazyFrame:
    return pl.LazyFrame(schema={**s.get_columns(table), PERSON: pl.Int32}).drop(s.PERSON_ID)


def collect(frames: Iterable[pl.LazyFrame]) -> list[pl.DataFrame]:
    """Collect frames whose plans may share parts."""
    return pl.collect_all(list(frames), engine="in-memory")


def _list_tables(features: Sequence[Feature]) -> list[str]:
    views = {feature.definition.events for feature in features}
    read = {table for name in views for table in (*VIEWS[name].tables, *VIEWS[name].also)}
    return [table for table in s.EVENT_TABLES if table in read]


def _keep_reachable(
    rows: pl.LazyFrame, table: str, features: Sequence[Feature], moments: pl.DataFrame
) -> pl.LazyFrame:
    """Keep the rows that start before the latest index and, of a large table, within reach of a window."""
    earliest, latest = _span(moments)
    kept = rows.filter(pl.col(s.STARTED_AT) < latest)
    reach = _find_reach(features) if table in LARGE_TABLES else None
    return kept if reach is None else kept.filter(pl.col(s.STARTED_AT) >= earliest - reach)


def _find_reach(features: Sequence[Feature]) -> timedelta | None:
    """Find how far back the features of large tables look, None if one has no window.

    The rows of such a table are only counted, one by one, so that older ones cannot matter.
    """
    windows = [f.window for f in features if set(LARGE_TABLES) & set(VIEWS[f.definition.events].tables)]
    days = [window.days for window in windows if window is not None]
    return timedelta(days=max(days)) if days and len(days) == len(windows) else None


def _span(moments: pl.DataFrame) -> tuple[datetime, datetime]:
    earliest: datetime
    latest: datetime
    earliest, latest = moments.select(
        pl.col(s.INDEX_TIME).min().alias("earliest"), pl.col(s.INDEX_TIME).max().alias("latest")
    ).row(0)
    return earliest, latest


def _hold(timeline: Timeline) -> Timeline:
    """Hold in memory what several views are built from."""
    held = collect(timeline.known.values())
    known = {table: frame.lazy() for table, frame in zip(timeline.known, held, strict=True)}
    stays = collect([build_known_stays(known)])[0].lazy() if s.ADMISSIONS in known else timeline.stays
    return Timeline(timeline.moments, known, stays, timeline.persons)
