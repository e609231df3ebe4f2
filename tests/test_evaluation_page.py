"""The evaluation page: a manager's page and an evaluator's details, made from tables and nothing else."""

import re
import tomllib
from datetime import datetime
from importlib import resources
from itertools import pairwise

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from made_tables import (
    GROUPS,
    OPTIONAL,
    SCHEMAS,
    SUPPRESSED,
    TIMES,
    TOO_FEW,
    frame,
    made_facts,
    made_tables,
)
from somv_risk.disclosure import FEW
from somv_risk.errors import ConfigError, InputError, SourceError
from somv_risk.evaluation.explanations import MEASURES
from somv_risk.evaluation.subgroups import FROM_PERSONS, list_groupings
from somv_risk.metrics import RATES, notes
from somv_risk.report.drawing import LOOKS, embed_svg, mark_interval
from somv_risk.report.evaluation_figures import FIGURES, render_figure
from somv_risk.report.evaluation_opening import build_opening
from somv_risk.report.evaluation_page import render_evaluation, write_evaluation
from somv_risk.report.evaluation_tables import SHOWN_ROWS, choose_style, lay_out, load_sections
from somv_risk.report.findings import COLUMNS, Findings
from somv_risk.report.group_figures import SHOWN_GROUPS
from somv_risk.report.small_counts import hide_small_counts
from somv_risk.report.wording import ABSENT, load_wording
from test_report import Elements

LANGUAGES = ("en", "da")
TEXTS = tomllib.loads(
    resources.files("somv_risk.report").joinpath("evaluation_texts.toml").read_text(encoding="utf-8")
)
LATEST = TIMES[-1]
MODEL_AT_LATEST = {"index_time": LATEST, "ranking": "model"}


@pytest.fixture(scope="module")
def tables():
    return made_tables()


@pytest.fixture(scope="module", params=LANGUAGES)
def page(request, tables):
    return render_evaluation(made_facts(), tables, request.param)


def opening(tables, language="en", **facts):
    return build_opening(Findings(made_facts(**facts), tables), load_wording(language))


def changed(tables, name, **values):
    """The same tables, with some columns of one of them replaced."""
    return dict(tables) | {name: tables[name].with_columns(**values)}


def of_model(**more):
    """Which rows are the model's own at the latest index time."""
    is_own = (pl.col("index_time") == LATEST) & (pl.col("ranking") == "model")
    for column, value in more.items():
        is_own &= pl.col(column) == value
    return is_own


