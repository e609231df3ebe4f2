"""Stays: contacts that overlap or lie at most 4 hours apart are one."""

from datetime import timedelta
from itertools import pairwise

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from drawn import draw_rows, read_moment
from reference import MERGE_GAP, Rows, bound_rows, of_person, reference_stays
from small_world import INDEX, OFTEN, PERSONS, TABLES
from somv_risk.cohort.stays import build_stays
from somv_risk.registers import schema as s

UNTIL = INDEX + timedelta(days=2000)  # no contact of the small world starts later
contacts_of_all = TABLES["admissions"]


def see(contacts: Rows, until=UNTIL) -> pl.LazyFrame:
    """See the contacts of persons who are alive."""
    frame = pl.LazyFrame(contacts, schema=s.get_columns(s.ADMISSIONS))
    return frame.with_columns(until=pl.lit(until), alive_until=pl.lit(None, pl.Datetime("us")))


def build(contacts: Rows, until=UNTIL) -> Rows:
    stays = build_stays(see(contacts, until), by=[s.PERSON_ID]).sort(s.PERSON_ID, s.STARTED_AT)
    return stays.collect().to_dicts()


def merge(drawn: str) -> Rows:
    return build(draw_rows(s.ADMISSIONS, drawn), INDEX)


def spans(stays: Rows) -> list[tuple]:
    return [(stay["started_at"], stay["ended_at"]) for stay in stays]


def bound(contacts: Rows, person_id: str) -> Rows:
    return bound_rows(of_person(contacts, person_id), s.ADMISSIONS, UNTIL, None)


@OFTEN
@given(contacts_of_all)
def test_stays_are_what_the_reference_says(contacts):
    expected = [
        {s.PERSON_ID: person_id} | stay
        for person_id in PERSONS
        for stay in reference_stays(bound(contacts, person_id), UNTIL)
    ]
    assert build(contacts) == expected


@given(contacts_of_all, st.randoms(use_true_random=False))
def test_the_order_of_contacts_does_not_matter(contacts, random):
    assert build(random.sample(contacts, len(contacts))) == build(contacts)


@given(contacts_of_all)
def test_stays_of_one_person_lie_more_than_4_hours_apart(contacts):
    built = build(contacts)
    pairs = [pair for person_id in PERSONS for pair in pairwise(of_person(built, person_id))]
    gaps = [stay["started_at"] - before["ended_at"] for before, stay in pairs]
    assert [gap for gap in gaps if gap <= MERGE_GAP] == []


@given(contacts_of_all)
def test_every_contact_lies_in_exactly_one_stay(contacts):
    stays = build(contacts)
    around = [
        sum(
            stay["started_at"] <= contact["started_at"] <= (stay["ended_at"] or UNTIL)
            for stay in of_person(stays, contact[s.PERSON_ID])
        )
        for contact in contacts
    ]
    assert around == [1] * len(contacts)


def test_contacts_merge_through_a_contact_between_them():
    stays = merge("started_at ended_at\n-60h -52h\n-44h -36h\n-52h -48h")
    assert spans(stays) == [(read_moment("-60h"), read_moment("-36h"))]


def test_a_short_contact_inside_a_long_one_does_not_end_the_stay():
    stays = merge(
        "started_at ended_at discharge\n-60h -20h completed\n-50h -49h left_early\n-16h -10h unknown"
    )
    assert spans(stays) == [(read_moment("-60h"), read_moment("-10h"))]
    stays = merge("started_at ended_at discharge\n-60h -20h completed\n-50h -49h left_early")
    assert stays[0]["discharge"] == "completed"


def test_an_open_contact_keeps_the_stay_open_whatever_ended_since():
    (stay,) = merge("started_at ended_at discharge\n-60h . .\n-50h -40h left_early\n-9h -8h completed")
    assert (stay["ended_at"], stay["discharge"]) == (None, None)
    assert stay["lasted"] == timedelta(hours=60)


def test_the_first_contact_says_what_the_stay_is():
    (stay,) = merge(
        """
        started_at ended_at admission_type sector      diagnosis
        -40h       -20h     acute          psychiatric F102
        -60h       -38h     planned        somatic     E119
        """
    )
    assert (stay["is_acute"], stay["sector"], stay["diagnosis"]) == (False, "somatic", "E119")
    assert stay["has_psychiatric"] is True


def test_of_contacts_that_start_together_the_one_with_the_lower_id_is_first():
    (stay,) = merge("contact_id started_at ended_at sector\nb -40h -20h psychiatric\na -40h -20h somatic")
    assert stay["sector"] == "somatic"


def test_contacts_of_different_persons_never_merge():
    assert len(merge("person_id started_at ended_at\nada -40h -20h\nbo -40h -20h")) == 2


def test_stays_are_built_per_person_and_index_moment_if_so_asked():
    contacts = see(draw_rows(s.ADMISSIONS, "started_at ended_at\n-40h -20h\n-18h -9h"))
    asked = pl.LazyFrame({s.INDEX_TIME: [INDEX, INDEX + timedelta(days=1)]})
    crossed = contacts.join(asked, how="cross").with_columns(pl.col(s.INDEX_TIME).alias("until"))
    stays = build_stays(crossed, by=[s.PERSON_ID, s.INDEX_TIME]).collect()
    assert sorted(stays[s.INDEX_TIME].to_list()) == [INDEX, INDEX + timedelta(days=1)]
