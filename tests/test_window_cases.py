"""The check of windows: how it asks, judges and tells, whatever the builder."""

from dataclasses import replace

import polars as pl
import pytest

from plain_windows import PlainBuilder
from somv_risk.errors import ConfigError, WindowError
from somv_risk.testing import Case, Question, assert_windows_conform, check_windows, load_window_cases
from somv_risk.testing.window_cases import CAPABILITIES

CASES = load_window_cases()


def answer_nought(events: pl.DataFrame, cohort: pl.DataFrame, question: Question) -> list:  # noqa: ARG001
    return [0] * cohort.height


def fail(events: pl.DataFrame, cohort: pl.DataFrame, question: Question) -> list:
    raise NotImplementedError("not today\nnor tomorrow")


def choose(*names: str) -> list[Case]:
    return [case for case in CASES if case.name in names]


@pytest.mark.parametrize("capability", sorted(CAPABILITIES))
def test_a_case_that_needs_what_is_not_offered_is_never_passed(capability):
    found = check_windows(PlainBuilder(), CAPABILITIES - {capability})
    needing = [case.name for case in CASES if capability in case.needs]
    assert needing
    assert found.filter(verdict="not offered")["case"].to_list() == needing
    assert found.filter(verdict="right").height == len(CASES) - len(needing)


def test_a_builder_that_offers_nothing_is_not_held_to_conform():
    with pytest.raises(WindowError, match="No case could be asked"):
        assert_windows_conform(PlainBuilder(), offers=[])


def test_an_offer_nobody_knows_is_refused():
    with pytest.raises(ConfigError, match=r"\['counts'\]"):
        check_windows(PlainBuilder(), offers=["count", "counts"])


def test_an_error_is_a_finding_and_the_next_case_is_asked():
    found = check_windows(fail, cases=choose("leap_day", "leap_year"))
    assert found["verdict"].to_list() == ["error", "error"]
    assert found["answered"][0] == "NotImplementedError: not today"


def test_an_event_of_nobody_may_be_refused():
    assert_windows_conform(fail, cases=choose("event_of_nobody"))


@pytest.mark.parametrize("answers", [[], [1], [1, 0, 0], [0, 1], [1, None], [1, float("nan")], [1.001, 0]])
def test_too_few_too_many_and_other_answers_are_wrong(answers):
    found = check_windows(lambda *_: answers, cases=choose("leap_day"))
    assert found["verdict"].to_list() == ["wrong"]


@pytest.mark.parametrize("answers", [["one", "none"], None, 1])
def test_answers_that_are_no_numbers_are_an_error(answers):
    found = check_windows(lambda *_: answers, cases=choose("leap_day"))
    assert found["verdict"].to_list() == ["error"]


def test_nought_is_not_null():
    found = check_windows(answer_nought, cases=choose("no_latest_event"))
    assert found.select("verdict", "expected", "answered").row(0) == ("wrong", "null, null, null", "0, 0, 0")


def test_the_error_names_the_case_its_rule_and_both_answers():
    with pytest.raises(WindowError) as raised:
        assert_windows_conform(answer_nought, cases=choose("leap_day", "person_without_events", "leap_year"))
    summary, *lines = str(raised.value).splitlines()
    assert summary == "3 of 3 window cases are not answered as they should be:"
    told = "365 days are 365 times 24 hours, and a day short of a leap year. Expected 1, 0; got 0, 0."
    assert lines[-1] == f"- leap_year (wrong): {told}"


def test_a_case_of_ones_own_can_be_added():
    (case,) = choose("leap_day")
    own = replace(case, name="mine", expected=(1, 1))
    assert check_windows(PlainBuilder(), cases=[case, own])["verdict"].to_list() == ["right", "wrong"]


def test_a_case_has_one_answer_per_cohort_row():
    (case,) = choose("leap_day")
    with pytest.raises(ConfigError, match="leap_day"):
        replace(case, expected=(1,))


def test_every_case_says_what_it_shows():
    assert len({case.rule for case in CASES}) == len(CASES)
    assert all(case.rule.endswith(".") and all(case.because) for case in CASES)