def plain(page):
    """What a page says, without markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def key_paths(texts, above=()):
    for key, value in texts.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from key_paths(value, (*above, key))


# The page


def test_the_page_fetches_nothing_and_runs_nothing(page):
    elements = Elements(page)
    assert not re.search(r"https?:|@import|url\((?!#)|src\s*=|javascript:", page, re.IGNORECASE)
    assert all(target.startswith("#") for target in elements.values("href"))
    assert not {"script", "link", "iframe", "img", "object"} & {tag for tag, _ in elements.found}
    assert not [name for _, attrs in elements.found for name in attrs if name.startswith("on")]
    assert "default-src 'none'" in page


def test_every_reference_inside_the_page_has_exactly_one_target(page):
    elements = Elements(page)
    ids = elements.values("id")
    assert len(ids) == len(set(ids))
    wanted = {href[1:] for href in elements.values("href")} | set(re.findall(r"url\(#([\w-]+)\)", page))
    assert wanted | set(elements.values("aria-labelledby")) <= set(ids)


def test_every_picture_has_words_and_every_column_a_header(page):
    elements = Elements(page)
    pictures = [attrs for tag, attrs in elements.found if tag == "svg"]
    assert len(pictures) == len(FIGURES)
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in pictures)
    headers = [attrs for tag, attrs in elements.found if tag == "th"]
    assert all("scope" in attrs for attrs in headers)
    levels = [int(tag[1]) for tag, _ in elements.found if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_table_is_told_of_with_how_to_read_it_and_where_its_figures_are(page):
    for section in load_sections():
        assert f'id="{section.id}"' in page
        assert f"{section.table}.csv" in page
    assert {section.table for section in load_sections()} == set(SCHEMAS) == set(COLUMNS)


def test_an_unknown_language_is_refused_with_the_known_ones(tables):
    with pytest.raises(ConfigError, match=r"'fr'.*da, en"):
        render_evaluation(made_facts(), tables, "fr")


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_missing_column_is_named_with_its_table(tables, table):
    column = COLUMNS[table][-1]
    with pytest.raises(InputError, match=f"`{table}` lacks {column}"):
        Findings(made_facts(), dict(tables) | {table: tables[table].drop(column)})


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_without_the_tables_that_are_asked_for_says_so(language):
    page = render_evaluation(made_facts(), made_tables(optional=False), language)
    assert page.count(TEXTS[language]["absent"]) == len(OPTIONAL)


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_index_time_gives_a_whole_page(language):
    tables = made_tables(times=TIMES[:1])
    page = render_evaluation(made_facts(index_times=[TIMES[0].isoformat()]), tables, language)
    assert TEXTS[language]["empty"] in page
    assert TEXTS[language]["more_times"].split("{")[0] not in page
    del tables["turnover"]
    assert TEXTS[language]["one_time"] in render_evaluation(made_facts(), tables, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_of_nothing_but_a_note_shows_the_note(language):
    nobody = {
        "index_time": LATEST,
        "population": "all",
        "rows": 0,
        "events": 0,
        "note": "The data end too early.",
    }
    page = render_evaluation(made_facts(), {"cases": frame("cases", [nobody])}, language)
    said = plain(page)
    assert "The data end too early." in said
    assert TEXTS[language]["not_made"] in page
    assert TEXTS[language]["gaps_unknown"] in said
    assert TEXTS[language]["hidden_unknown"] in said
    assert "<svg" not in page


def test_an_index_time_that_cannot_be_judged_leaves_the_opening_to_the_one_before(tables):
    later = {
        "index_time": datetime(2026, 1, 1),
        "population": "all",
        "rows": 0,
        "events": 0,
        "note": "The horizon is cut short.",
    }
    grown = dict(tables) | {"cases": pl.concat([tables["cases"], frame("cases", [later])])}
    said = " ".join(opening(grown).what)
    assert "as they were known on 1 January 2025" in said
    assert "At 1 January 2026 nothing can be said: The horizon is cut short." in said
    assert "the latest of 3 index times" in said


def test_names_from_outside_are_escaped():
    evil = "<script>alert('$x_1$ & y')</script>"
    groups = {**GROUPS, "municipality": (evil, "360")}
    page = render_evaluation(made_facts(), made_tables(groups=groups), folder='"><script>')
    assert "<script" not in page
    assert "&lt;script&gt;alert(" in page


def test_a_group_is_drawn_by_its_own_name_and_not_as_mathematics():
    groups = {"municipality": (r"$\nosuchcommand$", "360")}
    svg = render_figure(
        "calibration_groups", Findings(made_facts(), made_tables(groups=groups)), load_wording("en")
    )
    assert r"$\nosuchcommand$" in svg


def test_two_hundred_groups_make_a_page_that_can_be_opened():
    groups = {"sex": ("female", "male"), "municipality": tuple(f"place {n}" for n in range(200))}
    tables = made_tables(groups=groups)
    page = render_evaluation(made_facts(), tables)
    assert len(page.encode()) < 2_000_000
    assert f"{SHOWN_ROWS} of 404 rows are shown; all of them are in calibration.csv." in page
    assert f"The {SHOWN_GROUPS} largest of 202 groups are drawn" in page
    svg = render_figure("fairness", Findings(made_facts(), tables), load_wording("en"))
    assert svg.count("place ") == SHOWN_GROUPS - 2


def test_a_page_of_three_index_times_is_small(page):
    assert len(page.encode()) < 2_000_000


# Files


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_table_lies_beside_the_page_as_it_is_but_for_small_counts(tables, language, tmp_path):
    path = write_evaluation(made_facts(), tables, tmp_path / "new" / "2025 report.html", language)
    folder = path.parent / "2025 report-tables"
    assert {file.name for file in folder.iterdir()} == {f"{name}.csv" for name in tables}
    for name, table in tables.items():
        read = pl.read_csv(folder / f"{name}.csv", schema_overrides=SCHEMAS[name])
        if name == "reliability":
            assert table["events"].min() < 5
            table = hide_small_counts({name: table})[name]  # noqa: PLW2901 - has tests of its own
        if name == "persistence":
            assert read["events"].min() >= 5 > table["events"].min()
            is_shown = read["events"].is_not_null() | table["events"].is_null()
            read, table = read.filter(is_shown), table.filter(is_shown)  # noqa: PLW2901 - what is left
        assert_frame_equal(read, table)
    links = [href for href in Elements(path.read_text("utf-8")).values("href") if not href.startswith("#")]
    assert {f"2025%20report-tables/{name}.csv" for name in tables} == set(links)


# Small counts: fewer than five persons are not told of, and of fewer than a hundred nothing "of 1,000"


def made_with(tables, *, rows=12_700, events=300, listed=126, found=50):
    """Tables of one moment: so many persons and events, and a model's list that found so many of them."""
    cases = tables["cases"].filter(index_time=LATEST, population="all")
    capacity = tables["capacity"].filter(
        pl.col("index_time") == LATEST,
        pl.col("population") == "all",
        pl.col("ranking") == "model",
        pl.col("capacity") == "1 %",
        pl.col("metric").is_in(["precision", "sensitivity", "found"]),
    )
    values = {"precision": found / listed, "sensitivity": found / max(events, 1), "found": float(found)}
    return {
        "cases": cases.with_columns(
            rows=pl.lit(rows, pl.Int64), events=pl.lit(events, pl.Int64), base_rate=events / rows
        ),
        "capacity": capacity.with_columns(
            persons=pl.lit(listed, pl.Int64), value=pl.col("metric").replace_strict(values)
        ),
    }


