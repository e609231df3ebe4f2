"""Records: a measure and a view are told in one place each, and nowhere else; one more of each is enough."""

import ast
import tomllib
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path

import polars as pl
import pytest

import somv_risk as sr
from somv_risk.cohort.asof import NO_LAGS
from somv_risk.cohort.windows import Lookback
from somv_risk.errors import ConfigError
from somv_risk.evaluation.explanations._sources import find_sources, see_tables
from somv_risk.features import (
    MEASURES,
    VIEWS,
    Column,
    Definition,
    Extent,
    Measure,
    Source,
    Timeline,
    View,
    list_evidence,
    list_features,
    list_measurable_events,
    load_catalogue,
    read_rows,
    to_microseconds,
)
from somv_risk.features.views import build_view
from somv_risk.features.views.view import make_events
from somv_risk.languages import LANGUAGES
from somv_risk.registers import schema
from somv_risk.report.feature_page import render_feature_page
from somv_risk.scoring.reasons import _texts as reason_texts
from somv_risk.scoring.reasons import format_events, render_sentence

# --- One more of each: a function, a record, and the texts


def compute_pairs(question, events, windows: Sequence[Lookback]) -> list[Column]:
    """Pairs of events in the window."""
    counts = MEASURES["count"].compute(question, events, windows)
    return [count * (count - 1) // 2 for count in counts]


PAIRS = Measure(compute_pairs, pl.Int32(), 0, "never null", shape="number")


def build_transfers_view(timeline):
    """Build one event per known contact that ended with a transfer."""
    contacts = timeline.see(schema.ADMISSIONS)
    return make_events(contacts.take(contacts.get(schema.DISCHARGE).are("transferred")), timeline)


TRANSFERS = View(
    build_transfers_view,
    tables=(schema.ADMISSIONS,),
    extent=Extent.DATED,
    sources=(Source(schema.ADMISSIONS),),
)
NOW = datetime(2026, 1, 1)
AT_NOW = pl.DataFrame(
    {"person_id": ["anna"], "index_time": [NOW]}, schema_overrides={"index_time": pl.Datetime}
)


@pytest.fixture
def one_more(monkeypatch):
    """The library with one more measure and one more view: this is the way to add some in a test."""
    monkeypatch.setitem(MEASURES, "pairs", PAIRS)
    monkeypatch.setitem(VIEWS, "transfers", TRANSFERS)
    texts = {language: read_texts(language, "Transfer") for language in LANGUAGES}
    monkeypatch.setattr(reason_texts, "_load_texts", texts.__getitem__)


def read_texts(language: str, transfers: str) -> reason_texts.Texts:
    file = resources.files("somv_risk.scoring.reasons").joinpath(f"{language}.toml")
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    content["events"]["transfers"] = transfers
    return reason_texts.read_texts(language, content)


@pytest.fixture(scope="module")
def histories():
    """Anna: four contacts in 2025, the first three of which ended with a transfer."""
    ends = ["transferred", "transferred", "transferred", "completed"]
    rows = [
        {
            "person_id": "anna",
            "contact_id": f"c{month}",
            "started_at": datetime(2025, month, 1),
            "ended_at": datetime(2025, month, 4),
            "sector": "somatic",
            "admission_type": "acute",
            "hospital": "Horsens",
            "discharge": discharge,
        }
        for month, discharge in enumerate(ends, 8)
    ]
    persons = [
        {"person_id": "anna", "birth_date": datetime(1960, 1, 1), "sex": "female", "municipality": "615"}
    ]
    return sr.from_frames(persons=pl.DataFrame(persons), admissions=pl.DataFrame(rows), data_end=NOW)


def define(measure: str, events: str, **row) -> Definition:
    title = {"da": f"{measure} {events}", "en": f"{measure} of {events}"}
    row = {"windows": [365], **row}
    identity = f"{measure}_{events}"
    return Definition(
        id=identity, theme="hospital_use", title=title, unit="n", measure=measure, events=events, **row
    )


def list_own() -> tuple[Definition, ...]:
    return (
        define("pairs", "transfers"),
        define("count", "transfers", anchor="end"),
        define("pairs", "contacts"),
    )


@pytest.mark.usefixtures("one_more")
def test_features_of_one_more_measure_and_view_are_built(histories):
    features = list_features(list_own())
    built = sr.build_features(histories, AT_NOW, features).collect()
    assert built.drop("person_id", "index_time").row(0, named=True) == {
        "pairs_transfers_365d": 3,
        "count_transfers_365d": 3,
        "pairs_contacts_365d": 6,
    }
    assert built["pairs_transfers_365d"].dtype == pl.Int32


@pytest.mark.usefixtures("one_more")
def test_the_rules_know_what_one_more_measure_and_view_can_do():
    assert "transfers" in list_measurable_events("pairs")
    assert "transfers" in list_measurable_events("share")
    assert "transfers" not in list_measurable_events("days")
    with pytest.raises(ConfigError, match="pairs of transfers anchored at 'end'"):
        define("pairs", "transfers", anchor="end")
    with pytest.raises(ConfigError, match="which measures no value"):
        define("pairs", "contacts", value="hospital")


@pytest.mark.usefixtures("one_more")
def test_the_evidence_and_its_rows_are_found(histories):
    (feature,) = list_own()[0].features()
    evidence = list_evidence(histories, AT_NOW, feature)
    assert evidence["started_at"].dt.month().to_list() == [10, 9, 8]
    rows = find_sources(see_tables(histories, AT_NOW, NO_LAGS), evidence, feature)
    contacts = histories.admissions.collect()["contact_id"]
    assert set(contacts.gather(rows["table_row"])) == {"c8", "c9", "c10"}


@pytest.mark.usefixtures("one_more")
def test_a_sentence_and_the_list_of_events_say_them(histories):
    (feature,) = list_own()[0].features()
    assert render_sentence(feature, 3, 0.4, "en") == (
        "Pairs of transfers: 3 in the past year. This raises the estimated risk."
    )
    lines = format_events(list_evidence(histories, AT_NOW, feature), "en")
    assert [line.strip().partition(":")[0] for line in lines] == 3 * ["Transfer"]


@pytest.mark.usefixtures("one_more")
def test_the_feature_page_shows_them():
    page = render_feature_page((), list_own())
    assert "`pairs` of `transfers`" in page
    assert "| `pairs` | Pairs of events in the window. | any | windows | start | never |" in page
    head = "#### `transfers`\n\nOne event per known contact that ended with a transfer. Source: `admissions`."
    assert head in page


def test_after_a_test_they_are_gone():
    assert "pairs" not in MEASURES
    assert "transfers" not in VIEWS


# --- Nowhere else

SOURCE = Path(sr.__file__).parent
HOMES = ("features/measures/", "features/views/", "simulate/", "testing/")
NAMES = {*MEASURES, *VIEWS}
# Names with an underscore mean a measure or a view wherever they stand, unless a table has the name, too.
PLAIN = {name for name in NAMES if "_" not in name} | set(schema.TABLES)
# The same word for something else, in files that know features: file, word, what it is there.
OTHER_MEANINGS = {
    ("batch/_rest.py", "background"): "a column of the scores",
    ("features/_rules.py", "background"): "a theme",
    ("features/_rules.py", "continuity"): "a theme",
    ("model/model.py", "days"): "a key of the file of a model",
    ("report/card.py", "sectors"): "what a target counts",
    ("report/feature_page.py", "any"): "the word of the page for all kinds of events",
    ("report/feature_page.py", "never"): "the word of the page for a feature without nulls",
    ("scoring/change/_change.py", "now"): "a column of what changed",
    ("scoring/reasons/_sentences.py", "days"): "a placeholder",
    ("scoring/reasons/_shapes.py", "days"): "a placeholder",
    ("scoring/reasons/_texts.py", "days"): "a placeholder",
    ("training/config.py", "admissions"): "what a target counts",
}


def find_names(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Find the names of measures and views that a file spells."""
    nodes = list(ast.walk(ast.parse(text)))
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    knows_features = any(module.startswith("somv_risk.features") for module in modules)
    spelt = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for name in sorted(spelt & (NAMES if knows_features else NAMES - PLAIN)):
        yield path, name


def find_names_away_from_home() -> Iterator[tuple[str, str]]:
    for file in sorted(SOURCE.rglob("*.py")):
        path = file.relative_to(SOURCE).as_posix()
        if not path.startswith(HOMES):
            yield from find_names(path, file.read_text(encoding="utf-8"))


def test_names_of_measures_and_views_stand_in_their_records_only():
    found = [place for place in find_names_away_from_home() if place not in OTHER_MEANINGS]
    assert found == [], "ask the record: feature.measure, definition.view, MEASURES, VIEWS"


def test_each_other_meaning_is_one_that_is_found():
    there = {(path, name) for path, name in OTHER_MEANINGS if (SOURCE / path).exists()}
    assert there <= set(find_names_away_from_home())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('if measure == "days_since": pass', ["days_since"]),
        ('from somv_risk.features import Feature\nGAPS = ("smallest", "share")', ["share", "smallest"]),
        ('share = frame["share"]', []),
        ('table = "primary_care"', []),
        ('"""Days_since and never."""', []),
    ],
)
def test_a_name_that_is_spelt_is_found(text, names):
    assert [name for _, name in find_names("scoring/x.py", text)] == names


# --- What a record says


def test_each_function_is_called_like_its_measure():
    names = {name: measure.compute.__name__ for name, measure in MEASURES.items()}
    fixed = {name for name, measure in MEASURES.items() if measure.extents == (Extent.FIXED,)}
    assert names == {name: "compute_value" if name in fixed else f"compute_{name}" for name in MEASURES}


def test_every_view_offers_what_it_builds(histories):
    """Flags of the records are those of the events; their values and texts are among those built."""
    offered = {name: (set(view.flags), {*view.values, *view.texts}) for name, view in VIEWS.items()}
    events = {name: look_back(histories, name) for name in VIEWS}
    built = {
        name: (set(one.flags), {*one.values, *one.coded} & offered[name][1]) for name, one in events.items()
    }
    assert offered == built


def look_back(histories, view: str):
    """Build the events of a view as seen from now."""
    prepared = read_rows(histories, AT_NOW, load_catalogue(), NO_LAGS)
    return build_view(view, Timeline(prepared, prepared.numbers, to_microseconds(AT_NOW["index_time"])))
