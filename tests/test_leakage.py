"""Leakage: the proof passes for the library's features and catches every planted leak."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given

from drawn import draw_histories
from reference import is_known, mask_unknown_end
from small_world import INDEX, SELDOM, lags, worlds
from somv_risk.cohort.asof import KEY, NO_LAGS, Lags, build_asof_view
from somv_risk.cohort.bounds import add_alive_until, bound_contacts, see_all_contacts
from somv_risk.cohort.stays import build_stays
from somv_risk.errors import LeakageError
from somv_risk.features import build_features, load_catalogue
from somv_risk.registers import schema as s
from somv_risk.testing import assert_no_future_leakage

DAY = timedelta(days=1)
HAND_MADE = draw_histories(
    admissions="""
        started_at ended_at known_at discharge
        -60h       -52h     .        completed
        -44h       -36h     .        left_early
        -52h       -44h     +1d      completed
        -9h        +9h      .        left_early
        0          +2d      .        completed
        """,
    substance_abuse="started_at ended_at end_reason\n-99d +9d dropped_out",
    psychiatric_contacts="started_at known_at attendance\n-9d . no_show\n+9d -9d attended",
    social_benefits="started_at ended_at\n-400d .",
)
NEVER_CLOSED = {
    "admissions": """
        started_at ended_at known_at sector
        -900d      .        .        somatic
        -890d      +9d      .        psychiatric
        -300d      -298d    .        somatic
        -200d      .        .        somatic
        -190d      -188d    +1d      somatic
        -130d      -3d      .        somatic
        -20d       .        .        somatic
        """,
    "substance_abuse": "started_at ended_at\n-99d .",
}
WITHOUT_A_FUTURE = draw_histories(admissions="started_at ended_at\n-60h -52h\n-40h -30h")


def count_rows(moments: pl.DataFrame, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Count events per cohort row, in cohort order."""
    counts = rows.group_by(KEY).agg(pl.len().alias("events"))
    return moments.lazy().join(counts, on=KEY, how="left", maintain_order="left")


def known_contacts(histories, cohort, lags) -> pl.LazyFrame:
    return build_asof_view(histories.admissions, cohort.lazy(), s.ADMISSIONS, lags.of(s.ADMISSIONS))


def forget_known_at(histories, cohort, features=None, *, lags=NO_LAGS):
    tables = {
        name: frame.with_columns(pl.lit(None, pl.Datetime("us")).alias(s.KNOWN_AT))
        if name != s.PERSONS
        else frame
        for name, frame in histories.tables.items()
    }
    return build_features(replace(histories, tables=tables), cohort, features, lags=lags)


def forget_lags(histories, cohort, features=None, *, lags=NO_LAGS):  # noqa: ARG001  the planted leak
    return build_features(histories, cohort, features)


def include_the_index(histories, cohort, features=None, *, lags=NO_LAGS):  # noqa: ARG001
    known_at = pl.coalesce(s.KNOWN_AT, s.STARTED_AT)
    rows = histories.admissions.join(cohort.lazy(), on=s.PERSON_ID).filter(known_at <= pl.col(s.INDEX_TIME))
    return count_rows(cohort, rows.filter(pl.col(s.STARTED_AT) <= pl.col(s.INDEX_TIME)))


def believe_announcements(histories, cohort, features=None, *, lags=NO_LAGS):  # noqa: ARG001
    known_at = pl.coalesce(s.KNOWN_AT, s.STARTED_AT)
    rows = histories.admissions.join(cohort.lazy(), on=s.PERSON_ID).filter(known_at < pl.col(s.INDEX_TIME))
    return count_rows(cohort, rows)


def show_ends(histories, cohort, features=None, *, lags=NO_LAGS):  # noqa: ARG001
    seen = known_contacts(histories, cohort, lags).select(*KEY, s.CONTACT_ID)
    unmasked = seen.join(histories.admissions, on=[s.PERSON_ID, s.CONTACT_ID])
    return count_rows(cohort, unmasked.filter(pl.col(s.DISCHARGE) == "left_early"))