@pytest.mark.parametrize(
    "counts",
    [
        {"events": 60, "found": 2},  # few on the list had the outcome
        {"events": 200, "found": 123},  # few on the list had it not
        {"events": 52, "found": 50},  # few who had it are not on the list
    ],
)
def test_a_list_with_few_is_not_told_of_anywhere(tables, counts, tmp_path):
    made = made_with(tables, **counts)
    said = opening(made)
    assert not said.the_list[0].startswith("Of 1,000")
    assert "Hidden: fewer than 5 persons" in " ".join(said.the_list)
    assert all(cell.text == ABSENT for _, cells in said.comparison for cell in cells)
    path = write_evaluation(made_facts(), made, tmp_path / "page.html")
    read = pl.read_csv(tmp_path / "page-tables" / "capacity.csv")
    assert read["value"].null_count() == read.height
    assert set(read["note"]) == {FEW}
    assert f"{counts['found']} of them had" not in plain(path.read_text(encoding="utf-8"))


def test_a_list_with_enough_is_told_of(tables):
    said = opening(made_with(tables, events=300, found=50))
    assert said.the_list[0].startswith("Of 1,000 persons on the list, ")
    assert "50 of them had the outcome" in said.the_list[1]


@pytest.mark.parametrize(("rows", "events"), [(12_700, 2), (120, 117), (4, 0)])
def test_few_cases_or_few_others_are_not_told_of(tables, rows, events):
    made = made_with(tables, rows=rows, events=events, found=0)
    said = " ".join(opening(made).what)
    assert f"{events} of them had" not in said
    assert "can be said: Hidden: fewer than 5 persons" in said


def test_new_persons_are_hidden_where_few_known_ones_are_left(tables):
    both = tables["cases"].filter(index_time=LATEST)
    told = both.with_columns(
        rows=pl.when(population="all").then(1_000).otherwise(900).cast(pl.Int64),
        events=pl.when(population="all").then(50).otherwise(47).cast(pl.Int64),
    )
    shown = Findings(made_facts(), {"cases": told}).tables["cases"]
    assert dict(shown.select("population", "events").iter_rows()) == {"all": 50, "new": None}


def test_of_a_part_of_a_whole_that_is_known_no_part_is_told_if_one_is_small():
    rows = [(True, 40, 30), (False, 200, 3), (None, 240, 33)]
    frame_ = pl.DataFrame(
        [
            {
                "index_time": LATEST,
                "ranking": "model",
                "known_or_new": "known",
                "flagged": flagged,
                "rows": count,
                "events": events,
                "value": events / count,
                "low": None,
                "high": None,
                "note": None,
            }
            for flagged, count, events in rows
        ],
        schema=SCHEMAS["persistence"],
    )
    shown = Findings(made_facts(), {"persistence": frame_}).tables["persistence"]
    assert shown["events"].to_list() == [None, None, 33]


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_fewer_than_a_hundred_nothing_is_said_of_1000(tables, language):
    said = opening(made_with(tables, rows=90, events=30, listed=20, found=10), language)
    text = " ".join((*said.what, *said.the_list))
    assert "30" in text
    assert "20" in text
    assert not re.search(r"1[.,]000", text)
    assert all(cell.text == ABSENT for _, cells in said.comparison for cell in cells[::2])
    assert any(re.search(r"100 person", note) for note in said.comparison_notes)
    few = Findings(made_facts(), made_with(tables, listed=20, found=10))
    assert render_figure("opening", few, load_wording(language)) == ""


