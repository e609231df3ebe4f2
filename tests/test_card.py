"""The model card: what a reader must know before a model is used, from the model itself."""

import re
from dataclasses import replace
from types import MappingProxyType

import pytest

from made_tables import TOO_FEW, made_tables
from somv_risk.report import render_card

HEADINGS = (
    "What it is for",
    "What it predicts",
    "What it was made from",
    "Features",
    "How it was trained",
    "How it did",
    "Fairness and limits",
    "Ethics and law",
    "How to make it again",
    "What it cannot do",
)


@pytest.fixture(scope="module")
def card(model):
    return render_card(model)


def test_the_card_has_its_parts_in_order(card):
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == list(HEADINGS)


def test_the_card_says_who_may_be_scored_and_what_is_predicted(card, model):
    age = model.eligibility.minimum_age_years
    assert f"at least {age} years old" in card
    assert "`frequent_admission`: at least 3 acute admissions within 365 days;" in card
    assert "`unfinished_treatment`: at least 1 hospital stay left early within 365 days;" in card


def test_features_are_counted_by_theme(card, model):
    themes = re.findall(r"^\| ([a-z ]+) \| (\d+) \|$", card, re.MULTILINE)
    counted = {name: int(count) for name, count in themes}
    assert sum(counted.values()) == len(model.features)
    psychiatry = [feature for feature in model.features if feature.definition.theme == "psychiatry"]
    assert counted["psychiatry"] == len(psychiatry)
    forced = [feature for feature in model.features if feature.definition.monotone]
    assert f"(monotone): {len(forced)} of {len(model.features)} features" in card


def test_the_flow_of_persons_is_that_of_the_attrition(card, model):
    attrition = model.facts["attrition"]
    assert attrition
    for moment in {row["index_time"] for row in attrition}:
        own = [row for row in attrition if row["index_time"] == moment]
        eligible = next(row for row in own if row["rule"].startswith("resident_for"))
        known = [row["rows_after"] for row in own if " is known" in row["rule"]]
        numbers = (own[0]["rows_after"], eligible["rows_after"], *known)
        assert f"| {moment[:10]} | " + " | ".join(f"{count:,}" for count in numbers) + " |" in card


def test_the_training_is_told_as_it_was_configured(card, model):
    for name, value in model.facts["config"]["trees"]["parameters"].items():
        assert f"{name} {value}" in card
    for head in model.heads.values():
        assert f"| {head.target.name} | {head.booster.num_trees()} | {head.calibration.kind} |" in card
    assert model.facts["data_hash"][:16] in card


def test_what_was_set_aside_is_told(model):
    facts = dict(model.facts) | {
        "quarantine": [{"table": "admissions", "rule": "ends_after_start", "rows": 1_234}]
    }
    told = render_card(replace(model, facts=MappingProxyType(facts)))
    assert "- set aside: 1,234 rows of admissions (ends_after_start)" in told


def test_law_is_a_thing_to_check_and_not_to_claim(card):
    law = card.split("## Ethics and law")[1].split("\n## ")[0]
    points = re.findall(r"^- (.*)$", law, re.MULTILINE)
    assert len(points) >= 5
    assert sum(point.startswith("Check ") for point in points) == len(points) - 2
    assert "Not legal advice" in law


def test_an_evaluation_adds_its_figures_with_intervals_and_notes(model, card):
    told = render_card(model, made_tables())
    assert "## Evaluation, with 95 % intervals" in told
    assert "0.897 (0.877 to 0.917)" in told
    assert "1.17 (0.99 to 1.35)" in told
    assert f"(a) {TOO_FEW}" in told
    assert "single numbers without intervals" not in told
    assert "## Evaluation" not in card
    assert "single numbers without intervals" in card


def test_an_evaluation_without_gaps_says_so(model):
    tables = made_tables()
    told = render_card(model, tables | {"gaps": tables["gaps"].clear()})
    assert "### Differences larger than chance\n\nNone." in told


def test_every_table_of_the_card_has_as_many_cells_in_each_row(model):
    blocks = re.findall(r"(?:^\|.*\|\n)+", render_card(model, made_tables()), re.MULTILINE)
    assert len(blocks) > 5
    for block in blocks:
        assert len({line.count("|") for line in block.strip().splitlines()}) == 1, block
