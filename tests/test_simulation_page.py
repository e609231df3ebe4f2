"""Page of the made-up region: tables behind plots, plots that never change, a page that hides nothing."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from somv_risk.errors import ConfigError, SourceError
from somv_risk.simulate import simulate
from somv_risk.simulate.measures import Measurements, compute_figures, compute_lorenz, measure
from somv_risk.simulate.page import RunFacts, make_report_folder, render_page, write_report
from somv_risk.simulate.period import Period
from somv_risk.simulate.plan import Plan
from somv_risk.simulate.plot_tables import (
    build_admission_shares,
    build_age_profile,
    build_benefit_shares,
    build_persistence,
)
from somv_risk.simulate.plots import render_plots
from somv_risk.simulate.targets import Target, compare, find_targets

FACTS = RunFacts(Plan(2_000, 3, Period(date(2020, 1, 1), date(2026, 1, 1))))
FIGURES = {
    "male_share": ("population", "share", 0.5, "assumed"),
    "admissions_per_1000_person_years": ("hospital use", "per 1000 person-years", 152.0, "sourced"),
    "residents_1_or_more_acute_somatic_share": ("frequent admission", "share", 0.075, "derived"),
    "residents_20_or_more_acute_somatic_share": ("frequent admission", "share", 0.000012, "derived"),
    "frequent_again_after_1_years_share": ("frequent admission", "share", 0.28, "derived"),
    "on_benefits_share_265": ("benefits", "share", 0.165, "sourced"),
    "on_benefits_share_360": ("benefits", "share", 0.347, "sourced"),
}
PLOTS = ["admissions", "ages", "bed_days", "benefits", "persistence"]


def make_target(figure, *, note=None):
    subject, unit, value, status = FIGURES[figure]
    return Target(
        figure=figure,
        subject=subject,
        title=figure.replace("_", " "),
        unit=unit,
        value=value,
        low=0.8 * value,
        high=1.2 * value,
        status=status,
        source="one paper" if status == "derived" else "another paper",
        note=note,
    )


def make_figures(**observed):
    return pl.DataFrame(
        [(name, value, error, 1.0) for name, (value, error) in observed.items()],
        schema={"figure": pl.String, "observed": pl.Float64, "standard_error": pl.Float64}
        | {"denominator": pl.Float64},
        orient="row",
    )


@pytest.fixture(scope="module")
def measured():
    return measure(simulate(persons=2_000, seed=3))


@pytest.fixture(scope="module")
def comparison(measured):
    return compare([make_target(figure) for figure in FIGURES], compute_figures(measured))


@pytest.fixture
def counted():
    """Ten years of residence: six without acute somatic admissions, three with one, one with three."""
    rows = [("acute_admissions_in_a_year", "somatic", value, n) for value, n in ((0, 6), (1, 3), (3, 1))]
    rows += [("acute_admissions_in_a_year", "both sectors", 0, 10)]
    rows += [
        ("bed_hours_in_the_last_year", "both sectors", value, n) for value, n in ((0, 6), (10, 3), (70, 1))
    ]
    return rows


@pytest.fixture
def drawn(measured, counted):
    columns = dict(measured.distributions.schema)
    return Measurements(measured.sums, pl.DataFrame(counted, schema=columns, orient="row"))


def test_admission_shares_count_who_has_at_least_so_many(comparison, drawn):
    table = build_admission_shares(comparison, drawn)
    assert table["admissions"].to_list() == list(range(1, 21))
    assert table["observed"].to_list() == pytest.approx([0.4, 0.1, 0.1] + 17 * [0])
    assert table.drop_nulls("target").select("admissions", "target").rows() == [(1, 0.075), (20, 0.000012)]


def test_the_lorenz_table_starts_with_those_who_have_most(drawn):
    table = compute_lorenz(drawn.distributions)
    assert table["value"].to_list() == [70, 10, 0]
    assert table["person_share"].to_list() == pytest.approx([0.1, 0.4, 1])
    assert table["bed_day_share"].to_list() == pytest.approx([0.7, 1, 1])


def test_the_age_profile_has_a_row_per_age_and_sex_and_covers_everybody(measured):
    table = build_age_profile(measured)
    ages = ["0-17", "18-24", "25-44", "45-64", "65-79", "80+"]
    assert table.select("sex", "age").rows() == [(sex, age) for sex in ("female", "male") for age in ages]
    assert table["population_share"].sum() == pytest.approx(1)
    figures = compute_figures(measured)
    old_men = figures.row(by_predicate=pl.col("figure") == "acute_per_1000_male_80_plus", named=True)
    assert table.row(11, named=True)["acute_per_1000"] == old_men["observed"]


def test_persistence_has_a_row_per_year_that_the_data_allow(comparison, measured):
    table = build_persistence(comparison, measured)
    assert table["years_later"].to_list() == [1, 2, 3, 4, 5]
    assert table["target"].to_list() == [0.28, None, None, None, None]
    short = measure(simulate(persons=2_000, seed=3, end=date(2023, 1, 1)))
    assert build_persistence(comparison, short)["years_later"].to_list() == [1, 2]


def test_benefits_have_a_row_per_published_municipality_highest_first(comparison):
    table = build_benefit_shares(comparison)
    assert table.select("municipality", "target").rows() == [("Lolland", 0.347), ("Roskilde", 0.165)]


def test_plots_are_the_same_on_every_run_and_carry_no_date(comparison, measured):
    first, second = (render_plots(comparison, measured) for _ in range(2))
    assert sorted(first) == PLOTS
    assert first == second
    assert not any("dc:date" in svg for svg in first.values())


def test_every_plot_has_a_title_and_units_as_text(comparison, measured):
    plots = render_plots(comparison, measured)
    assert "Residents by number of acute somatic admissions in a year" in plots["admissions"]
    assert "part of all bed days, %" in plots["bed_days"]
    assert "acute admissions per 1000 residents in a year" in plots["ages"]
    assert "years later" in plots["persistence"]
    assert "Lolland" in plots["benefits"]


def test_plots_of_a_region_too_small_and_short_for_them_are_drawn_empty():
    tiny = measure(simulate(persons=3, seed=1, end=date(2020, 3, 1)))
    nothing = compare([make_target(figure) for figure in FIGURES], compute_figures(tiny))
    assert sorted(render_plots(nothing, tiny)) == PLOTS
    assert nothing["verdict"].unique().to_list() == ["not measured"]
    assert "| not measured |" in render_page(nothing, tiny, FACTS)


def render_with(measured, **figures):
    targets = [make_target(figure, note="Not quite the same.") for figure in figures]
    return render_page(compare(targets, make_figures(**figures)), measured, FACTS)


def test_a_share_is_shown_in_per_cent_and_a_figure_that_is_off_stands_out(measured):
    page = render_with(
        measured, male_share=(0.495, 0.00123), residents_20_or_more_acute_somatic_share=(0.00003, 0.0000041)
    )
    assert "| male share (a) | 50 % | 40 % to 60 % | 49.5 % ± 0.12 % | within | assumed | [1] |" in page
    row = "| 0.0012 % | 0.00096 % to 0.00144 % | 0.003 % ± 0.00041 % | **off** | derived | [2] |"
    assert row in page


def test_a_rate_is_shown_with_its_unit(measured):
    page = render_with(measured, admissions_per_1000_person_years=(150.25, 3.333))
    assert "| admissions per 1000 person years, per 1000 person-years (a) | 152 | 122 to 182 |" in page
    assert "| 150 ± 3.3 | within |" in page


def test_the_summary_counts_every_figure_once_by_status(measured):
    page = render_with(measured, male_share=(0.495, 0.1), on_benefits_share_265=(0.5, 0.1))
    assert "| assumed: a usual value without a source | 1 | 0 | 0 |" in page
    assert "| sourced: a Danish figure | 0 | 1 | 0 |" in page
    assert "| together | 1 | 1 | 0 |" in page


def test_the_page_says_what_it_is_and_how_it_was_made(comparison, measured):
    page = render_page(comparison, measured, FACTS)
    assert "none of its persons exists" in page
    assert "They prove nothing about real people" in page
    assert "| made with | `somv-risk simulate --persons 2000 --seed 3 --check` |" in page
    assert "1. another paper\n2. one paper\n" in page
    assert "### Hospital use" in page


def test_the_command_names_targets_that_are_not_the_usual_ones():
    assert replace(FACTS, targets=find_targets()).command == FACTS.command
    own = replace(FACTS, targets=Path("my targets.toml"))
    assert own.command == f"{FACTS.command} --targets 'my targets.toml'"


def test_the_command_names_municipalities_in_one_order():
    region = replace(FACTS.plan, municipalities={"376", "360"})
    assert replace(FACTS, plan=region).command.endswith("--municipality 360 --municipality 376")


@pytest.mark.parametrize("codes", [["376", "360"], {"360", "376"}, (code for code in ("360", "376"))])
def test_a_plan_is_the_same_whatever_holds_its_municipalities(codes):
    assert replace(FACTS.plan, municipalities=codes) == replace(FACTS.plan, municipalities=("360", "376"))


@pytest.mark.parametrize(
    "codes", [360, [360.0], [["360"]], "Lolland", set(), ["360", "360"], [None], {"101"}]
)
def test_municipalities_that_are_no_codes_are_refused(codes):
    with pytest.raises(ConfigError, match=r"must be different codes of its region.*Give some of: 253"):
        replace(FACTS.plan, municipalities=codes)


def test_a_plan_takes_whole_numbers_of_numpy():
    plan = replace(FACTS.plan, persons=np.int64(2_000), seed=np.uint8(3))
    assert plan == FACTS.plan
    assert (type(plan.persons), type(plan.seed)) == (int, int)


@pytest.mark.parametrize("number", [True, np.True_, 5.0, np.float64(6), "7", None, -1])
@pytest.mark.parametrize("name", ["persons", "seed"])
def test_a_plan_takes_no_other_numbers(name, number):
    with pytest.raises(ConfigError, match=f"'{name}' of a simulation must be a whole number"):
        replace(FACTS.plan, **{name: number})


def test_a_note_stands_once_below_its_table_however_many_figures_it_belongs_to(measured):
    page = render_with(measured, on_benefits_share_265=(0.165, 0.1), on_benefits_share_360=(0.3, 0.1))
    assert page.count("| on benefits share 265 (a) |") == page.count("| on benefits share 360 (a) |") == 1
    assert page.count("Not quite the same.") == 1
    assert "| [1] |\n\n- (a) Not quite the same.\n" in page


def test_a_report_is_a_page_its_plots_and_the_figures_as_csv(tmp_path, comparison, measured):
    page = write_report(tmp_path / "docs", comparison, measured, FACTS)
    written = sorted(file.relative_to(page.parent).as_posix() for file in page.parent.rglob("*.*"))
    assert written == [
        "simulation.md",
        *sorted(["simulation/check.csv", *(f"simulation/{p}.svg" for p in PLOTS)]),
    ]
    text = page.read_text(encoding="utf-8")
    assert all(f"](simulation/{plot}.svg)" in text for plot in PLOTS)
    again = pl.read_csv(page.parent / "simulation" / "check.csv", schema=comparison.schema)
    assert_frame_equal(again, comparison)


@pytest.mark.parametrize("name", [256 * "x", "nul\0"])
def test_a_report_s_folder_that_no_folder_can_be_is_refused(tmp_path, name):
    with pytest.raises(SourceError, match=r"cannot be written .*\. Choose another"):
        make_report_folder(tmp_path / name)


def test_a_folder_that_cannot_be_written_is_refused_with_a_sentence(tmp_path, comparison, measured):
    (tmp_path / "docs").write_text("a file", encoding="utf-8")
    with pytest.raises(SourceError, match=r"cannot be written .*\. Choose another"):
        write_report(tmp_path / "docs", comparison, measured, FACTS)
