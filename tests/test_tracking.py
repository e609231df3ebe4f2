"""MLflow: what a training leaves there, a model that takes raw histories, and who may become the champion."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import mlflow
import polars as pl
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR
from polars.testing import assert_frame_equal

import somv_risk as sr
from somv_risk.errors import ConfigError, ModelError, SourceError
from somv_risk.evaluation.compare_models import compare_models
from somv_risk.model.model import compute_model_hash
from somv_risk.registers import schema as s
from somv_risk.store import write_store
from somv_risk.testing.people import PEOPLE
from somv_risk.tracking import (
    MODEL_NAME,
    ServedModel,
    build_example,
    promote,
    read_gates,
    roll_back,
    track_training,
)
from test_cli import to_toml

pytestmark = pytest.mark.filterwarnings("ignore:Decorate your function", "ignore:The ``noload`` loader")

ROOT = Path(__file__).parents[1]
SECRET = "SECRETVALUE"  # noqa: S105 - what a person's cell holds
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
# Few persons can be asked of so few made-up ones; docs and library gates ask more.
GATES = """
[gates.separation]
says = "separates no worse, but for 0.01"
metric = "auroc"
population = "all"
number = "low"
at_least = -0.01

[gates.new]
says = "finds no fewer new persons"
metric = "precision"
population = "new"
capacity = "1 %"
number = "difference"
at_least = 0.0
"""
# Whoever tries to reach the world outside fails at once.
OFFLINE = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "all")} | {
    "no_proxy": "127.0.0.1"
}


def environment(uri):
    """The environment of a shell in which the project's own is active and there is no way out."""
    path = [str(Path(sys.executable).parent), os.environ["PATH"]]
    settings = {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "src"),
        "PATH": os.pathsep.join(path),
    }
    return {name: value for name, value in (os.environ | settings | OFFLINE).items() if value}


