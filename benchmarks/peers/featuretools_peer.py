"""featuretools 1: answers the window cases and builds the asked features, in its own environment."""

import warnings
from collections.abc import Mapping
from typing import Any

import featuretools as ft
import pandas as pd
import polars as pl
from featuretools.primitives import Count, Mean, NumUnique, TimeSinceLast

from benchmarks.peers.asked import ANY, GROUPS, LONGEST, TABLES, Group
from benchmarks.peers.exchange import INDEX, PERSON, START, Events, main

OFFERS = {"count", "distinct", "recency"}
EVENT_ID, PEOPLE, ROW = "event_id", "people", "row"
# Told and not guessed: a person 07 might become 7, and an empty table has nothing to guess from.
TYPES = {PERSON: "Categorical", START: "Datetime", "value": "Categorical"}
AGGREGATED = {
    "count": (EVENT_ID, Count()),
    "distinct": ("value", NumUnique()),
    "recency": (START, TimeSinceLast(unit="days")),
    "days_since": (START, TimeSinceLast(unit="days")),
}


def answer(events: pl.DataFrame, cohort: pl.DataFrame, question: Any) -> list[Any]:  # noqa: ANN401 - a namespace
    """Answer as the documentation shows; `careful` excludes the index, which is not the default."""
    persons = pl.concat([cohort[PERSON], events[PERSON]])
    entities = relate(persons, {"events": events.select(PERSON, START, "value")})
    column, primitive = AGGREGATED[question.measure]
    feature = ft.Feature(entities["events"].ww[column], parent_dataframe_name=PEOPLE, primitive=primitive)
    asked = cohort.with_row_index(ROW).select(PERSON, pl.col(INDEX).alias("time"), ROW).to_pandas()
    asked.ww.init(logical_types={PERSON: "Categorical", "time": "Datetime", ROW: "Integer"})
    matrix = ft.calculate_feature_matrix(
        [feature],
        entities,
        cutoff_time=asked,
        training_window=f"{question.days} days",
        include_cutoff_time=not question.careful,
    )
    return pl.Series(matrix.sort_values(ROW)[feature.get_name()].astype(float)).fill_nan(None).to_list()


def relate(persons: pl.Series, tables: Mapping[str, pl.DataFrame]) -> ft.EntitySet:
    """Put persons and their events into an entity set."""
    people = persons.drop_nulls().unique().sort().to_frame(PERSON).to_pandas()
    entities = ft.EntitySet("peers")
    entities.add_dataframe(people, PEOPLE, index=PERSON, logical_types=_tell_types(people))
    for name, table in tables.items():
        rows = table.to_pandas()
        entities.add_dataframe(
            rows, name, index=EVENT_ID, make_index=True, time_index=START, logical_types=_tell_types(rows)
        )
        entities.add_relationship(PEOPLE, PERSON, name, PERSON)
    entities.add_last_time_indexes()
    return entities


def _tell_types(rows: pd.DataFrame) -> Mapping[str, str]:
    return {column: TYPES.get(column, "Integer") for column in rows.columns}


def build(events: Events, cohort: pl.DataFrame) -> pl.DataFrame:
    """Build the asked features: one call per window, since a call has one."""
    flags = pl.selectors.boolean().cast(pl.Int8)
    tables = {table: events[table, LONGEST].with_columns(flags) for table in TABLES}
    entities = relate(cohort[PERSON], tables)
    wide = cohort
    for days in sorted({days for group in GROUPS for days in group.windows}):
        part = _look_back(entities, days, pd.Timestamp(cohort[INDEX].item(0)))
        wide = wide.join(part, on=PERSON, how="left", maintain_order="left")
    return wide


def _look_back(entities: ft.EntitySet, days: int, index: pd.Timestamp) -> pl.DataFrame:
    asked = {
        group.name(flag, days): _define(entities, group, flag)
        for group in GROUPS
        if days in group.windows
        for flag in group.flags
    }
    matrix = ft.calculate_feature_matrix(
        list(asked.values()),
        entities,
        cutoff_time=index,
        training_window=f"{days} days",
        include_cutoff_time=False,
    )
    columns = {name: matrix[feature.get_name()].astype(float) for name, feature in asked.items()}
    built = pl.DataFrame({PERSON: matrix.index.astype(str).to_list(), **columns})
    return built.with_columns(pl.selectors.float().fill_nan(None))


def _define(entities: ft.EntitySet, group: Group, flag: str) -> ft.FeatureBase:
    table = entities[group.table].ww
    column, primitive = (flag, Mean()) if group.measure == "share" else AGGREGATED[group.measure]
    among = group.of if group.measure == "share" else flag
    where = None if among == ANY else ft.Feature(table[among]) == 1
    return ft.Feature(table[column], parent_dataframe_name=PEOPLE, primitive=primitive, where=where)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(OFFERS, answer, build)
