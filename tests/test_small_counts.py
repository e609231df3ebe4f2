"""Small counts: no table beside a page says how many they were, where they were fewer than five."""

import polars as pl
import pytest

from somv_risk.disclosure import FEW
from somv_risk.report.small_counts import hide_small_counts

NOTHING = pl.lit(None, pl.String).alias("note")


def hide(name, frame):
    return hide_small_counts({name: frame})[name]


def make_reliability(events, rows=100, grouping="all"):
    mean = [0.01 * (place + 1) for place in range(len(events))]
    return pl.DataFrame(
        {
            "index_time": "2025-01-01", "ranking": "model", "grouping": grouping, "group": grouping,
            "bin": range(1, len(events) + 1), "rows": rows, "events": events, "mean_risk": mean,
            "observed": [count / rows for count in events], "low": 0.0, "high": 1.0,
        }
    ).with_columns(NOTHING)  # fmt: skip


@pytest.mark.parametrize(
    ("events", "joined"),
    [
        ([0, 1, 2, 3, 9, 20], [(1, 6), (5, 9), (6, 20)]),
        ([5, 5, 5], [(1, 5), (2, 5), (3, 5)]),
        ([9, 9, 1, 1], [(1, 9), (2, 11)]),
        ([97, 98, 50], [(1, 195), (3, 50)]),
    ],
)
def test_neighbouring_bins_are_joined_until_five_have_the_outcome_and_five_have_not(events, joined):
    told = hide("reliability", make_reliability(events))
    assert told.select("bin", "events").rows() == joined
    assert told["rows"].sum() == 100 * len(events)
    assert told["note"].null_count() == told.height


def test_joined_bins_have_the_mean_risk_and_share_of_their_persons():
    told = hide("reliability", make_reliability([2, 8, 9]))
    assert told["mean_risk"].to_list() == pytest.approx([0.015, 0.03])
    assert told["observed"].to_list() == pytest.approx([0.05, 0.09])
    # Wilson's interval of 10 among 200 and of 9 among 100, by hand.
    assert told["low"].to_list() == pytest.approx([0.02738, 0.04807], abs=1e-4)
    assert told["high"].to_list() == pytest.approx([0.08958, 0.16226], abs=1e-4)


def test_a_single_bin_that_stays_too_small_is_hidden():
    told = hide("reliability", make_reliability([1, 2]))
    assert told.select("bin", "rows", "events", "observed", "note").rows() == [(1, None, None, None, FEW)]


def test_bins_of_groups_stay_as_they_were_made():
    groups = make_reliability([7, 8], grouping="sex")
    assert hide("reliability", groups).equals(groups)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([3, 40, 9], [None, 40, None]),
        ([3, 4, 40, 9], [None, None, 40, 9]),
        ([0, 40, 9], [0, 40, 9]),
        ([2, 7, 7, 30], [None, None, None, 30]),
    ],
)
def test_a_small_count_of_a_distribution_takes_the_next_one_with_it(rows, told):
    spread = pl.DataFrame({"ranking": "model", "outcome": True, "rows": rows, "share": 0.5}).with_columns(
        NOTHING
    )
    assert hide("risk_distribution", spread)["rows"].to_list() == told


def test_what_the_national_rule_hides_is_not_told_of_few():
    measures = ["persons_with_outcome", "persons_counted", "persons_hidden", "share_hidden"]
    few = pl.DataFrame({"ranking": "model", "measure": measures, "value": [60.0, 57.0, 3.0, 0.05]})
    few = few.with_columns(pl.lit(0.0).alias("low"), pl.lit(1.0).alias("high"), NOTHING)
    assert hide("hidden", few)["value"].to_list() == [60.0, None, None, None]
    none = few.with_columns(value=pl.Series([60.0, 60.0, 0.0, 0.0]))
    assert hide("hidden", none).equals(none)


@pytest.mark.parametrize(("events", "is_hidden"), [(4, True), (5, False), (95, False), (96, True)])
def test_calibration_of_everybody_is_hidden_where_few_have_the_outcome_or_few_have_not(events, is_hidden):
    row = {"ranking": "model", "grouping": "all", "group": "all", "rows": 100, "events": events}
    frame = pl.DataFrame(row | {"metric": "expected_over_observed", "value": 1.0, "low": 0.5, "high": 2.0})
    told = hide("calibration", frame.with_columns(NOTHING))
    assert (told["events"].null_count(), told["value"].null_count()) == (is_hidden, is_hidden)