@pytest.fixture(scope="module")
def place(tmp_path_factory, region, plan):
    """A folder with a store of the region, settings and gates, in which a run by MLflow has trained."""
    folder = tmp_path_factory.mktemp("tracked")
    write_store(region, folder / "store", buckets=2)
    (folder / "training.toml").write_text(to_toml(plan))
    (folder / "gates.toml").write_text(GATES)
    uri = f"sqlite:///{folder}/mlflow.db"
    parameters = {
        "store": folder / "store",
        "model": folder / "model",
        "config": folder / "training.toml",
        "draws": 10,
    }
    given = [part for name, value in parameters.items() for part in ("-P", f"{name}={value}")]
    command = ["mlflow", "run", str(ROOT), "--env-manager", "local", "-e", "train", *given]
    done = subprocess.run(  # noqa: S603 - our own command
        command, env=environment(uri), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def uri(place):
    return f"sqlite:///{place}/mlflow.db"


@pytest.fixture
def client(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return mlflow.MlflowClient(uri)


@pytest.fixture
def loaded(client, monkeypatch):  # noqa: ARG001 - its store
    """The model as MLflow loads it, with pickle switched off."""
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    return mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}/1")


@pytest.fixture(scope="module")
def served(model):
    """What the server asks, without the server."""
    one = ServedModel()
    one.model = model
    return one


def of_persons(histories, person_ids):
    return histories.keep_persons(pl.LazyFrame({"person_id": person_ids}))


def to_citizen(histories, person_id):
    """A citizen as a hospital would send one: all rows as text."""

    def rows(table):
        mine = histories.tables[table].filter(pl.col("person_id") == person_id)
        return mine.select(pl.all().cast(pl.String)).collect().to_dicts()

    events = {
        table: [{name: value for name, value in row.items() if name != "person_id"} for row in rows(table)]
        for table in histories.tables
        if table != "persons"
    }
    return {"person": rows("persons")[0]} | events


def ask(histories, person_ids, **options):
    citizens = [to_citizen(histories, person) for person in person_ids]
    return {"index_time": histories.data_end.isoformat(), "citizens": citizens} | options


@pytest.fixture(scope="module")
def few(crowd):
    """The named people, and some of the crowd."""
    ids = crowd.persons.collect()["person_id"]
    named = [person for person in ids if not re.fullmatch(r"P\d+", person)]
    assert len(named) >= len(PEOPLE)
    return [*named, *ids.sample(20, seed=1).to_list()]


def tell_rows(scores):
    """Scores as a server tells them."""
    moment = pl.col("index_time").dt.strftime("%Y-%m-%dT%H:%M:%S")
    return scores.with_columns(moment).to_dicts()


# What a training leaves


def test_a_run_says_how_the_model_was_made_and_how_it_did(client, plan, region, model):
    (version,) = client.search_model_versions(f"name='{MODEL_NAME}'")
    run = client.get_run(version.run_id)
    assert run.data.params["config.trees.rounds"] == str(plan["trees"]["rounds"])
    assert json.loads(run.data.params["index_times.test"]) == plan["times"]["test"]
    assert run.data.tags["model_hash"] == compute_model_hash(model)
    report = sr.evaluate(model, region, index_times=plan["times"]["test"], draws=0)
    told = report.metrics.filter(ranking="model", population="new", metric="auroc")["value"].item()
    assert run.data.metrics["metrics.new.auroc"] == told
    assert run.data.metrics["capacity.new.1 percent.precision"] >= 0
    assert run.data.metrics["calibration.expected_over_observed"] > 0


def test_artifacts_are_tables_pages_figures_and_the_card(client, model):
    (version,) = client.search_model_versions(f"name='{MODEL_NAME}'")
    folder = Path(mlflow.artifacts.download_artifacts(run_id=version.run_id))
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    tables = {"metrics", "capacity", "calibration", "fairness", "gaps", "attrition", "cases"}
    assert {f"evaluation/evaluation-tables/{name}.csv" for name in tables} <= files
    assert {"CARD.md", "evaluation/evaluation.html", "evaluation/TRIPOD-AI.md"} <= files
    assert sum(name.startswith("figures/") for name in files) >= 5
    data = json.loads((folder / "data.json").read_text())
    assert data["rows"] == model.facts["rows"]
    assert data["data_hash"] == model.facts["data_hash"]
    assert set(data["table_hashes"]) == set(model.facts["tables"])
    assert data["quarantine"] == []
    assert all(re.fullmatch(r"\d{4}-\d\d", month) for months in data["periods"].values() for month in months)
    attrition = pl.read_csv(folder / "training-attrition.csv")
    assert attrition["rows_after"].to_list() == [row["rows_after"] for row in model.facts["attrition"]]


def test_every_figure_can_be_read_alone(client):
    (version,) = client.search_model_versions(f"name='{MODEL_NAME}'")
    folder = Path(mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path="figures"))
    roots = [ET.parse(file).getroot() for file in folder.iterdir()]  # noqa: S314 - our own
    assert {root.tag for root in roots} == {"{http://www.w3.org/2000/svg}svg"}


def test_nothing_in_the_store_is_about_a_person(place, region):
    ids = set()
    for frame in region.tables.values():
        ids |= {
            value
            for name in frame.collect_schema().names()
            if name.endswith("_id")
            for value in frame.select(name).collect()[name].unique()
        }
    assert len(ids) > 20_000
    files = [*(place / "mlartifacts").rglob("*"), *(place / "mlruns").rglob("*"), place / "mlflow.db"]
    names = {file.name for file in files}
    assert {"CARD.md", "model.json", "evaluation.html", "fairness.csv", "MLmodel", "mlflow.db"} <= names
    found = {
        file.name: words & ids
        for file in files
        if file.is_file()
        for words in [set(re.findall(r"\w+", file.read_bytes().decode("utf-8", errors="ignore")))]
        if words & ids
    }
    assert found == {}


