"""Moments: one way of reading for calls and columns, whatever form or library they come from."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somv_risk.calls.moments import parse_moment, read_moments
from somv_risk.errors import ConfigError

# Written form, and what the clock in Copenhagen shows: an hour ahead of UTC in winter and two in summer.
FORMS = {
    "2025-03-01": datetime(2025, 3, 1),
    "20250301": datetime(2025, 3, 1),
    "2025-03-01 10:00": datetime(2025, 3, 1, 10),
    "2025-03-01T10:00": datetime(2025, 3, 1, 10),
    "2025-03-01T10:00:07": datetime(2025, 3, 1, 10, 0, 7),
    "20250301T100007": datetime(2025, 3, 1, 10, 0, 7),
    "2025-03-01t10:00": datetime(2025, 3, 1, 10),
    "2025-03-01T10:00:00,25": datetime(2025, 3, 1, 10, 0, 0, 250_000),
    "2025-03-01T10:00:00.1234567": datetime(2025, 3, 1, 10, 0, 0, 123_456),
    "2025-03-01 10:00:00+01": datetime(2025, 3, 1, 10),
    "2025-03-01 10:00:00.5+01": datetime(2025, 3, 1, 10, 0, 0, 500_000),
    "2025-07-01 10:00:00+02": datetime(2025, 7, 1, 10),
    "2025-03-01 10:00:00+0100": datetime(2025, 3, 1, 10),
    "2025-03-01T10:00:00+01:00": datetime(2025, 3, 1, 10),
    "2025-03-01T10:00+01:00": datetime(2025, 3, 1, 10),
    "2025-03-01T10:00 +01:00": datetime(2025, 3, 1, 10),
    "2025-03-01T10:00-03:30": datetime(2025, 3, 1, 14, 30),
    "2025-03-01T10:00Z": datetime(2025, 3, 1, 11),
    "2025-03-01T10:00:00Z": datetime(2025, 3, 1, 11),
    "2025-03-01t10:00:00z": datetime(2025, 3, 1, 11),
    "2025-03-01 10:00:00 UTC": datetime(2025, 3, 1, 11),
    "2025-07-01 10:00:00 UTC": datetime(2025, 7, 1, 12),
    "2025-03-01 23:30 GMT": datetime(2025, 3, 2, 0, 30),
    "2025-03-01T10:00:00.1234567Z": datetime(2025, 3, 1, 11, 0, 0, 123_456),
}
NO_FORMS = [
    *("", "soon", "2025", "2025-03", "31-01-2025", "01/02/2025", "2025-02-30", "20251301", "1.5.1980"),
    *("2025-03-01T25:00", "2025-03-01T10", "2025-03-01T10:00+25", "2025-03-01T10:00 CET", "2025-03-01+01"),
    *("0101701234", "\uff12025-03-01T10:00Z"),
]


@pytest.mark.parametrize(("text", "moment"), FORMS.items())
def test_every_form_of_iso_8601_is_read_as_local_time(text, moment):
    assert parse_moment(text) == moment


def test_a_column_may_mix_all_forms_and_is_read_as_one_by_one():
    texts = [*FORMS, None, *NO_FORMS]
    read = read_moments(pl.Series(texts))
    assert read.local.to_list() == [*FORMS.values(), None, *[None] * len(NO_FORMS)]


def test_what_came_with_a_zone_is_known_in_utc_too():
    read = read_moments(pl.Series(["2025-03-01T10:00", "2025-03-01T10:00Z", "2025-03-01 10:00+01", None]))
    assert read.utc.to_list() == [None, datetime(2025, 3, 1, 10), datetime(2025, 3, 1, 9), None]


@pytest.mark.parametrize("text", NO_FORMS)
def test_other_text_is_no_moment(text):
    with pytest.raises(ConfigError, match="is not a moment"):
        parse_moment(text)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (date(2025, 5, 1), datetime(2025, 5, 1)),
        (datetime(2025, 5, 1, 8, tzinfo=UTC), datetime(2025, 5, 1, 10)),
        (datetime(2025, 5, 1, 8, tzinfo=timezone(timedelta(hours=2))), datetime(2025, 5, 1, 8)),
        (pd.Timestamp("2025-05-01T08:00:00.123456789"), datetime(2025, 5, 1, 8, 0, 0, 123_456)),
        (pd.Timestamp("2025-05-01T08:00", tz="America/New_York"), datetime(2025, 5, 1, 14)),
        (np.datetime64("2025-05-01"), datetime(2025, 5, 1)),
        (np.datetime64("2025-05"), datetime(2025, 5, 1)),
        (np.datetime64("2025-05-01T08:00:00.123456789"), datetime(2025, 5, 1, 8, 0, 0, 123_456)),
        (np.str_("2025-05-01"), datetime(2025, 5, 1)),
    ],
)
def test_moments_of_python_pandas_and_numpy_are_read(value, moment):
    read = parse_moment(value)
    assert (read, type(read)) == (moment, datetime)


def test_a_moment_of_a_frame_taken_out_as_numpy_is_read():
    moments = pl.Series([datetime(2025, 5, 1)]).to_numpy()
    assert [parse_moment(value) for value in moments] == [datetime(2025, 5, 1)]


def test_another_zone_can_be_asked_for():
    assert parse_moment("2025-01-15T08:00Z", "Europe/Helsinki") == datetime(2025, 1, 15, 10)


@pytest.mark.parametrize(
    "value",
    [
        *(None, pd.NaT, np.datetime64("NaT"), True, 0, 20250501, 1.5, b"2025-05-01", time(8), ["2025-05-01"]),
        *(timedelta(1), np.int64(5), np.timedelta64(5, "D"), np.datetime64(2**62, "s")),
        object(),
    ],
)
def test_what_is_no_moment_is_refused(value):
    with pytest.raises(ConfigError, match=r"is not a moment\. Write it like"):
        parse_moment(value)


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2099, 1, 1)),
    st.integers(-15 * 60, 15 * 60),
    st.sampled_from(["T", " "]),
)
def test_any_offset_is_read_as_python_reads_it(moment, minutes, between):
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = zoned.astimezone(ZoneInfo("Europe/Copenhagen")).replace(tzinfo=None, fold=0)
    assert parse_moment(zoned.isoformat(between)) == expected
    assert parse_moment(zoned) == expected


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_typed_columns_are_read_in_every_unit(unit):
    column = pl.Series([datetime(2025, 7, 1, 10), None], dtype=pl.Datetime(unit))
    assert read_moments(column).local.to_list() == [datetime(2025, 7, 1, 10), None]
    zoned = read_moments(column.dt.replace_time_zone("UTC"))
    assert zoned.local.to_list() == [datetime(2025, 7, 1, 12), None]
    assert zoned.utc.to_list() == [datetime(2025, 7, 1, 10), None]
    assert zoned.local.dtype == zoned.utc.dtype == pl.Datetime("us")


@pytest.mark.parametrize(
    "dtype", [pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ms", "UTC"), pl.Datetime("us", "UTC")]
)
@pytest.mark.parametrize("number", [2**62, -(2**62)])
def test_a_moment_beyond_all_calendars_is_null(dtype, number):
    column = pl.Series([number, 0], dtype=pl.Int64).cast(dtype)
    assert read_moments(column).local.is_null().to_list() == [True, False]


def test_a_date_beyond_all_calendars_is_null():
    column = pl.Series([2**30, 0], dtype=pl.Int32).cast(pl.Date)
    assert read_moments(column).local.to_list() == [None, datetime(1970, 1, 1)]


@pytest.mark.parametrize(
    ("text", "day"), [("9999-12-31T23:59:59Z", date(9999, 12, 31)), ("0001-01-01T00:00+01", date(1, 1, 1))]
)
def test_the_ends_of_the_calendar_stay_within_it(text, day):
    assert read_moments(pl.Series([text])).local.dt.date().to_list() == [day]
    assert parse_moment(datetime.max.replace(tzinfo=UTC)) == datetime.max


@pytest.mark.parametrize("values", [[1], [1.5], [True], [b"2025"], [["2025-01-01"]], [time(8)]])
def test_columns_of_other_types_hold_no_moments(values):
    assert read_moments(pl.Series(values)) is None