def see_an_end_at_the_index(histories, cohort, features=None, *, lags=NO_LAGS):  # noqa: ARG001
    seen = known_contacts(histories, cohort, lags).select(*KEY, s.CONTACT_ID)
    unmasked = seen.join(histories.admissions, on=[s.PERSON_ID, s.CONTACT_ID])
    return count_rows(cohort, unmasked.filter(pl.col(s.ENDED_AT) <= pl.col(s.INDEX_TIME)))


def merge_before_cutting(histories, cohort, features=None, *, lags=NO_LAGS):  # noqa: ARG001
    contacts = add_alive_until(histories.admissions.join(cohort.lazy(), on=s.PERSON_ID), histories.persons)
    stays = build_stays(contacts.with_columns(pl.col(s.INDEX_TIME).alias("until")), by=KEY)
    known = pl.col(s.STARTED_AT) < pl.col(s.INDEX_TIME)
    return count_rows(cohort, stays.filter(known))


def know_who_will_die(histories, cohort, features=None, *, lags=NO_LAGS):  # noqa: ARG001
    fates = histories.persons.select(s.PERSON_ID, pl.col(s.DEATH_DATE).is_not_null().alias("events"))
    return cohort.lazy().join(fates, on=s.PERSON_ID, how="left", maintain_order="left")


def bound_before_cutting(histories, cohort, features=None, *, lags=NO_LAGS):
    """Let contacts end when another starts that is not known yet, and those of who will die at the death."""
    in_order = see_all_contacts(histories).sort(s.PERSON_ID, s.STARTED_AT)
    bounded = bound_contacts(in_order, by=[s.PERSON_ID]).select(*s.get_columns(s.ADMISSIONS))
    tables = {**histories.tables, s.ADMISSIONS: bounded}
    return build_features(replace(histories, tables=tables), cohort, features, lags=lags)


LEAKS = {
    forget_known_at: s.ADMISSIONS,
    include_the_index: s.ADMISSIONS,
    believe_announcements: s.ADMISSIONS,
    show_ends: s.ADMISSIONS,
    see_an_end_at_the_index: s.ADMISSIONS,
    merge_before_cutting: s.ADMISSIONS,
    know_who_will_die: s.PERSONS,
}

CAUGHT_BY_WHAT_IS_ADDED = [leak for leak in LEAKS if leak not in (show_ends, see_an_end_at_the_index)]


@SELDOM
@given(worlds(), lags)
def test_no_feature_sees_the_future(world, lags_of_tables):
    index = world.cohort[0][1]
    assert_no_future_leakage(world.histories, index, lags=Lags(lags_of_tables), rounds=1)


@pytest.mark.parametrize("hours", [0, 12])
def test_no_feature_sees_the_future_of_a_hand_made_history(hours):
    assert_no_future_leakage(HAND_MADE, INDEX.replace(hour=hours), rounds=5)


def test_histories_without_persons_pass():
    assert_no_future_leakage(HAND_MADE.keep_persons(pl.LazyFrame({s.PERSON_ID: ["nobody"]})), INDEX, rounds=1)


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_a_planted_leak_is_caught(leak):
    with pytest.raises(LeakageError, match=LEAKS[leak]):
        assert_no_future_leakage(HAND_MADE, INDEX, build=leak)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("person", [{}, {"death_date": (INDEX - 9 * DAY).date()}], ids=["alive", "dead"])
def test_no_feature_sees_what_becomes_of_a_contact_that_was_never_closed(person, seed):
    assert_no_future_leakage(
        draw_histories(person=person, **NEVER_CLOSED), INDEX, lags=Lags({s.ADMISSIONS: 7}), seed=seed
    )


