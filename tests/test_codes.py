"""Code lists: who is in, who is out, and where the lists come from."""

from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somv_risk.errors import ConfigError
from somv_risk.registers.codes import (
    CodeGroup,
    clean_code,
    clean_codes,
    in_group,
    is_beginning,
    load_groups,
    load_municipalities,
    load_sentinels,
)
from somv_risk.registers.schema import ICD10_PATTERN

# Picked by hand from the WHO classification: group, codes inside, codes close by but outside.
MEMBERS = {
    "alcohol": (
        "F102 F10 K703 K852 K860 E244 G312 G621 I426 K292 R780 T510 T519 X45 X650 Y15 Z721",
        "F200 F112 K851 K859 E240 G620 I425 T520 X44 Z722",
    ),
    "drugs": ("F112 F120 F149 F191 T401 T436 Z722", "F102 F171 T390 T430 Z721"),
    "self_harm": ("X60 X65 X709 X78 X849", "X59 X85 Y10"),
    "psychosis": ("F200 F21 F239 F259 F29", "F195 F300 F060"),
    "affective": ("F30 F319 F322 F339", "F29 F40 F432"),
    "anxiety": ("F40 F401 F41 F411", "F42 F43 F432 F322"),
    "personality": ("F603 F609 F61", "F62 F631 F69"),
    "diabetes": ("E100 E119 E14", "E15 E160 E09 O244"),
    "copd": ("J449 J441 J439", "J45 J42 J47"),
    "heart_failure": ("I50 I500 I110 I132 I426", "I10 I119 I421 I48"),
    "renal": ("N185 N19 Z992 I120", "N179 N20 I129"),
    "liver": ("K703 K746 B182 I850 K720", "K710 K750 K80 B169"),
    "epilepsy": ("G40 G409 G410", "G43 R568"),
    "dementia": ("F00 F03 F019 G30 G309", "F04 F050 G310"),
    "injury_poisoning": ("S720 T510 T401 T983 S00", "R99 U071 V01 X60"),
    "homelessness": ("Z590 Z591", "Z592 Z602 Z58"),
}


def is_member(code: str | None, group: str) -> bool:
    frame = pl.LazyFrame({"code": [code]}, schema={"code": pl.String})
    return frame.select(in_group(pl.col("code"), group)).collect().item()


def build_group(**changes: Any) -> CodeGroup:
    values = {
        "name": "example",
        "title": {"da": "eksempel", "en": "example"},
        "prefixes": ("F10", "K70"),
        "source": "a book",
        "status": "sourced",
    }
    return CodeGroup(**(values | changes))


def test_the_sixteen_groups_exist():
    assert set(load_groups()) == set(MEMBERS)


@pytest.mark.parametrize("group", MEMBERS)
def test_codes_of_a_group_are_in_it(group):
    codes = MEMBERS[group][0].split()
    assert [code for code in codes if not is_member(code, group)] == []


@pytest.mark.parametrize("group", MEMBERS)
def test_codes_close_to_a_group_are_outside(group):
    codes = MEMBERS[group][1].split()
    assert [code for code in codes if is_member(code, group)] == []


@pytest.mark.parametrize(
    ("code", "groups"),
    [
        ("T510", {"alcohol", "injury_poisoning"}),
        ("K703", {"alcohol", "liver"}),
        ("X65", {"alcohol", "self_harm"}),
        ("I426", {"alcohol", "heart_failure"}),
        ("T401", {"drugs", "injury_poisoning"}),
        ("F322", {"affective"}),
        ("I10", set()),
    ],
)
def test_a_code_is_in_exactly_these_groups(code, groups):
    assert {group for group in load_groups() if is_member(code, group)} == groups


@pytest.mark.parametrize("group", MEMBERS)
def test_a_null_code_is_in_no_group(group):
    assert is_member(None, group) is False


def test_a_prefix_in_the_middle_of_a_code_does_not_count():
    assert not is_member("SF10", "alcohol")


def test_membership_is_a_boolean_column_of_the_same_height():
    codes = pl.LazyFrame({"code": ["F102", None, "F200"]})
    member = codes.select(in_group(pl.col("code"), "alcohol").alias("alcohol")).collect()
    assert member.schema == {"alcohol": pl.Boolean}
    assert member["alcohol"].to_list() == [True, False, False]