def test_the_checklists_lie_beside_the_page(tables, tmp_path):
    write_evaluation(made_facts(), tables, tmp_path / "report.html")
    assert (tmp_path / "TRIPOD-AI.md").read_text("utf-8").startswith("# TRIPOD+AI\n")
    assert (tmp_path / "PROBAST-AI.md").read_text("utf-8").startswith("# PROBAST+AI self-assessment\n")


def test_a_folder_that_cannot_be_written_is_told_with_a_cure(tables, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match=r"cannot be written to .*page\.html.*Choose another file"):
        write_evaluation(made_facts(), tables, tmp_path / "file" / "page.html")


# The opening page


def test_the_list_is_told_in_whole_persons(tables):
    told, persons = opening(tables).the_list
    assert told == (
        "Of 1,000 persons on the list, 246 had at least 3 acute admissions within 365 days; "
        "of everyone it was 10 of 1,000."
    )
    assert persons == (
        "In this test the list of the working capacity (1%) held 126 persons. "
        "31 of them had the outcome (206 to 286 of 1,000), which is 24.6% of all who had it."
    )


def test_danish_writes_its_own_numbers(tables):
    said = " ".join(opening(tables, "da").the_list)
    assert "Ud af 1.000 personer på listen havde 246 mindst 3 akutte indlæggelser inden for 365 dage" in said
    said = said.replace("\u00a0", " ")
    assert "(1 %) 126 personer. 31 af dem havde udfaldet (206 til 286 ud af 1.000)" in said
    assert "24,6 %" in said


def test_another_working_capacity_is_another_list(tables):
    said = " ".join(opening(tables, working_capacity="500").the_list)
    assert "(500 persons) held 500 persons. 76 of them" in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_list_of_which_nothing_can_be_said_shows_its_note(tables, language):
    is_it = of_model(metric="precision", population="all", capacity="1 %")
    values = {
        "value": pl.when(~is_it).then("value"),
        "note": pl.when(is_it).then(pl.lit(TOO_FEW)).otherwise("note"),
    }
    told = opening(changed(tables, "capacity", **values), language)
    assert len(told.the_list) == 1
    assert told.the_list[0].endswith(TOO_FEW)
    assert ABSENT in [cell.text for cell in told.comparison[0][1]]


def test_the_model_stands_beside_the_other_lists_among_all_and_among_new(tables):
    told = opening(tables)
    assert [name for name, _ in told.comparison] == [
        "model",
        "count of last year",
        "national programme's rule",
        "penalised logistic regression",
    ]
    assert [cell.text for cell in told.comparison[0][1]] == ["246", "24.6%", "123", "17.2%"]
    assert [cell.text for cell in told.comparison[2][1]] == ["190", "19.0%", ABSENT, ABSENT]
    assert told.comparison_notes == (f"national programme's rule: {TOO_FEW}",)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.02, "does better, by more than chance, than"),
        (-0.02, -0.01, "does worse, by more than chance, than"),
        (-0.01, 0.02, "cannot tell the model from"),
        (None, None, "cannot be compared with"),
    ],
)
def test_a_verdict_needs_an_interval_without_nought(tables, low, high, said):
    told = opening(changed(tables, "metrics", low=pl.lit(low, pl.Float64), high=pl.lit(high, pl.Float64)))
    (verdict,) = told.verdicts
    assert said in verdict
    assert "count of last year, national programme's rule and penalised logistic regression" in verdict


@pytest.mark.parametrize(
    ("value", "low", "high", "begins"),
    [
        (
            1.05,
            0.9,
            1.2,
            "Yes, on the whole: the model expected 132 persons with the outcome and there were 126",
        ),
        (1.5, 1.2, 1.8, "No: the model expected 189 persons with the outcome and there were only 126"),
        (0.5, 0.4, 0.6, "No: the model expected 63 persons with the outcome and there were 126"),
        (None, None, None, "It cannot be said: the run did not compute it."),
    ],
)
def test_the_probabilities_hold_if_chance_can_explain_what_happened(tables, value, low, high, begins):
    is_it = of_model(grouping="all", metric="expected_over_observed")
    numbers = {"value": value, "low": low, "high": high}
    values = {
        name: pl.when(is_it).then(pl.lit(number, pl.Float64)).otherwise(name)
        for name, number in numbers.items()
    }
    assert opening(changed(tables, "calibration", **values)).calibrated[0].startswith(begins)


