"""Sources: the rows of the tables that the events behind a feature were made of.

Evidence is events: a stay is made of several contacts, a spell of several grants, and a diagnosis is only a
part of a contact. Each view says which rows its events are made of (`View.sources`).
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from somv_risk.cohort.asof import KEY, Lags
from somv_risk.cohort.bounds import build_bounded_view
from somv_risk.features import Feature, Source
from somv_risk.registers import schema as s
from somv_risk.registers.codes import in_group, load_groups
from somv_risk.registers.histories import Histories

ROW: Final = "table_row"
TABLE: Final = "table"
CODE: Final = "is_code"


def see_tables(histories: Histories, moments: pl.DataFrame, lags: Lags) -> dict[str, pl.DataFrame]:
    """See the rows of every event table that count at the moments, each with its number (`table_row`)."""
    return {
        table: build_bounded_view(
            histories.table(table).with_row_index(ROW),
            moments.lazy(),
            histories.persons,
            table,
            lags.of(table),
        ).collect()
        for table in s.EVENT_TABLES
    }


def find_sources(seen: Mapping[str, pl.DataFrame], evidence: pl.DataFrame, feature: Feature) -> pl.DataFrame:
    """Find the known rows that the events behind one feature were made of.

    Returns
    -------
    One row per row of a table: `person_id`, `index_time`, `table`, `table_row`, and `is_code`, true if
    nothing but its diagnosis is behind the feature.
    """
    parts = [
        _find_rows(seen[source.table], evidence, source, feature)
        .select(*KEY, pl.lit(source.table).alias(TABLE), ROW, pl.lit(source.code is not None).alias(CODE))
        .unique()
        for source in feature.definition.view.sources
    ]
    return pl.concat(parts).sort(*KEY, TABLE, ROW)


def _find_rows(rows: pl.DataFrame, evidence: pl.DataFrame, source: Source, feature: Feature) -> pl.DataFrame:
    if source.code:
        rows = rows.filter(_is_asked(pl.col(source.code), source, feature))
    if source.only:
        rows = rows.filter(pl.col(source.text or "").is_in(source.only))
    events = evidence.select(*KEY, s.STARTED_AT, s.ENDED_AT).unique()
    if not source.is_joined:
        return rows.join(events, on=[*KEY, s.STARTED_AT, s.ENDED_AT], how="semi", nulls_equal=True)
    return _find_joined(rows, events, source, feature)


def _is_asked(code: pl.Expr, source: Source, feature: Feature) -> pl.Expr:
    """Whether a code belongs to a group of the source, or to all groups that a feature asks for."""
    if source.groups:
        return pl.any_horizontal(in_group(code, group) for group in source.groups)
    asked = [in_group(code, group) for group in feature.definition.where if group in load_groups()]
    return pl.all_horizontal(code.is_not_null(), *asked)


def _find_joined(rows: pl.DataFrame, events: pl.DataFrame, source: Source, feature: Feature) -> pl.DataFrame:
    """Find the rows that lie in an event and together begin and end with it; of one text, if it has one."""
    by = [source.text] if source.text and not source.only else []
    if by:
        named = set(feature.definition.where) & set(rows[by[0]].cast(pl.String))
        rows = rows.filter(pl.col(by[0]).is_in(named)) if named else rows
    start, end = pl.col(s.STARTED_AT), pl.col(s.ENDED_AT)
    inside = events.rename({s.STARTED_AT: "from", s.ENDED_AT: "to"}).join(rows, on=list(KEY))
    inside = inside.filter(start >= pl.col("from"), (start <= pl.col("to")).fill_null(value=True))
    spell = [*KEY, "from", "to", *by]
    first = start.min().over(spell)
    last = pl.when(end.is_not_null().all().over(spell)).then(end.max().over(spell))
    return inside.filter(first == pl.col("from"), last.eq_missing(pl.col("to")))
