"""The checklists: every item is there, and no answer says what the run does not know."""

import re
from datetime import datetime

import jinja2
import jinja2.meta
import polars as pl
import pytest

from made_tables import made_facts, made_tables
from somv_risk.report.checklist_facts import collect_said
from somv_risk.report.checklists import (
    PROBAST,
    STATUSES,
    TRIPOD,
    answer,
    load_items,
    render_probast,
    render_tripod,
)

BOTH = (TRIPOD, PROBAST)
# The sub-items of BMJ 2024;385:e078378.
LETTERS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab"}
LETTERS |= {27: "abc"}
TRIPOD_NUMBERS = [f"{number}{letter}" for number in range(1, 28) for letter in LETTERS.get(number, [""])]
# Questions per domain of BMJ 2025;388:e082505: 16 of development, 18 of evaluation.
PROBAST_COUNTS = {"D": (3, 4, 4, 5), "E": (3, 4, 4, 7)}


@pytest.fixture(scope="module")
def tables():
    return made_tables()


def of(checklist, number, facts=None, tables=None):
    answers = answer(
        checklist, made_facts() if facts is None else facts, made_tables() if tables is None else tables
    )
    return next(one for one in answers if one.number == number)


def test_all_27_items_of_tripod_are_there_with_their_sub_items():
    numbers = [item.number for item in load_items(TRIPOD)]
    assert numbers == TRIPOD_NUMBERS
    assert len(numbers) == 52
    assert {int(re.match(r"\d+", number).group()) for number in numbers} == set(range(1, 28))
    assert {item.applies for item in load_items(TRIPOD)} == {"D", "E", "D;E"}


def test_all_questions_of_probast_are_there():
    expected = [
        f"{part}{domain}.{question}"
        for part, counts in PROBAST_COUNTS.items()
        for domain, count in enumerate(counts, start=1)
        for question in range(1, count + 1)
    ]
    assert [item.number for item in load_items(PROBAST)] == expected
    assert sum(PROBAST_COUNTS["D"]) == 16
    assert sum(PROBAST_COUNTS["E"]) == 18


@pytest.mark.parametrize("checklist", BOTH)
def test_an_item_is_answered_or_says_what_a_person_must_answer(checklist):
    assert load_items(checklist)
    for item in load_items(checklist):
        assert item.status in STATUSES, item.number
        assert bool(item.answer) or item.status == "person", item.number
        assert bool(item.person) or item.status == "run", item.number


@pytest.mark.parametrize("checklist", BOTH)
def test_templates_use_only_what_is_known(checklist, tables):
    said = set(collect_said(made_facts(), tables))
    assert load_items(checklist)
    for item in load_items(checklist):
        used = jinja2.meta.find_undeclared_variables(jinja2.Environment(autoescape=True).parse(item.answer))
        assert used <= said, item.number


@pytest.mark.parametrize("is_simulated", [True, False, None])
@pytest.mark.parametrize("checklist", BOTH)
def test_answers_say_what_kind_of_data_they_rest_on(checklist, is_simulated, tables):
    answers = answer(checklist, made_facts(is_simulated=is_simulated), tables)
    text = " ".join(one.text for one in answers)
    assert ("everyone in them is made up" in text) == (is_simulated is True)
    assert ("does not know whether the data are real or simulated" in text) == (is_simulated is None)
    assert "{{" not in text


def test_results_and_data_are_never_told_without_saying_that_they_are_simulated():
    wanted = [
        *((TRIPOD, number) for number in ("5a", "5b", "20a", "23a", "26")),
        *((PROBAST, number) for number in ("D1.1", "E1.1", "E4.7")),
    ]
    told = [number for checklist, number in wanted if "are simulated" in of(checklist, number).text]
    assert told == [number for _, number in wanted]


def test_figures_in_answers_are_those_of_the_tables():
    text = of(TRIPOD, "23a").text
    assert "AUROC 0.897 (0.877 to 0.917)" in text
    assert "expected over observed 1.17 (0.99 to 1.35)" in text
    assert "count of last year: AUROC 0.754" in text
    assert "126 of 12,631 had the outcome" in of(TRIPOD, "20a").text


def test_what_cannot_be_said_is_answered_with_its_note(tables):
    nothing = tables["metrics"].with_columns(
        value=pl.lit(None, pl.Float64), low=pl.lit(None, pl.Float64), note=pl.lit("Too few cases.")
    )
    text = of(TRIPOD, "23a", tables=dict(tables) | {"metrics": nothing}).text
    assert "AUROC: cannot be said (Too few cases.)" in text


@pytest.mark.parametrize("number", ["12d", "23b"])
def test_what_was_not_asked_of_the_run_is_for_a_person(number, tables):
    assert of(TRIPOD, number).status == "run"
    without = made_tables(optional=False)
    empty = dict(tables) | {
        "places_left_out": tables["places_left_out"].with_columns(value=pl.lit(None, pl.Float64))
    }
    for fewer in (without, empty):
        told = of(TRIPOD, number, tables=fewer)
        assert told.status == "person"
        assert "no figures of it (table places_left_out)" in told.text


def test_nobody_is_said_to_be_tested_later_who_was_not():
    apart = "every index time of the evaluation lies at least one horizon after those learnt from"
    assert apart in of(PROBAST, "E4.5").text
    early = made_facts(index_times=[datetime(2022, 6, 1).isoformat()])
    assert "less than one horizon after one learnt from, or before it" in of(PROBAST, "E4.5", early).text


@pytest.mark.parametrize(
    ("persons", "said"),
    [
        ("test", "only persons who neither grew"),
        ("all", "everybody in the histories"),
        (None, "not recorded"),
    ],
)
def test_who_was_judged_is_told_as_the_run_says_it(persons, said):
    assert said in of(TRIPOD, "12a", made_facts(persons=persons)).text


def test_only_a_person_can_answer_for_ethics_money_and_patients():
    for number in ("3c", "17", "18a", "18b", "18c", "18d", "19", "25", "27c"):
        assert of(TRIPOD, number).status == "person", number


def test_the_assessment_rates_nothing(tables):
    text = render_probast(made_facts(), tables)
    assert "rates nothing" in text
    assert not re.search(r"\b(low|high) (risk of bias|concern)", text, re.IGNORECASE)


@pytest.mark.parametrize("render", [render_tripod, render_probast])
def test_the_files_are_tables_of_markdown_with_a_count_of_what_is_answered(render, tables):
    text = render(made_facts(), tables)
    answers = answer(TRIPOD if render is render_tripod else PROBAST, made_facts(), tables)
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| item")]
    assert len(rows) == len(answers)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)
    counts = ", ".join(
        f"{sum(one.status == status for one in answers)} {name}" for status, name in STATUSES.items()
    )
    assert f"{len(answers)} items: {counts}." in text


def test_a_run_with_nothing_judged_still_answers(tables):
    nothing = {"cases": tables["cases"].with_columns(base_rate=pl.lit(None, pl.Float64))}
    assert "not recorded" in of(TRIPOD, "20a", tables=nothing).text


def test_a_quarantine_is_told_and_so_are_own_features():
    assert "12 rows of admissions (ends_after_start)" in of(TRIPOD, "7").text
    assert "features of one's own: none" in of(TRIPOD, "9a").text