@pytest.mark.parametrize(
    ("low", "high", "begins"),
    [
        (0.9, 1.1, "Low and high risks are spread as they should be"),
        (0.7, 0.9, "High risks are too high and low ones too low"),
        (1.1, 1.3, "High risks are too low and low ones too high"),
    ],
)
def test_a_slope_says_which_risks_are_wrong(tables, low, high, begins):
    is_it = of_model(grouping="all", metric="slope")
    values = {
        name: pl.when(is_it).then(pl.lit(number)).otherwise(name)
        for name, number in {"low": low, "high": high}.items()
    }
    assert opening(changed(tables, "calibration", **values)).calibrated[1].startswith(begins)


def test_gaps_are_told_with_what_harms_first(tables):
    gaps = [
        {"grouping": "sex", "group": "male", "metric": "selection_rate", "value": 0.02, "difference": 0.01},
        {
            "grouping": "homelessness",
            "group": "yes",
            "metric": "false_negative_rate",
            "value": 0.8,
            "difference": 0.2,
        },
    ]
    told = opening(dict(tables) | {"gaps": frame("gaps", [MODEL_AT_LATEST | gap for gap in gaps])})
    assert told.gaps[0] == (
        "Registered as homeless: of those who had the outcome 80.0% were not on the list, "
        "against 60.0% of everybody else."
    )
    assert told.gaps[1] == "Men: 2.0% are on the list, against 1.0% of everybody else."


def test_no_gap_is_no_proof_of_fairness(tables):
    told = opening(dict(tables) | {"gaps": tables["gaps"].clear()})
    assert told.gaps[0] == TEXTS["en"]["no_gaps"]
    # Of 15 groups (those that say "no" of something left out) and 5 measures, one figure is suppressed.
    assert told.gaps[1].startswith("74 differences were looked at")
    assert told.gaps[2].endswith("because the group is small: 1. The details say which.")


def test_the_hidden_are_counted(tables):
    told = opening(tables).hidden
    assert told[1] == "It leaves out 29 of the 126 persons who had the outcome."
    assert told[2] == "Of the hidden, the list holds: 31.0% (16.0% to 46.0%)"
    assert told[3] == f"Of the counted, the list holds: It cannot be said: {SUPPRESSED}"


def test_too_few_hidden_are_not_counted(tables):
    nothing = pl.when(pl.col("measure") != "persons_hidden").then("value")
    told = opening(changed(tables, "hidden", value=nothing, note=pl.lit(SUPPRESSED)))
    assert f"of them hidden by it: It cannot be said: {SUPPRESSED}" in told.hidden


@pytest.mark.parametrize(("is_simulated", "kind"), [(True, "simulated"), (False, "real"), (None, "unknown")])
def test_the_page_says_what_its_data_are_and_what_it_is_not(tables, is_simulated, kind):
    said = opening(tables, is_simulated=is_simulated).limits
    assert said == tuple(TEXTS["en"][f"limit_{name}"] for name in (kind, "validity", "decision"))
    assert render_evaluation(made_facts(is_simulated=is_simulated), tables).count(said[0]) == 2


def test_what_is_predicted_is_told_by_the_target(tables):
    target = made_facts()["target"]
    left = target | {"counts": "unfinished_stays", "min_count": 1, "admission_types": ["acute", "planned"]}
    assert "of at least 1 hospital stay left early within 365 days." in opening(tables, target=left).what[0]
    other = target | {"sectors": ["psychiatric"], "admission_types": ["planned"], "horizon_days": 90}
    assert (
        "at least 3 planned admissions within 90 days (psychiatric)" in opening(tables, target=other).what[0]
    )


# The details


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_null_is_a_dash_with_its_note(tables, language):
    for section in load_sections():
        findings = Findings(made_facts(), tables)
        laid = lay_out(section, findings, load_wording(language))
        cells = [cell for _, rows in laid.groups for _, own in rows for cell in own]
        marks = {cell.mark for cell in cells if cell.text == ABSENT}
        assert marks <= set(laid.notes)
        assert "" not in marks
    page = render_evaluation(made_facts(), tables, language)
    assert TOO_FEW in page
    assert SUPPRESSED in page