@pytest.mark.usefixtures("client")
def test_the_model_is_text_and_json_and_a_few_lines_of_code():
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{MODEL_NAME}/1"))
    files = [file for file in folder.rglob("*") if file.is_file() and file.parent.name != "__pycache__"]
    assert {file.suffix for file in files} <= {"", ".json", ".yaml", ".txt", ".md", ".py"}
    code = (folder / "served_model.py").read_text()
    assert "somv_risk.tracking" in code
    assert len(code.splitlines()) < 15
    requirements = (folder / "requirements.txt").read_text().split()
    assert any(line.startswith("somv-risk==") for line in requirements)


# The model takes raw histories


def test_the_signature_names_every_column_and_the_example_is_answered(loaded):
    text = json.dumps(loaded.metadata.signature.to_dict())
    for table in s.EVENT_TABLES:
        for name in s.get_columns(table):
            assert name in text
    (answer,) = loaded.predict(loaded.input_example or build_example())
    assert [row.person_id for row in answer.scores] == ["example-person"]


def test_citizens_have_the_same_scores_to_the_bit(loaded, model, crowd, few):
    question = ask(crowd, few, language="en", capacity=3, data_end=crowd.data_end.isoformat())
    (answer,) = loaded.predict([question])
    expected = sr.score(
        model,
        of_persons(crowd, few),
        index_time=crowd.data_end,
        capacity=3,
        language="en",
        explain="all",
    )
    assert answer.model_dump()["scores"] == tell_rows(expected)
    assert set(answer.not_eligible) == set(few) - set(expected["person_id"])


def test_frames_have_the_same_scores_to_the_bit(loaded, model, region):
    frames = {name: frame.collect() for name, frame in region.tables.items()}
    options = {"index_time": "2025-06-01", "data_end": region.data_end.isoformat(), "explain": "none"}
    told = pl.from_pandas(loaded.predict(frames | options)[["person_id", "risk", "percentile", "rank"]])
    expected = sr.score(model, region, index_time="2025-06-01", explain="none")
    assert_frame_equal(told, expected.select(told.columns), check_exact=True, check_dtypes=False)


def test_pandas_frames_are_taken_too_and_rows_set_aside_are_told(served, crowd, few):
    frames = {name: frame.collect() for name, frame in of_persons(crowd, few).tables.items()}
    bad = (
        frames["admissions"]
        .head(1)
        .with_columns(contact_id=pl.lit("x"), ended_at=pl.col("started_at").dt.offset_by("-1d"))
    )
    frames["admissions"] = pl.concat([frames["admissions"], bad])
    with pytest.warns(UserWarning, match="ends_after_it_starts"):
        told = served.predict(
            None, {k: v.to_pandas() for k, v in frames.items()} | {"index_time": "2025-06-01"}
        )
    assert len(told) > 10


@pytest.mark.usefixtures("client")
def test_score_takes_a_registered_model_by_its_name(model, region):
    named = sr.score(f"models:/{MODEL_NAME}@challenger", region, index_time="2025-06-01", explain="none")
    assert_frame_equal(named, sr.score(model, region, index_time="2025-06-01", explain="none"))
    assert os.environ["MLFLOW_TRACKING_URI"] == mlflow.get_tracking_uri()


def test_one_question_is_answered_by_itself(served, crowd, few):
    alone = [served.predict(None, [ask(crowd, [person])])[0] for person in few[:3]]
    together = served.predict(None, [ask(crowd, [person]) for person in few[:3]])
    assert alone == together


def test_an_absent_table_is_refused_and_where_it_is_allowed_nobody_is_flagged_by_threshold(
    served, crowd, few
):
    question = ask(crowd, few[:2])
    for citizen in question["citizens"]:
        citizen["primary_care"] = None
    with pytest.raises(mlflow.MlflowException, match="primary_care"):
        served.predict(None, [question])
    (answer,) = served.predict(None, [question | {"allow": ["absent-tables"], "language": "en"}])
    assert len(answer.scores) == 2
    assert [row.flagged for row in answer.scores] == [None, None]
    assert all("No information on primary care" in row.warnings[0] for row in answer.scores)
    by_capacity = question | {"allow": ["absent-tables"], "capacity": 1}
    assert [row.flagged for row in served.predict(None, [by_capacity])[0].scores] == [True, False]