def test_an_unknown_group_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ConfigError, match=r"'alkohol'.*alcohol, anxiety.*self_harm"):
        in_group(pl.col("code"), "alkohol")


def test_every_group_states_its_source_and_status_and_both_titles():
    assert load_groups()
    for group in load_groups().values():
        assert "WHO ICD-10" in group.source or "doi:" in group.source
        assert group.status in ("sourced", "assumed")
        assert set(group.title) == {"da", "en"}


def test_the_lists_that_we_put_together_ourselves_say_so():
    assumed = {group.name for group in load_groups().values() if group.status == "assumed"}
    assert assumed == {"alcohol", "drugs", "anxiety", "personality", "copd", "homelessness"}


def test_every_prefix_starts_codes_that_the_tables_accept():
    prefixes = [prefix for group in load_groups().values() for prefix in group.prefixes]
    codes = pl.Series([prefix.ljust(3, "0") for prefix in prefixes])
    assert codes.str.contains(ICD10_PATTERN).all()


def test_groups_are_read_once_and_cannot_be_changed():
    assert load_groups() is load_groups()
    with pytest.raises(TypeError):
        load_groups()["alcohol"] = build_group()
    with pytest.raises(TypeError):
        load_groups()["alcohol"].title["da"] = "sprut"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefixes": ("F10", "F10")}, "already covers: F10"),
        ({"prefixes": ("F102", "F11", "F10")}, "already covers: F102"),
        ({"prefixes": ("F10", "F100", "F1001")}, "already covers: F100, F1001"),
        ({"prefixes": ("DF10",)}, "start no ICD-10 code: DF10"),
        ({"prefixes": ("F10.2",)}, "start no ICD-10 code: F10.2"),
        ({"prefixes": ("f10",)}, "start no ICD-10 code: f10"),
        ({"prefixes": ("F",)}, "start no ICD-10 code: F"),
        ({"prefixes": ("F123456",)}, "start no ICD-10 code: F123456"),
        ({"prefixes": ("F10\n",)}, "start no ICD-10 code"),
        ({"prefixes": ()}, "no prefixes"),
        ({"source": ""}, "no source"),
        ({"status": "guessed"}, "'guessed'"),
        ({"title": {"da": "eksempel"}}, "no title in en"),
    ],
)
def test_a_faulty_group_cannot_be_made(changes, message):
    with pytest.raises(ConfigError, match=message):
        build_group(**changes)


def test_region_sjaelland_has_seventeen_municipalities():
    assert len(load_municipalities()) == 17
    assert load_municipalities()["360"] == "Lolland"
    assert load_municipalities()["259"] == "Køge"


def test_municipality_codes_have_three_digits():
    assert all(len(code) == 3 and code.isdecimal() for code in load_municipalities())


def test_municipalities_cannot_be_changed():
    with pytest.raises(TypeError):
        load_municipalities()["101"] = "København"


@given(st.text(st.sampled_from("DFG10.5+* \u00a0x")))
def test_one_code_is_cleaned_as_a_column_of_them(code):
    assert clean_codes(pl.Series([code])).to_list() == [clean_code(code)]


@given(st.from_regex(ICD10_PATTERN, fullmatch=True))
def test_a_clean_code_stays_what_it_is_and_its_danish_form_becomes_it(code):
    code = code.strip()
    assert clean_code(code) == code
    if code[2].isdecimal():  # as every code of the classification has it
        assert clean_code(f"D{code}") == clean_code(f" d{code[:3]}.{code[3:]}+") == code


@pytest.mark.parametrize(
    ("prefix", "begins"),
    [("F", True), ("F1", True), ("F10", True), ("F102", True), ("", False), ("10", False)],
)
def test_a_beginning_of_a_code_is_a_letter_and_digits(prefix, begins):
    assert is_beginning(prefix) is begins


def test_days_that_stand_for_no_date_are_no_days_on_which_much_happens():
    """They lie before anybody's birth, or at the end of a calendar to come."""
    ordinary = [day for day in load_sentinels() if date(1900, 1, 2) <= day <= date(2050, 1, 1)]
    assert ordinary == []