def test_a_row_with_nothing_but_a_note_is_shown_with_it():
    rows = [{"municipality": "360", "name": "Lolland", "note": "Too few persons."}]
    section = next(one for one in load_sections() if one.id == "places_left_out")
    laid = lay_out(
        section,
        Findings(made_facts(), {"places_left_out": frame("places_left_out", rows)}),
        load_wording("en"),
    )
    ((_, ((names, cells),)),) = laid.groups
    assert names[0] == "Lolland"
    assert {(cell.text, cell.mark) for cell in cells} == {(ABSENT, "a")}
    assert laid.notes == {"a": "Too few persons."}


def test_a_wide_table_holds_the_figures_of_the_tidy_one(tables):
    section = next(one for one in load_sections() if one.id == "discrimination")
    laid = lay_out(section, Findings(made_facts(), tables), load_wording("en"))
    heading, rows = laid.groups[0]
    assert heading == "1 January 2023 · all persons"
    assert laid.columns[0] == "AUROC"
    assert [(names, cells[0].text, cells[0].interval) for names, cells in rows] == [
        (("model",), "0.897", "0.877 to 0.917"),
        (("penalised logistic regression",), "0.893", "0.873 to 0.913"),
        (("count of last year",), "0.754", "0.734 to 0.774"),
        (("national programme's rule",), "0.610", "0.590 to 0.630"),
    ]
    assert [cells[3].text for _, cells in rows] == ["", "+0.004", "+0.143", "+0.287"]


def test_details_for_one_moment_are_those_of_the_latest(tables):
    section = next(one for one in load_sections() if one.id == "fairness")
    doubled = pl.when(pl.col("index_time") == LATEST).then(0.5).otherwise("value")
    laid = lay_out(
        section, Findings(made_facts(), changed(tables, "fairness", value=doubled)), load_wording("en")
    )
    assert {cells[0].text for _, rows in laid.groups for _, cells in rows if cells[0].text != ABSENT} == {
        "50.0%"
    }


# Figures


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_drawn_and_needs_its_table(name, tables):
    words = load_wording("da")
    svg = render_figure(name, Findings(made_facts(), tables), words)
    assert svg.startswith('<svg role="img" aria-label="')
    assert svg == render_figure(name, Findings(made_facts(), tables), words)
    assert not render_figure(name, Findings(made_facts(), {"cases": tables["cases"]}), words)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_nothing_but_nulls_is_left_out(name, tables):
    numbers = {
        table: [column for column, kind in schema.items() if kind == pl.Float64]
        for table, schema in SCHEMAS.items()
    }
    emptied = {
        table: made.with_columns(pl.lit(None, pl.Float64).alias(column) for column in numbers[table])
        for table, made in tables.items()
        if table != "cases"
    }
    assert not render_figure(
        name, Findings(made_facts(), emptied | {"cases": tables["cases"]}), load_wording("en")
    )


@pytest.mark.parametrize(
    ("name", "table", "value", "low", "high"),
    [
        ("fairness", "fairness", "difference", "difference_low", "difference_high"),
        ("discrimination", "metrics", "value", "low", "high"),
        ("places_left_out", "places_left_out", "value", "low", "high"),
        ("rolling_origin", "rolling_origin", "value", "low", "high"),
        ("opening", "capacity", "value", "low", "high"),
        ("calibration_groups", "calibration", "value", "low", "high"),
    ],
)
def test_an_interval_of_draws_that_does_not_hold_its_value_is_drawn_where_it_lies(
    name, table, value, low, high, tables
):
    beside = {low: pl.col(value) + 0.01, high: pl.col(value) + 0.02}
    svg = render_figure(name, Findings(made_facts(), changed(tables, table, **beside)), load_wording("en"))
    assert svg.startswith('<svg role="img" aria-label="')


def test_an_interval_ends_where_it_ends_and_not_at_its_value():
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    axes = Figure().subplots()
    mark_interval(axes, 1.0, 0, 2.0, 4.0, LOOKS["model"])
    drawn = [line.get_segments() for line in axes.collections]
    assert [[list(map(list, ends)) for ends in line] for line in drawn] == [[[[2.0, 0.0], [4.0, 0.0]]]]


def test_danish_figures_have_decimal_commas(tables):
    svg = render_figure("discrimination", Findings(made_facts(), tables), load_wording("da"))
    assert "0,9" in svg
    assert not re.search(r">\d+\.\d+<", svg)


