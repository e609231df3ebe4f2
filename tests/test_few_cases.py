"""An evaluation of few persons, or of nobody, says so; its rankings are those of the training."""

from datetime import timedelta

import polars as pl
import pytest

import somv_risk as sr

COUNT = "acute_admissions_365d"


def test_a_report_of_nobody_has_metrics_without_rows(model, region):
    report = sr.evaluate(model, region, index_times=[region.data_end])
    assert report.metrics.is_empty()
    assert {"index_time", "population", "ranking", "metric", "value", "note"} <= set(report.metrics.columns)
    assert report.tables["cases"]["note"].str.contains("before the horizon").all()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_draw_without_any_new_person_is_no_division_by_nothing(model, region):
    index = region.data_end - timedelta(days=365)
    rows = sr.make_cohort(region, [index]).rows
    counted = sr.build_features(region, rows).select("person_id", COUNT).sort(COUNT, "person_id").collect()
    five = pl.concat([counted.head(1), counted.tail(4)])
    assert (five[COUNT] < 3).sum() == 1
    few = region.keep_persons(five.lazy())
    report = sr.evaluate(model, few, index_times=[index], persons="all", draws=50)
    assert report.tables["cases"].filter(population="new")["rows"].to_list() == [1]


@pytest.mark.parametrize("target", ["frequent_admission", "unfinished_treatment"])
def test_last_years_count_is_of_acute_admissions_whatever_the_target(model, region, target):
    """As in training, which measured the same rankings on the same persons."""
    report = sr.evaluate(
        model, region, index_times=model.facts["index_times"]["test"], target=target, draws=5
    )
    found = report.metrics.filter(population="all", metric="auroc")
    values = dict(found.select("ranking", "value").iter_rows())
    for row in model.facts["metrics"]:
        if row["target"] == target and row["metric"] == "auroc":
            assert values[row["ranking"]] == pytest.approx(row["value"], abs=1e-12)
