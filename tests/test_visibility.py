"""The rule of when a row is known: the same for a column, a literal and one moment, and for features."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somv_risk.cohort.asof import (
    build_asof_view,
    compute_end,
    compute_known_since,
    is_end_known,
    is_visible,
)
from somv_risk.features._tables import encode
from somv_risk.features._texts import Texts
from somv_risk.registers import schema as s
from somv_risk.registers.histories import PERSON

INDEX = datetime(2025, 6, 1)
SOURCE = Path(__file__).parents[1] / "src" / "somv_risk"

days = st.integers(-6, 3)
rows_drawn = st.lists(st.tuples(days, st.none() | st.integers(0, 4), st.none() | days), max_size=12)
lags = st.integers(0, 3).map(lambda days: timedelta(days=days))


def move(days):
    return None if days is None else INDEX + timedelta(days=days)


def make_frame(rows, table=s.ADMISSIONS):
    lines = [
        {
            s.STARTED_AT: move(start),
            s.ENDED_AT: None if length is None else move(start + length),
            s.KNOWN_AT: move(known),
        }
        for start, length, known in rows
    ]
    moments = dict.fromkeys((s.STARTED_AT, s.ENDED_AT, s.KNOWN_AT), pl.Datetime("us"))
    columns = [*s.get_columns(table)]
    frame = pl.DataFrame(lines, schema=moments).with_columns(
        pl.lit("p").alias(s.PERSON_ID), pl.lit(INDEX).alias(s.INDEX_TIME)
    )
    empty = [pl.lit(None, s.get_columns(table)[name]).alias(name) for name in columns if name not in frame]
    return frame.with_columns(empty)


def is_seen(start, known, lag):
    return start < 0 and (start + lag.days < 0 if known is None else known < 0)


def has_ended(table, start, length, lag):
    if length is None:
        return s.TABLES[table].is_point and start + lag.days < 0
    return start + length + lag.days < 0


@given(rows=rows_drawn, lag=lags, table=st.sampled_from([s.ADMISSIONS, s.PRIMARY_CARE]))
def test_a_row_is_visible_alike_for_a_column_a_literal_and_a_moment(rows, lag, table):
    frame = make_frame(rows, table)
    for index in (pl.col(s.INDEX_TIME), pl.lit(INDEX), INDEX):
        found = frame.select(seen=is_visible(index, lag), over=is_end_known(index, table, lag))
        assert found["seen"].to_list() == [is_seen(start, known, lag) for start, _, known in rows]
        assert found["over"].to_list() == [has_ended(table, start, length, lag) for start, length, _ in rows]


@given(rows=rows_drawn, lag=lags)
def test_the_view_and_the_arrays_of_features_see_the_same_rows(rows, lag):
    frame = make_frame(rows)
    moments = pl.DataFrame({s.PERSON_ID: ["p"], s.INDEX_TIME: [INDEX]}).lazy()
    view = build_asof_view(frame.drop(s.INDEX_TIME).lazy(), moments, s.ADMISSIONS, lag).collect()
    named = frame.lazy().with_columns(pl.lit(0, pl.Int32).alias(PERSON))
    arrays = encode(named, s.ADMISSIONS, Texts(), lag, is_numbered=False).collect()
    now = np.datetime64(INDEX, "us").astype(np.int64)
    seen = arrays.filter(pl.col(s.STARTED_AT) < now, pl.col(s.KNOWN_AT) < now)
    assert seen[s.STARTED_AT].to_list() == view[s.STARTED_AT].to_physical().to_list()
    expected = [INDEX + timedelta(days=start) for start, _, known in rows if is_seen(start, known, lag)]
    assert view[s.STARTED_AT].to_list() == expected


def test_a_row_without_a_known_moment_is_known_after_the_lag():
    frame = make_frame([(-3, 1, None), (-3, 1, -2)])
    since = frame.select(compute_known_since(timedelta(days=2))).to_series().to_list()
    assert since == [move(-1), move(-2)]


@pytest.mark.parametrize(("table", "end"), [(s.ADMISSIONS, None), (s.PRIMARY_CARE, -3)])
def test_a_point_event_is_over_when_it_starts(table, end):
    frame = make_frame([(-3, None, None)], table)
    assert frame.select(compute_end(table)).to_series().to_list() == [move(end)]


# Proofs ask no rule that they prove; the store says since when a row is known, before there is any index;
# and a compiled loop compares numbers: test_feature_loops holds it to the rule.
OWN_REASONS = ("testing/", "store/", "simulate/", "features/_loops.py", "cohort/asof.py")
RESTATED = re.compile(r"KNOWN_AT\)?\s*(<|>|\.is_null|\.fill_null)|\blag\w*(\.of\([^)]*\))?\s*(<|>)")


def test_the_rule_is_written_once():
    restated = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        if not str(path.relative_to(SOURCE)).startswith(OWN_REASONS)
        for line in path.read_text(encoding="utf-8").splitlines()
        if RESTATED.search(line)
    ]
    assert restated == []
    assert RESTATED.search("pl.col(s.KNOWN_AT) < index")
    assert RESTATED.search("pl.col(s.STARTED_AT) + lag < index")