def test_whoever_is_not_eligible_is_named_and_not_scored(served, crowd, few):
    question = ask(crowd, few[:1])
    question["citizens"][0]["person"]["birth_date"] = "2020-01-01"
    for table in s.EVENT_TABLES:
        question["citizens"][0][table] = []
    (answer,) = served.predict(None, [question])
    assert (answer.scores, answer.not_eligible) == ([], [few[0]])


def test_a_question_is_read_by_the_rules_of_every_other_door(served):
    """Names with capitals, Danish codes, offsets and days that stand for no date; nothing else is changed."""
    question, other = build_example()[0], build_example()[0]
    stay = other["citizens"][0]["admissions"][0]
    stay |= {"diagnosis": "DF10.2+", "started_at": "2025-03-01T09:00Z", "ended_at": "2025-03-03 09:30:00+01"}
    other["citizens"][0]["admissions"][0] = {f" {name.upper()}\u00a0": cell for name, cell in stay.items()}
    other["citizens"][0]["person"] |= {"death_date": "9999-12-31"}
    other["index_time"] = "2025-12-31T23:00Z"
    (expected,), (read,) = served.predict(None, [question]), served.predict(None, [other])
    assert read == expected
    assert len(read.scores) == 1


# A wrong payload


def wrong(change):
    """A question that is sound but for one change, with a secret in every field of a person."""
    question = build_example()[0]
    citizen = question["citizens"][0]
    citizen["person"]["municipality"] = SECRET
    citizen["admissions"][0]["department"] = SECRET
    change(question, citizen)
    return [question]


WRONG = {
    "inputs[0].index_time": lambda question, _: question.pop("index_time"),
    "inputs[0].index_time:": lambda question, _: question.update(index_time=SECRET),
    "inputs[0].data_end": lambda question, _: question.update(data_end=SECRET),
    "inputs[0].citizens": lambda question, _: question.update(citizens=[]),
    "inputs[0].capacity": lambda question, _: question.update(capacity=SECRET),
    "inputs[0]: reasons is 0": lambda question, _: question.update(reasons=0),
    "inputs[0].explain": lambda question, _: question.update(explain=SECRET),
    "inputs[0].language": lambda question, _: question.update(language=SECRET),
    "inputs[0].admisions": lambda question, _: question.update(admisions=SECRET),
    "(a field of unknown name)": lambda question, _: question.update({"0101701234": SECRET}),
    "inputs[0].citizens[0].person": lambda _, citizen: citizen.pop("person"),
    "inputs[0].citizens[0].person.sex": lambda _, citizen: citizen["person"].pop("sex"),
    "inputs[0].citizens[0].person.sex: expected one of female, male": lambda _, citizen: citizen[
        "person"
    ].update(sex=SECRET),
    "inputs[0].citizens[0].person.birth_date: expected a date": lambda _, citizen: citizen["person"].update(
        birth_date=SECRET
    ),
    "inputs[0].citizens[0].person.birth_date: Input": lambda _, citizen: citizen["person"].update(
        birth_date=19700101
    ),
    "inputs[0].citizens[0].admissions": lambda _, citizen: citizen.pop("admissions"),
    "inputs[0].citizens[0].admissions[0].started_at": lambda _, citizen: citizen["admissions"][0].update(
        started_at=SECRET
    ),
    "inputs[0].citizens[0].admissions[0].sector": lambda _, citizen: citizen["admissions"][0].update(
        sector=SECRET
    ),
    "inputs[0].citizens[0].admissions[0].diagnosis": lambda _, citizen: citizen["admissions"][0].update(
        diagnosis=SECRET.lower()
    ),
    "inputs[0].citizens[0].admissions[0].diagnosis: expected a code of ICD-10": lambda _, citizen: citizen[
        "admissions"
    ][0].update(diagnosis="250.00"),
    "inputs[0].citizens[0].admissions[0].discharge: expected one of completed": lambda _, citizen: citizen[
        "admissions"
    ][0].update(discharge=SECRET),
    "inputs[0].citizens[0].admissions[0].started_at: expected a date and time": lambda _, citizen: citizen[
        "admissions"
    ][0].update(started_at="9999-12-31"),
    "inputs[0].citizens[0].admissions[0]: Value error, a field is there twice": lambda _, citizen: citizen[
        "admissions"
    ][0].update({"Ended_At ": "2025-03-03"}),
    "inputs[0].citizens[0].admissions[0]: the row breaks the rule ends_after_it_starts": lambda _, citizen: (
        citizen["admissions"][0].update(ended_at="2024-01-01")
    ),
    "inputs[0].citizens[0].admissions[1]: the row breaks the rule duplicate": lambda _, citizen: citizen[
        "admissions"
    ].append(dict(citizen["admissions"][0])),
    "inputs[0].citizens[0].person.person_id: it looks like a CPR number": lambda _, citizen: citizen[
        "person"
    ].update(person_id="0101701234"),
    "inputs[0].citizens[1].diagnoses": lambda question, citizen: question["citizens"].append(
        {
            "person": citizen["person"] | {"person_id": "other"},
            "admissions": [],
        }
    ),
}