@pytest.mark.parametrize("seed", range(5))
def test_bounds_found_before_the_cut_are_caught(seed):
    with pytest.raises(LeakageError, match=s.ADMISSIONS):
        assert_no_future_leakage(draw_histories(**NEVER_CLOSED), INDEX, build=bound_before_cutting, seed=seed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("leak", CAUGHT_BY_WHAT_IS_ADDED, ids=lambda leak: leak.__name__)
def test_a_planted_leak_is_caught_in_histories_that_have_no_future(leak, seed):
    with pytest.raises(LeakageError):
        assert_no_future_leakage(WITHOUT_A_FUTURE, INDEX, build=leak, seed=seed, rounds=5)


def test_a_builder_that_forgets_the_lag_is_caught():
    assert_no_future_leakage(HAND_MADE, INDEX, build=forget_lags)
    with pytest.raises(LeakageError):
        assert_no_future_leakage(HAND_MADE, INDEX, build=forget_lags, lags=Lags({s.ADMISSIONS: 2}))


def test_the_error_names_features_and_tables_and_no_person():
    with pytest.raises(LeakageError) as caught:
        assert_no_future_leakage(HAND_MADE, INDEX, build=forget_known_at)
    message = str(caught.value)
    assert "emergency_visits_30d" in message
    assert "table admissions was deleted" in message
    assert "ada" not in message


def test_only_the_features_asked_for_are_tested():
    benefits = [feature for feature in load_catalogue() if feature.name == "on_social_assistance"]
    assert_no_future_leakage(HAND_MADE, INDEX, features=benefits, build=build_features)
    with pytest.raises(LeakageError, match="Features on_social_assistance changed"):
        assert_no_future_leakage(
            draw_histories(social_benefits="started_at known_at\n-9d +9d"),
            INDEX,
            features=benefits,
            build=forget_known_at,
        )


def test_the_same_seed_makes_the_same_alterations():
    assert see_alterations(seed=1) == see_alterations(seed=1)
    assert see_alterations(seed=1) != see_alterations(seed=2)


def see_alterations(seed: int) -> list[list[tuple]]:
    seen = []

    def look(histories, cohort, features=None, *, lags=NO_LAGS):  # noqa: ARG001
        seen.append(histories.admissions.collect().rows())
        return cohort.lazy()

    assert_no_future_leakage(HAND_MADE, INDEX, build=look, seed=seed)
    return seen


@SELDOM
@given(worlds(), lags)
def test_alterations_leave_what_was_known(world, lags_of_tables):
    index, seen = world.cohort[0][1], []

    def look(histories, cohort, features=None, *, lags=NO_LAGS):  # noqa: ARG001
        seen.append(
            [list_known(histories, name, index, lags) for name in histories.tables if name != s.PERSONS]
        )
        return cohort.lazy()

    assert_no_future_leakage(world.histories, index, build=look, lags=Lags(lags_of_tables))
    assert all(known == seen[0] for known in seen)


def list_known(histories, table, index, lags) -> list[str]:
    """What the reference holds to be known, in no particular order."""
    lag, rows = lags.of(table), histories.table(table).collect().to_dicts()
    known = [mask_unknown_end(row, table, index, lag) for row in rows if is_known(row, index, lag)]
    return sorted(map(str, known))


def test_an_index_moment_with_a_zone_is_the_local_one():
    seen = []

    def look(_histories, cohort, _features=None, *, lags=NO_LAGS):  # noqa: ARG001
        seen.append(cohort["index_time"].unique().to_list())
        return cohort.lazy()

    assert_no_future_leakage(HAND_MADE, "2025-02-28T23:00Z", build=look)
    assert seen[0] == [INDEX]


@pytest.mark.parametrize("known_at", ["0", "+1us", "+9d"])
def test_a_diagnosis_tells_nothing_of_a_contact_that_is_known_later(known_at):
    histories = draw_histories(
        admissions=f"started_at known_at contact_id\n-9d {known_at} a0",
        diagnoses="started_at ended_at contact_id code\n-9d -8d a0 F102",
    )
    assert_no_future_leakage(histories, INDEX)
