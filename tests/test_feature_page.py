"""The page of the features: kept current, naming all of them and all that an own feature may ask for."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

import somv_risk as sr
from somv_risk.features import (
    MEASURES,
    THEMES,
    VIEWS,
    Definition,
    list_features,
    load_catalogue,
    load_definitions,
    parse_definitions,
)
from somv_risk.registers.codes import load_groups
from somv_risk.report.feature_page import describe_what, render_feature_page

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "features.md"
EXAMPLE = ROOT / "examples" / "own_features.toml"


@pytest.fixture(scope="module")
def page() -> str:
    return render_feature_page(load_definitions())


def find_line(page: str, word: str) -> str:
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    (line,) = [row for row in rows if f"`{word}`" in row.split(" | ")[0]]
    return line


def list_cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_page_is_that_of_the_catalogue(page):
    """Whoever changes the catalogue writes the page anew: somv-risk features --out docs/features.md."""
    assert PAGE.read_text(encoding="utf-8") == page


def test_the_command_writes_the_page(run, tmp_path):
    told = run("features", "--out", tmp_path / "docs" / "features.md")
    assert (told.code, told.err) == (0, "")
    written = (tmp_path / "docs" / "features.md").read_text(encoding="utf-8")
    _, there, here = written.partition("changes by hand are lost.")
    assert there + here == "".join(
        PAGE.read_text(encoding="utf-8").partition("changes by hand are lost.")[1:]
    )


def test_every_feature_stands_in_one_row_with_all_that_is_declared(page):
    tables, _, _ = page.partition("## A feature of one's own")
    assert load_definitions()
    for definition in load_definitions():
        cells = list_cells(find_line(tables, definition.features()[0].name))
        names, title, what, source, windows, unit, null, risk, changeable, version = cells
        when_none = MEASURES[definition.measure].when_none
        assert re.findall(r"`(\w+)`", names) == [feature.name for feature in definition.features()]
        assert title == f"{definition.title['da']} / {definition.title['en']}"
        assert f"`{definition.measure}`" in what
        assert f"`{definition.events}`" in what
        assert all(f"`{flag}`" in what for flag in (*definition.where, *definition.of))
        assert all(f"`{table}`" in source for table in definition.tables)
        assert windows == (", ".join(map(str, definition.windows)) or "none")
        assert unit == definition.unit
        assert (null == "never") == (when_none is not None)
        assert risk == {1: "up", -1: "down", 0: ""}[definition.monotone]
        assert changeable == {True: "yes", False: "no"}[definition.changeable]
        assert version == str(definition.features()[0].version)


def test_the_head_counts_them_and_states_the_rule_of_time(page):
    head, _, _ = page.partition("## How to read")
    count, definitions = len(load_catalogue()), len(load_definitions())
    assert f"{count} features of {definitions} definitions over {len(THEMES)} themes" in head
    assert "`[index - d, index)`" in head
    assert "`somv-risk features --out docs/features.md`" in head


def test_the_themes_stand_in_their_order(page):
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings[1:-1] == [theme.replace("_", " ").capitalize() for theme in THEMES]


def test_all_that_may_be_asked_for_is_named(page):
    _, _, own = page.partition("## A feature of one's own")
    assert MEASURES
    assert VIEWS
    for name in MEASURES:
        assert len(list_cells(find_line(own, name))[1]) > 10
    for name, view in VIEWS.items():
        _, _, section = own.partition(f"#### `{name}`\n")
        section = section.partition("#### ")[0]
        assert all(f"`{word}`" in section for word in (*view.flags, *view.values, *view.texts))
        assert all(f"`{table}`" in section for table in (*view.tables, *view.also))


def test_the_codes_of_every_diagnosis_group_stand_on_the_page(page):
    _, _, groups = page.partition("### Diagnosis groups\n")
    for group in load_groups().values():
        name, title, codes, source, status = list_cells(find_line(groups, group.name))
        assert codes.split(", ") == list(group.prefixes)
        assert group.title["en"] in title
        assert (name, source, status) == (f"`{group.name}`", group.source, group.status)
    assert "F10, G312" in groups


def test_the_page_says_what_counts_of_two_events_and_of_an_unknown_substance(page):
    assert "no such event that follows another, with both sides of the gap between them in the window" in page
    assert "Of the event before only that end" in page
    assert "what is not known is none" in page


def test_the_feature_that_the_page_shows_can_be_constructed(page):
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (definition,) = parse_definitions(tomllib.loads(block))
    assert definition.match == {"department": ("Neurologi*",)}


def test_own_features_stand_among_the_others_and_are_marked(run, tmp_path):
    file = tmp_path / "page.md"
    assert run("features", "--own", EXAMPLE, "--out", file).code == 0
    text = file.read_text(encoding="utf-8")
    own = sr.read_definitions(EXAMPLE)
    for definition in own:
        assert list_cells(find_line(text, definition.features()[0].name))[0].endswith("(own)")
    assert text.count("(own)") == len(own)
    assert f"{len(load_catalogue()) + len(list_features(own))} features of" in text
    assert f"--own {shlex.quote(str(EXAMPLE))}" in text


@pytest.mark.parametrize(("language", "title"), [("da", "akutte indlæggelser"), ("en", "acute admissions")])
def test_the_command_lists_the_features(run, language, title):
    told = run("features", "--own", EXAMPLE, "--language", language)
    assert (told.code, told.err) == (0, "")
    for definition in (*load_definitions(), *sr.read_definitions(EXAMPLE)):
        assert f" {definition.id} " in told.out
    assert title in told.out


def test_a_bad_file_of_own_features_is_one_line_and_its_exit_code(run, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text("[own]\nwindows = [0]\n", encoding="utf-8")
    told = run("features", "--own", file)
    assert told.code == 6
    assert "own.toml: Feature 'own' lacks theme, title, unit, measure, events." in told.err


def test_a_page_that_cannot_be_written_is_one_line_and_its_exit_code(run, tmp_path):
    (tmp_path / "file").touch()
    told = run("features", "--out", tmp_path / "file" / "page.md")
    assert told.code == 3
    assert "cannot be written" in told.err


OWN = {"theme": "bursts", "title": {"da": "a|b", "en": "own"}, "unit": "events"}


def test_what_is_counted_is_told_in_words():
    matched = Definition(
        id="own",
        **OWN,
        measure="share",
        events="contacts",
        windows=[90],
        of=["follows"],
        where=["same_unit"],
        match={"hospital": ["Køge"], "department": ["Neurologi*", "Kirurgi"]},
        anchor="end",
    )
    assert describe_what(matched) == (
        "`share` of `contacts` with `follows`: those with `same_unit` whose `hospital` is `Køge` "
        "and `department` is `Neurologi*` or `Kirurgi`, by their end"
    )
    burst = Definition(id="own", **OWN, measure="most_within", events="stays", windows=[90], within_days=7)
    assert describe_what(burst) == "`most_within` 7 days of `stays`"


def test_a_bar_in_a_title_begins_no_new_cell():
    own = Definition(id="own", **OWN, measure="count", events="stays", windows=[90])
    assert "| a\\|b / own |" in render_feature_page((), [own])