@pytest.mark.parametrize(("field", "change"), WRONG.items(), ids=WRONG)
def test_a_wrong_question_is_refused_by_the_name_of_its_field(served, field, change):
    with pytest.raises(mlflow.MlflowException) as caught:
        served.predict(None, wrong(change))
    assert caught.value.get_http_status_code() == 400
    assert field in caught.value.message
    # The server would put the whole question before the text.
    caught.value.message = f"Failed to predict data '{SECRET}'"
    for text in (caught.value.message, caught.value.serialize_as_json(), str(caught.value)):
        assert SECRET not in text
        assert "0101701234" not in text


@pytest.mark.parametrize("given", [[], {}, "text", 3, None, [3], [[]]])
def test_what_is_no_list_of_questions_is_refused(served, given):
    with pytest.raises(mlflow.MlflowException) as caught:
        served.predict(None, given)
    assert caught.value.get_http_status_code() == 400
    assert "inputs" in caught.value.message


# A server for real


def post(port, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def wait_until_up(process, port, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail("the server did not come up")


@contextmanager
def start(command, settings, port, log):
    """Start a server with no way out, wait until it answers, and stop it at the end."""
    with log.open("wb") as lines:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, env=environment("") | settings, stdout=lines, stderr=lines, start_new_session=True
        )
        try:
            wait_until_up(process, port)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def find_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def port(uri, tmp_path):
    """The model served by MLflow on loopback."""
    number, name = find_port(), f"models:/{MODEL_NAME}/1"
    command = ["mlflow", "models", "serve", "-m", name, "--env-manager", "local", "--port", str(number)]
    with start(command, {"MLFLOW_TRACKING_URI": uri}, number, tmp_path / "log"):
        yield number
    assert SECRET not in (tmp_path / "log").read_text()


def test_the_server_answers_and_names_the_field_of_a_wrong_question(port, model, crowd, few):
    question = ask(crowd, few[:5], language="en", data_end=crowd.data_end.isoformat())
    status, told = post(port, {"inputs": [question]})
    assert status == 200
    expected = sr.score(
        model, of_persons(crowd, few[:5]), index_time=crowd.data_end, language="en", explain="all"
    )
    assert told["predictions"][0]["scores"] == tell_rows(expected)
    field = "inputs[0].citizens[0].person.sex: expected one of female, male"
    status, told = post(port, {"inputs": wrong(WRONG[field])})
    assert status == 400
    assert field in told["message"]
    assert SECRET not in json.dumps(told)
    status, told = post(port, {"dataframe_records": wrong(WRONG[field])})
    assert status == 400
    assert "inputs" in told["message"]
    assert SECRET not in json.dumps(told)


# The project file


def test_the_project_has_the_three_entry_points():
    assert list(PROJECT["entry_points"]) == ["train", "evaluate", "promote"]


def fill_in(entry, **given):
    """The command of an entry point as MLflow would run it, without the program's name."""
    point = PROJECT["entry_points"][entry]
    assert set(given) <= set(point["parameters"])
    values = {name: kind.get("default") for name, kind in point["parameters"].items()} | given
    return shlex.split(point["command"].format(**values))[1:]


def test_a_registered_model_is_judged_and_the_evaluation_tracked(run, client, place, plan, tmp_path):
    moment = plan["times"]["test"][0]
    told = run(*fill_in("evaluate", store=place / "store", index_time=moment, out=tmp_path / "out", draws=0))
    assert told.code == 0, told.err
    assert (tmp_path / "out" / "evaluation.html").is_file()
    run_id = re.search(r"run (\w{32})", told.out)[1]
    assert json.loads(client.get_run(run_id).data.params["evaluation.index_times"]) == [moment]


# Champion and challenger


@pytest.fixture(scope="module")
def worse(model):
    """The same model with the trees of its other target: it orders persons by something else."""
    other = model.heads["unfinished_treatment"]
    head = replace(model.main, trees=other.trees, booster=other.booster)
    return replace(model, heads=MappingProxyType(dict(model.heads) | {"frequent_admission": head}))


@pytest.fixture
def registry(place, tmp_path, monkeypatch):
    """A copy of the store in which nothing has been promoted; artifacts stay where they are."""
    shutil.copy(place / "mlflow.db", tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return mlflow.MlflowClient(uri)


@pytest.fixture(scope="module")
def report(model, region, plan):
    return sr.evaluate(model, region, index_times=plan["times"]["test"], draws=0)


@pytest.fixture
def quick(monkeypatch):
    """Without the pages, which the first training has shown."""
    monkeypatch.setattr("somv_risk.tracking._runs._write_report", lambda *_: None)


def champion(registry):
    return str(registry.get_model_version_by_alias(MODEL_NAME, "champion").version)


def decide(place, region, **more):
    return promote(region, gates=place / "gates.toml", draws=50, **more)


@pytest.mark.usefixtures("quick")
def test_a_worse_challenger_is_refused_but_for_a_reason_and_there_is_a_way_back(
    registry, place, region, worse, report, run
):
    first = decide(place, region)
    assert (first.verdict, champion(registry)) == ("promoted", "1")

    track_training(worse, region, report)
    refused = decide(place, region)
    assert (refused.verdict, champion(registry)) == ("refused", "1")
    assert not refused.gates.filter(gate="separation")["holds"].item()
    tags = registry.get_model_version(MODEL_NAME, "2").tags
    assert tags["decision.verdict"] == "refused"
    assert "separation" in tags["decision.broken_gates"]

    told = run(*fill_in("promote", store=place / "store", gates=place / "gates.toml", draws=10))
    assert told.code == 14
    assert "NO" in told.out

    decide(place, region, override="the trial of the ward needs it")
    assert champion(registry) == "2"
    tags = registry.get_model_version(MODEL_NAME, "2").tags
    assert tags["decision.verdict"] == "promoted by override"
    assert tags["decision.reason"] == "the trial of the ward needs it"
    assert tags["decision.decided_by"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}", tags["decision.decided_at"])

    told = run("rollback", "--reason", "the ward found it wanting")
    assert (told.code, champion(registry)) == (0, "1")
    tags = registry.get_model_version(MODEL_NAME, "2").tags
    assert tags["rollback.reason"] == "the ward found it wanting"
    assert tags["decision.reason"] == "the trial of the ward needs it"
    with pytest.raises(ConfigError, match="no champion before"):
        roll_back("again")


@pytest.mark.usefixtures("quick")
def test_an_equal_challenger_is_promoted_by_the_gates_and_all_is_kept(registry, place, region, model, report):
    decide(place, region)
    track_training(model, region, report)
    decision = decide(place, region)
    assert (decision.verdict, champion(registry)) == ("promoted", "2")
    assert set(decision.comparison.table["difference"].drop_nulls()) == {0.0}
    folder = Path(mlflow.artifacts.download_artifacts(run_id=decision.run_id))
    kept = json.loads((folder / "decision.json").read_text())
    assert kept["comparison"]["persons"] == decision.comparison.facts["persons"]
    assert len(kept["gates"]["gates"]) == 2
    assert pl.read_csv(folder / "gates.csv")["holds"].all()
    assert pl.read_csv(folder / "comparison.csv").height == decision.comparison.table.height
    gone, back = roll_back("to try the way back")
    assert (gone, back, champion(registry)) == ("2", "1", "1")


@pytest.mark.usefixtures("quick")
def test_no_champion_is_made_or_set_back_without_its_reason_being_kept(
    registry, place, region, model, report, monkeypatch
):
    decide(place, region)
    track_training(model, region, report)

    def fail(*_, **__):
        raise mlflow.MlflowException("disk full", error_code=INTERNAL_ERROR)

    with monkeypatch.context() as broken:
        broken.setattr(mlflow, "log_artifacts", fail)
        with pytest.raises(SourceError):
            decide(place, region)
    assert champion(registry) == "1"
    decide(place, region)
    with monkeypatch.context() as broken:
        broken.setattr(mlflow, "log_artifacts", fail)
        with pytest.raises(SourceError):
            roll_back("the ward found it wanting")
    assert champion(registry) == "2"


@pytest.mark.usefixtures("registry")
def test_the_champion_is_no_challenger(place, region):
    decide(place, region)
    with pytest.raises(ConfigError, match="champion already"):
        decide(place, region)


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_is_not_empty(place, region, reason):
    with pytest.raises(ConfigError, match="reason"):
        decide(place, region, override=reason)
    with pytest.raises(ConfigError, match="reason"):
        roll_back(reason)


# Comparing two models


def test_models_are_compared_on_whom_neither_was_trained_on(model, region):
    other = replace(model, facts=dict(model.facts) | {"config": dict(model.facts["config"]) | {"seed": 8}})
    alone = compare_models(model, model, region, draws=0).facts["persons"]
    both = compare_models(model, other, region, draws=0).facts["persons"]
    assert 0.1 < both / alone < 0.3  # a fifth of one split's test persons are those of another


def test_the_same_whoever_is_called_the_challenger(model, worse, region):
    there = compare_models(model, worse, region, draws=20).table
    back = compare_models(worse, model, region, draws=20).table
    assert_frame_equal(
        there.select("metric", "group", "challenger", "champion", pl.col("difference", "low", "high")),
        back.select(
            "metric",
            "group",
            challenger="champion",
            champion="challenger",
            difference=-pl.col("difference"),
            low=-pl.col("high"),
            high=-pl.col("low"),
        ),
    )


def test_a_period_that_made_a_model_is_not_held_out(model, region, plan):
    with pytest.raises(ConfigError, match="not held out"):
        compare_models(model, model, region, index_time=plan["times"]["calibrate"][0])


def test_models_of_other_targets_are_not_compared(model, region):
    names = list(model.heads)[::-1]
    turned = replace(model, heads=MappingProxyType({name: model.heads[name] for name in names}))
    with pytest.raises(ConfigError, match="different targets"):
        compare_models(model, turned, region)


# A tracking server for real


@pytest.fixture
def server(place, tmp_path):
    """A tracking server of MLflow on loopback, with its own database and artifacts."""
    number = find_port()
    shutil.copy(place / "mlflow.db", tmp_path / "server.db")
    store = ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    artifacts = ["--artifacts-destination", str(tmp_path / "artifacts"), "--workers", "1"]
    where = ["--host", "127.0.0.1", "--port", str(number)]
    with start(["mlflow", "server", *store, *artifacts, *where], {}, number, tmp_path / "log"):
        yield f"http://127.0.0.1:{number}"


@pytest.mark.usefixtures("quick")
def test_a_tracking_server_keeps_models_and_decisions(server, place, region, model, report, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert track_training(model, region, report, uri=server).version == "2"
    assert decide(place, region).verdict == "promoted"
    assert compute_model_hash(sr.load_model("models:/somv-risk@champion")) == compute_model_hash(model)


# What cannot be


def test_a_server_that_is_not_there_is_told_soon(run, place, tmp_path):
    started = time.monotonic()
    told = run(
        *("train", "--store", place / "store", "--model", tmp_path / "model"),
        *("--track", "--tracking-uri", "http://127.0.0.1:9"),
    )
    assert (told.code, "cannot be opened" in told.err) == (3, True)
    assert not (tmp_path / "model").exists()
    assert time.monotonic() - started < 60


def test_a_store_that_fails_does_not_look_like_one_without_a_champion(registry, place, region):
    decide(place, region)
    sound = MlflowClient.get_registered_model

    def fail(*_):
        raise mlflow.MlflowException("disk full", error_code=INTERNAL_ERROR)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, "get_registered_model", fail)
        with pytest.raises(SourceError, match="INTERNAL_ERROR"):
            decide(place, region)
    assert MlflowClient.get_registered_model is sound
    assert champion(registry) == "1"


def test_a_champion_made_by_hand_can_be_gone_back_to(registry, place, region, report, model, quick):  # noqa: ARG001
    registry.set_registered_model_alias(MODEL_NAME, "champion", "1")
    track_training(model, region, report)
    decide(place, region)
    assert roll_back("it was better") == ("2", "1")


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    "name", ["models:/somv-risk@nobody", "models:/somv-risk/77", "models:/other@champion"]
)
def test_a_model_that_is_not_registered_is_told(name):
    with pytest.raises(ModelError, match="gives no model"):
        sr.load_model(name)


def test_a_store_that_cannot_be_opened_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/nowhere/mlflow.db")
    with pytest.raises(SourceError, match="no folder"):
        sr.load_model("models:/somv-risk@champion")


def test_the_gates_of_the_library_are_those_of_the_project():
    data = tomllib.loads((ROOT / "configs" / "gates.toml").read_text(encoding="utf-8"))
    assert [gate.name for gate in read_gates().gates] == list(data["gates"])


def test_the_question_in_the_manual_is_answered(served):
    page = (ROOT / "docs" / "mlflow.md").read_text(encoding="utf-8")
    question = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    (answer,) = served.predict(None, question["inputs"])
    assert [row.person_id for row in answer.scores] == ["5f1c"]
    told = "inputs[0].citizens[0].admissions[2].sector: expected one of somatic, psychiatric"
    assert told in page
    stay = question["inputs"][0]["citizens"][0]["admissions"][0]
    question["inputs"][0]["citizens"][0]["admissions"] = [
        stay | {"contact_id": str(number), "sector": "somatic" if number < 2 else "other"}
        for number in range(3)
    ]
    with pytest.raises(mlflow.MlflowException, match=re.escape(told)):
        served.predict(None, question["inputs"])


def test_the_manual_names_every_metric_of_a_comparison(model, region):
    page = (ROOT / "docs" / "mlflow.md").read_text(encoding="utf-8")
    table = compare_models(model, model, region, draws=0).table
    assert {name for name in table["metric"].unique() if f"`{name}`" not in page} == set()
