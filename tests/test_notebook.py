"""In a notebook, values of the library are short tables of counts, and never show what stands in a cell."""

import re
import warnings
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser

import polars as pl
import pytest

import somv_risk as sr
from somv_risk.calls.notebook import render_notebook_table
from somv_risk.evaluation.evaluate import EvaluationReport
from somv_risk.monitoring import MonitoringReport

WORD = "SECRETVALUE"
INDEX = datetime(2025, 6, 1)


class Cells(HTMLParser):
    """The cells of a table, row by row, and its caption."""

    def __init__(self, text):
        super().__init__()
        self.caption, self.rows, self.opened = "", [], []
        self.feed(text)
        self.close()
        assert not self.opened

    def handle_starttag(self, tag, attrs):
        assert tag in {"table", "caption", "tr", "th", "td"}
        assert not attrs
        self.opened.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"th", "td"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        if self.opened[-1] == "caption":
            self.caption += data
        else:
            self.rows[-1][-1] += data


def show(value):
    return Cells(value._repr_html_())


@pytest.fixture(scope="module")
def delivered():
    persons = pl.DataFrame({"person_id": [WORD, "bo"], "birth_date": ["1981-05-04"] * 2, "sex": "female"})
    admissions = pl.DataFrame(
        {
            "person_id": [WORD, "bo"],
            "contact_id": ["1", "2"],
            "started_at": ["2025-03-01T10:00", "2025-03-09T10:00"],
            "ended_at": "2025-03-02T15:00",
            "sector": "somatic",
            "admission_type": "acute",
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sr.from_frames(persons=persons, admissions=admissions)


def test_histories_show_what_was_delivered_and_what_is_absent(delivered):
    shown = show(delivered)
    assert shown.caption.startswith("Histories, data end ")
    assert shown.rows[:3] == [
        ["table", "rows delivered", "rows set aside"],
        ["persons", "2", "0"],
        ["admissions", "2", "1"],
    ]
    assert ["primary_care", "absent", ""] in shown.rows


def test_rows_that_nobody_counted_are_not_counted_for_a_notebook():
    made = sr.simulate(persons=50, seed=7)
    asked = replace(made, tables={**made.tables, "persons": made.tables["persons"].map_batches(refuse)})
    assert show(asked).rows[1][:2] == ["persons", "not counted"]


def refuse(_frame):
    raise AssertionError("a notebook reads no table")


def test_a_quarantine_shows_rules_and_counts(delivered):
    assert show(delivered.quarantine).rows == [
        ["table", "rule", "rows"],
        ["admissions", "ends_after_it_starts", "1"],
    ]


def test_a_cohort_shows_its_attrition(delivered):
    cohort = sr.make_cohort(delivered, index_times=[INDEX])
    shown = show(cohort)
    counted = cohort.attrition.collect()
    assert [row[0] for row in shown.rows[1:]] == counted["rule"].to_list()
    assert [int(row[2]) for row in shown.rows[1:]] == counted["rows_after"].to_list()
    assert len(shown.rows) > 2


def test_a_model_shows_its_targets():
    model = sr.load_model("hospital_only")
    shown = show(model)
    assert shown.caption == f"RiskModel, {len(model.features)} features of persons, admissions"
    assert [row[:2] for row in shown.rows[1:]] == [
        ["frequent_admission", "365"],
        ["unfinished_treatment", "365"],
    ]


def test_reports_show_their_tables():
    tables = {"metrics": pl.DataFrame({"value": [0.5] * 1_000}), "gaps": pl.DataFrame()}
    evaluated = show(EvaluationReport({"target": {"name": "<b>"}}, tables))
    assert evaluated.caption == "EvaluationReport, <b>"
    assert evaluated.rows == [["table", "rows"], ["metrics", "1,000"], ["gaps", "0"]]
    monitored = show(MonitoringReport({"index_time": "2026-01-01"}, tables, ()))
    assert monitored.caption == "MonitoringReport, 2026-01-01, 0 alarms"
    assert monitored.rows == evaluated.rows


def test_no_value_of_a_person_is_shown(delivered):
    cohort = sr.make_cohort(delivered, index_times=[INDEX])
    for value in (delivered, delivered.quarantine, cohort):
        assert WORD not in value._repr_html_()
        assert WORD not in repr(value)


def test_whatever_stands_in_a_table_is_escaped():
    cell = "<script>alert('&\"')</script>"
    text = render_notebook_table(cell, [cell], [(cell,), (None,), (1_234,), (True,)])
    assert not re.search("<script", text)
    shown = Cells(text)
    assert shown.caption == cell
    assert shown.rows == [[cell], [cell], [""], ["1,234"], ["True"]]
