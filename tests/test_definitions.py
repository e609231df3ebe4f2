"""Definitions: a model whose features have come to count something else is refused by the names of these."""

import json
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest

import somv_risk as sr
from drawn import define
from somv_risk.batch import run_batch
from somv_risk.errors import ConfigError, DefinitionWarning, ModelError, OtherDefinitionsError
from somv_risk.evaluation.compare_models import compare_models
from somv_risk.evaluation.evaluate import evaluate
from somv_risk.features import (
    MEASURES,
    VIEWS,
    count_version,
    describe_definition,
    load_catalogue,
    load_definitions,
    read_definition,
)
from somv_risk.model.definitions import SHOWN_NAMES, list_other_definitions
from somv_risk.model.model import compute_model_hash
from somv_risk.monitoring import monitor
from somv_risk.scoring.change import explain_change
from somv_risk.scoring.explain_person import explain_person, explain_region, list_reason_evidence
from somv_risk.store import write_store
from somv_risk.tracking import ServedModel

PERSON = "P0000001"


def make_older(model, *names):
    """The model as if trained before the last change of some features (of all if none is named)."""
    features = tuple(
        replace(feature, version=feature.version + 1) if not names or feature.name in names else feature
        for feature in model.features
    )
    return replace(model, encoding=replace(model.encoding, features=features))


@pytest.fixture(scope="module")
def older(model):
    return make_older(model, "department_entropy_365d", "bed_days_365d")


def raise_version(monkeypatch, parts, name):
    """Raise the version of a kind of events or of a measure, as whoever changes it does."""
    monkeypatch.setitem(parts, name, replace(parts[name], version=parts[name].version + 1))


# --- Versions


def test_every_definition_of_the_catalogue_has_a_version_of_its_row():
    assert all(type(definition.version) is int for definition in load_definitions())
    assert all(definition.version >= 1 for definition in load_definitions())


def test_the_version_of_a_feature_rises_with_its_row_its_events_and_its_measure(monkeypatch):
    row = {"measure": "count", "events": "stays", "windows": (365,)}
    first = count_version(define(**row))
    assert count_version(define(**row, version=2)) == first + 1
    raise_version(monkeypatch, VIEWS, "stays")
    assert count_version(define(**row)) == first + 1
    raise_version(monkeypatch, MEASURES, "count")
    assert count_version(define(**row)) == first + 2
    other = {"measure": "any", "events": "primary_care", "windows": (365,)}
    assert count_version(define(**other)) == first


def test_the_events_and_measures_that_have_changed_have_another_version():
    """Events end within bounds and with a death; some measures became exact. Background is what it was."""
    assert {name: view.version for name, view in VIEWS.items()} == dict.fromkeys(VIEWS, 2) | {"background": 1}
    assert {name for name, measure in MEASURES.items() if measure.version == 2} == {
        "burstiness",
        "decayed",
        "entropy",
    }
    versions = {feature.name: feature.version for feature in load_catalogue()}
    assert versions["acute_admissions_365d"] == 2
    assert versions["department_entropy_365d"] == 3
    assert versions["age"] == 1


@pytest.mark.parametrize("version", [0, -1, 1.5, "2", True, None])
def test_a_version_is_a_whole_number_from_1(version):
    with pytest.raises(ConfigError, match="has the version"):
        define(measure="count", events="stays", windows=(365,), version=version)


def test_a_version_is_written_with_the_definition_and_read_again():
    definition = define(measure="count", events="stays", windows=(365,), version=3)
    written = json.loads(json.dumps(describe_definition(definition)))
    assert written["version"] == 3
    assert read_definition("own", written) == definition
    assert "version" not in describe_definition(replace(definition, version=1))


def test_a_model_keeps_the_versions_it_was_trained_with(older, tmp_path):
    older.save(tmp_path / "model")
    loaded = sr.load_model(tmp_path / "model")
    assert loaded == older
    assert compute_model_hash(loaded) == compute_model_hash(older)
    rows = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))["features"]
    versions = {(row["id"], row["days"]): row.get("version", 1) for row in rows}
    now = {(f.definition.id, f.window and f.window.days): f.version for f in load_catalogue()}
    entropy, days = ("department_entropy", 365), ("bed_days", 365)
    assert versions == now | {entropy: now[entropy] + 1, days: now[days] + 1}


def test_a_model_without_versions_is_of_version_1(model, tmp_path):
    first = replace(
        model,
        encoding=replace(
            model.encoding, features=tuple(replace(feature, version=1) for feature in model.features)
        ),
    )
    first.save(tmp_path / "model")
    said = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    assert not any("version" in row for row in said["features"])
    assert {feature.version for feature in sr.load_model(tmp_path / "model").features} == {1}


# --- Which features are others


def test_a_model_of_this_library_has_no_other_definitions(model):
    assert list_other_definitions(model) == []


def test_the_features_that_count_something_else_are_named_in_the_order_of_the_model(older):
    assert list_other_definitions(older) == ["bed_days_365d", "department_entropy_365d"]


def test_a_change_of_events_is_a_change_of_every_feature_of_them(model, monkeypatch):
    raise_version(monkeypatch, VIEWS, "primary_care")
    expected = [f.name for f in model.features if f.definition.events == "primary_care"]
    assert list_other_definitions(model) == expected
    assert len(expected) > 5


def test_a_change_of_a_row_of_the_catalogue_is_one_of_its_features(model, monkeypatch):
    changed = tuple(
        replace(definition, version=2) if definition.id == "bed_days" else definition
        for definition in load_definitions()
    )
    monkeypatch.setattr("somv_risk.model.definitions.load_definitions", lambda: changed)
    expected = [f.name for f in model.features if f.definition.id == "bed_days"]
    assert list_other_definitions(model) == expected


