"""Both builds of stays agree: that in Polars, for outcomes, and the loop over arrays, for features."""

from datetime import timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from drawn import ADA, draw_rows
from small_world import INDEX, INDEX_TIMES, OFTEN, PERSONS, TABLES, build_histories
from somv_risk.cohort.asof import KEY, Lags
from somv_risk.cohort.stays import (
    HAS_PSYCHIATRIC,
    IS_ACUTE,
    IS_ADMISSION,
    LASTED,
    build_known_stays,
)
from somv_risk.features import Timeline, load_catalogue, read_rows, to_microseconds
from somv_risk.registers import schema as s

FEATURE = next(feature for feature in load_catalogue() if feature.name == "acute_admissions_365d")
COLUMNS = [
    *KEY,
    s.STARTED_AT,
    s.ENDED_AT,
    s.SECTOR,
    s.DIAGNOSIS,
    s.DISCHARGE,
    IS_ACUTE,
    HAS_PSYCHIATRIC,
    LASTED,
    IS_ADMISSION,
]
ORDER = [*KEY, s.STARTED_AT]

moments = st.lists(st.tuples(st.sampled_from(PERSONS), st.sampled_from(INDEX_TIMES)), min_size=1, unique=True)


def make_moments(rows):
    return pl.DataFrame(rows, schema={s.PERSON_ID: pl.String, s.INDEX_TIME: pl.Datetime("us")}, orient="row")


def build_by_polars(histories, rows, lags):
    stays = build_known_stays(histories, rows.lazy(), lags).collect()
    return stays.select(COLUMNS).cast({s.SECTOR: pl.String, s.DISCHARGE: pl.String}).sort(ORDER)


def build_by_loops(histories, rows, lags):
    prepared = read_rows(histories, rows, [FEATURE], lags)
    stays = Timeline(prepared, prepared.numbers, to_microseconds(rows[s.INDEX_TIME])).stays
    index = pl.col(s.INDEX_TIME)
    found = rows[stays.moment].with_columns(
        pl.Series("start_age", stays.start_age),
        pl.Series("end_age", stays.end_age),
        pl.Series(LASTED, stays.lasted).cast(pl.Duration("us")),
        *(
            pl.Series(name, getattr(stays, name).list_texts(), pl.String)
            for name in (s.SECTOR, s.DIAGNOSIS, s.DISCHARGE)
        ),
        *(pl.Series(name, getattr(stays, name)) for name in (IS_ACUTE, HAS_PSYCHIATRIC, IS_ADMISSION)),
    )
    is_over = pl.col("end_age") > 0
    return found.select(
        *KEY,
        (index - pl.duration(microseconds="start_age")).alias(s.STARTED_AT),
        pl.when(is_over).then(index - pl.duration(microseconds="end_age")).alias(s.ENDED_AT),
        *COLUMNS[4:],
    ).sort(ORDER)


@OFTEN
@given(
    contacts=TABLES["admissions"],
    persons=TABLES["persons"],
    asked=moments,
    lag=st.sampled_from([0.0, 0.5, 2.0]),
)
def test_stays_known_at_a_moment_are_the_same_by_both_builds(contacts, persons, asked, lag):
    histories = build_histories({"persons": persons, "admissions": contacts})
    rows, lags = make_moments(asked), Lags({s.ADMISSIONS: lag})
    assert_frame_equal(build_by_loops(histories, rows, lags), build_by_polars(histories, rows, lags))


def test_both_builds_find_the_stay_that_two_contacts_make():
    contacts = draw_rows(
        s.ADMISSIONS,
        "started_at ended_at admission_type sector\n-10d -9d acute somatic\n-9d -7d planned psychiatric",
    )
    histories = build_histories({"persons": [ADA], "admissions": contacts})
    rows = make_moments([("ada", INDEX)])
    for build in (build_by_loops, build_by_polars):
        (stay,) = build(histories, rows, Lags({})).to_dicts()
        assert stay[s.ENDED_AT] - stay[s.STARTED_AT] == stay[LASTED] == timedelta(days=3)
        assert stay[IS_ACUTE]
        assert stay[HAS_PSYCHIATRIC]
        assert stay[IS_ADMISSION]