def test_a_drawing_keeps_the_names_it_refers_to_and_no_others():
    svg = (
        '<?xml version="1.0"?><!DOCTYPE svg><svg width="9pt" height="9pt" xmlns="x"><metadata>z</metadata>'
        '<g id="a"><path id="b" style="fill: #b00"/><use xlink:href="#b"/></g></svg>'
    )
    assert embed_svg(svg, "plot", 'a "b"') == (
        '<svg role="img" aria-label="a &quot;b&quot;"><g><path id="plot-b" style="fill: #b00"/>'
        '<use href="#plot-b"/></g></svg>'
    )


# Words


def test_all_languages_have_the_same_texts():
    told = {language: set(key_paths(texts)) for language, texts in TEXTS.items()}
    own = {language: {path for path in paths if path[0] != "notes_of"} for language, paths in told.items()}
    assert own["da"] == own["en"]
    assert set(TEXTS) == set(LANGUAGES)


def test_all_languages_fill_the_same_places():
    def places(texts):
        return {
            key: set(re.findall(r"{(\w+)}", text)) for key, text in texts.items() if isinstance(text, str)
        }

    assert places(TEXTS["da"]) == places(TEXTS["en"])


def test_a_note_of_two_sentences_is_translated_one_by_one():
    words = load_wording("da")
    note = "No case has the outcome. Something new. There is nobody in this part."
    assert words.note(note) == "Ingen havde udfaldet. Something new. Der er ingen i denne del."
    assert load_wording("en").note(note) == note


def test_a_rule_of_the_cohort_keeps_its_numbers():
    assert load_wording("en").rule("resident_for_365_days") == "resident for 365 days"
    assert load_wording("da").rule("resident_for_730_days") == "bosat i 730 dage"
    assert load_wording("da").rule("a rule of 2 words") == "a rule of 2 words"


def test_every_note_of_the_measures_is_translated():
    said = {FEW, *(value for value in vars(notes).values() if isinstance(value, str) and value.endswith("."))}
    said.discard(notes.__doc__)
    assert len(said) >= 17
    assert said <= set(TEXTS["da"]["notes_of"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_measure_metric_and_ranking_has_words_and_a_style(language):
    named = set(TEXTS[language]["measure"])
    assert set(MEASURES) <= named
    assert {row["measure"] for row in made_tables()["hidden"].iter_rows(named=True)} <= named
    assert set(RATES) <= set(TEXTS[language]["metric"])
    tables = made_tables()
    for table in ("metrics", "capacity", "calibration", "fairness", "rolling_origin", "places_left_out"):
        metrics = set(tables[table]["metric"])
        assert metrics <= set(TEXTS[language]["metric"])
        assert "significant" not in {choose_style(table, "value", metric) for metric in metrics}
    assert set(FROM_PERSONS) < set(list_groupings()) == set(TEXTS[language]["grouping"]) - {"all"}
    assert all(section.id in TEXTS[language]["sections"] for section in load_sections())


@pytest.mark.parametrize(
    ("style", "value", "english", "danish"),
    [
        ("count", 12_631.4, "12,631", "12.631"),
        ("share", 0.246, "24.6%", "24,6\u00a0%"),
        ("share", 0.0042, "0.42%", "0,42\u00a0%"),
        ("points", -0.031, "\u22123.1", "\u22123,1"),
        ("points", 0.002, "+0.20", "+0,20"),
        ("difference", -0.0004, "+0.000", "+0,000"),
        ("per_1000", -0.0421, "\u221242.10", "\u221242,10"),
        ("whole_per_1000", 0.2456, "246", "246"),
        ("significant", 0.004567, "0.00457", "0,00457"),
        ("significant", 3e-14, "3·10⁻¹⁴", "3·10⁻¹⁴"),
        ("significant", 0.0, "0", "0"),
        ("decimal2", None, ABSENT, ABSENT),
    ],
)
def test_numbers_are_written_as_the_language_does(style, value, english, danish):
    assert load_wording("en").quantity(value, style) == english
    assert load_wording("da").quantity(value, style) == danish


def test_a_municipality_is_named_with_or_without_its_nought():
    words = load_wording("en")
    assert words.name_group("municipality", "360") == words.name_group("municipality", "0360") == "Lolland"
    assert words.name_group("age_band", "18-39") == "18-39"