def add_own(model, **row):
    (own,) = define(measure="count", events="contacts", windows=(365,), **row).features()
    return replace(model, encoding=replace(model.encoding, features=(own,)))


def test_of_an_own_feature_the_events_and_the_measure_can_change_and_not_its_row(model, monkeypatch):
    own = add_own(model, version=5)
    assert list_other_definitions(own) == []
    raise_version(monkeypatch, MEASURES, "count")
    assert list_other_definitions(own) == ["own_365d"]


# --- Refused, or warned of


def ask_batch(model, region, folder, **options):
    store = folder / "store"
    if not store.exists():
        write_store(region, store, buckets=2)
    return run_batch(model, store, folder / "out", index_time=region.data_end, **options)


ASKED = {
    "score": lambda model, region, _, **options: sr.score(
        model, region, index_time=region.data_end, person_ids=[PERSON], **options
    ),
    "run_batch": ask_batch,
    "explain_person": lambda model, region, _, **options: explain_person(
        model, region, PERSON, region.data_end, **options
    ),
    "list_reason_evidence": lambda model, region, _, **options: list_reason_evidence(
        model, region, PERSON, region.data_end, "bed_days_365d", **options
    ),
    "explain_region": lambda model, region, _, **options: explain_region(
        model, region, region.data_end, **options
    ),
    "explain_change": lambda model, region, _, **options: explain_change(
        model, region, PERSON, "2025-06-01", region.data_end, **options
    ),
    "evaluate": lambda model, region, _, **options: evaluate(
        model, region, index_times=model.facts["index_times"]["test"], draws=0, **options
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_model_with_other_definitions_is_refused_by_their_names(older, region, tmp_path, name):
    with pytest.raises(OtherDefinitionsError, match=r"bed_days_365d, department_entropy_365d\. .*allow"):
        ASKED[name](older, region, tmp_path)
    assert issubclass(OtherDefinitionsError, ModelError)


@pytest.mark.parametrize("name", ASKED)
def test_where_it_is_allowed_it_answers_with_a_warning(older, region, tmp_path, name):
    with pytest.warns(DefinitionWarning, match="bed_days_365d, department_entropy_365d"):
        ASKED[name](older, region, tmp_path, allow=["definitions"])


@pytest.mark.parametrize("name", ["score", "explain_person", "explain_change"])
def test_a_model_of_this_library_warns_of_nothing(model, region, tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DefinitionWarning)
        ASKED[name](model, region, tmp_path)


def test_what_is_allowed_elsewhere_allows_no_other_definitions(older, region, tmp_path):
    with pytest.raises(OtherDefinitionsError):
        ASKED["score"](older, region, tmp_path, allow=["absent-tables", "index-time"])


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("da", "2 oplysninger tælles på en anden måde"),
        ("en", "2 features are counted in another way"),
        ("nb", "2 opplysninger telles på en annen måte"),
        ("sv", "2 uppgifter räknas på ett annat sätt"),
    ],
)
def test_every_score_of_such_a_model_says_so(older, region, language, expected):
    with pytest.warns(DefinitionWarning):
        scores = sr.score(older, region, index_time=region.data_end, allow=["definitions"], language=language)
    assert all(any(expected in told for told in row) for row in scores["warnings"].to_list())


def test_the_risks_are_those_of_the_numbers_of_now(older, model, region, tmp_path):
    with pytest.warns(DefinitionWarning):
        allowed = ASKED["score"](older, region, tmp_path, allow=["definitions"])
    assert allowed["risk"].to_list() == ASKED["score"](model, region, tmp_path)["risk"].to_list()


def test_of_many_features_the_first_are_named_and_the_others_counted(model, region, tmp_path):
    others = make_older(model)
    with pytest.raises(OtherDefinitionsError) as refused:
        ASKED["score"](others, region, tmp_path)
    names = [feature.name for feature in others.features]
    assert ", ".join(names[:SHOWN_NAMES]) in str(refused.value)
    assert f" and {len(names) - SHOWN_NAMES} more" in str(refused.value)
    assert names[SHOWN_NAMES] not in str(refused.value)


def test_a_server_does_not_start_with_such_a_model(older, model, tmp_path):
    for name, saved in (("older", older), ("now", model)):
        saved.save(tmp_path / name)
    served = ServedModel()
    served.load_context(SimpleNamespace(artifacts={"risk_model": str(tmp_path / "now")}))
    with pytest.raises(OtherDefinitionsError, match="bed_days_365d"):
        served.load_context(SimpleNamespace(artifacts={"risk_model": str(tmp_path / "older")}))


def test_a_champion_of_before_can_still_be_compared_and_monitored(older, model, region):
    with pytest.warns(DefinitionWarning, match="bed_days_365d"):
        compared = compare_models(model, older, region, draws=0)
    assert compared.facts["persons"] > 0
    with pytest.warns(DefinitionWarning, match="bed_days_365d"):
        monitor(older, region, region.data_end)


def test_the_command_line_refuses_with_its_own_exit_code_and_goes_on_where_it_is_allowed(
    older, region, run, tmp_path
):
    older.save(tmp_path / "model")
    write_store(region, tmp_path / "store", buckets=2)
    asked = ("--store", tmp_path / "store", "--model", tmp_path / "model")
    score = ("score", *asked, "--index-time", region.data_end, "--out", tmp_path / "out")
    refused = run(*score)
    assert refused.code == 28
    assert "bed_days_365d, department_entropy_365d" in refused.err
    assert run(*score, "--allow", "definitions").code == 0
    explain = ("explain", *asked, "--index-time", region.data_end, "--person", PERSON)
    assert run(*explain).code == 28
    assert run(*explain, "--allow", "definitions").code == 0
