"""An evaluation of few persons, or of nobody, says so; its rankings are those of the training."""

from datetime import timedelta

import polars as pl
import pytest

import somv_risk as sr
from somv_risk.errors import CohortError, IndexTimeError

COUNT = "acute_admissions_365d"


def test_a_moment_without_a_whole_horizon_is_refused_and_the_latest_possible_one_is_named(model, region):
    latest = region.data_end - timedelta(days=365)
    for moment in (latest + timedelta(seconds=1), region.data_end):
        with pytest.raises(IndexTimeError, match=f"before the horizon .* index time is {latest}"):
            sr.evaluate(model, region, index_times=[latest, moment])


def test_an_evaluation_of_nobody_is_an_error(model, region):
    index = region.data_end - timedelta(days=365)
    nobody = region.keep_persons(pl.LazyFrame({"person_id": ["nobody"]}))
    with pytest.raises(CohortError):
        sr.evaluate(model, nobody, index_times=[index])


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
    trained = {
        row["ranking"]: row["value"]
        for row in model.facts["metrics"]
        if row["target"] == target and row["metric"] == "auroc"
    }
    assert "count_last_year" in trained
    assert {ranking: values[ranking] for ranking in trained} == pytest.approx(trained, abs=1e-12)
