"""Every command can be quiet, tell more, or print its result as one JSON object; a shell can complete it."""

import json
import shutil
import subprocess
import sys
import sysconfig
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
import typer

import somv_risk as sr
from somv_risk import cli
from somv_risk.calls.extras import EXTRA_OF
from somv_risk.cli import _output, app
from somv_risk.files.packaged import MODELS

COMMAND = Path(sysconfig.get_path("scripts")) / "somv-risk"
INDEX = "2026-01-01"
PERSONS = "person_id;birth_date;sex\nada;1980-05-01;female\nbo;1990-01-31;male\n"
ADMISSIONS = """person_id;contact_id;started_at;ended_at;sector;admission_type
ada;a1;2025-03-01T10:00;2025-03-02T10:00;somatic;acute
bo;a2;2025-03-09T10:00;;psychiatric;planned
bo;a3;2025-03-09T10:00;2025-03-08T10:00;somatic;acute
"""
VERBS = typer.main.get_command(app).commands


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("output") / "store"
    made = [COMMAND, "simulate", "--store", folder, "--persons", "400", "--buckets", "2", "--quiet"]
    subprocess.run(made, check=True, capture_output=True)  # noqa: S603 - our own command
    return folder


def read(told):
    """The one object on standard output."""
    assert told.out.count("\n") == 1
    return json.loads(told.out)


# --- Every command


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_the_three_options(verb):
    options = {flag for parameter in VERBS[verb].params for flag in parameter.opts}
    assert {"--quiet", "-q", "--verbose", "-v", "--json"} <= options


def test_quiet_and_verbose_together_are_a_wrong_call(run):
    assert run("models", "--quiet", "--verbose").code == 2


@pytest.mark.parametrize("verb", ["models", "features", "messages"])
def test_quiet_says_nothing_where_nothing_is_wrong(run, verb):
    told = run(verb, "--quiet")
    assert (told.code, told.out, told.err) == (0, "", "")


@pytest.mark.parametrize("verb", ["models", "features", "messages"])
def test_json_alone_is_on_standard_output(run, verb):
    told = run(verb, "--json")
    answer = read(told)
    assert list(answer) == ["command", "version", "exit_code", "error", "warnings", "result"]
    assert (answer["command"], answer["version"], answer["exit_code"]) == (verb, sr.__version__, 0)
    assert answer["result"]
    assert told.err
    assert run(verb, "--json", "--quiet").err == ""


def test_what_one_call_asked_for_is_forgotten_by_the_next(run):
    run("models", "--json")
    assert run("models").out.startswith("Models")


# --- Results


def test_models_lists_the_packaged_ones(run):
    listed = read(run("models", "--json"))["result"]["models"]
    assert [model["name"] for model in listed] == list(MODELS)
    assert listed[1]["tables"] == ["persons", "admissions"]
    assert all(model["bytes"] > 1e6 and model["persons"] == 850_000 for model in listed)
    told = run("models").out
    assert all(name in told for name in MODELS)
    assert "made-up persons" in told


def test_a_night_reads_how_many_were_scored_and_explains_one(run, store, tmp_path):
    called = ("score", "--store", store, "--model", "simulated", "--index-time", INDEX)
    told = run(*called, "--out", tmp_path / "out", "--capacity", 5, "--json")
    result = read(told)["result"]
    scores = pl.read_parquet(tmp_path / "out" / "scores.parquet")
    assert (result["scored"], result["flagged"]) == (scores.height, 5)
    assert result["rows"]["persons"] == 400
    assert result["failed"] == result["empty_buckets"] == []
    assert str(tmp_path / "out" / "worklist.html") in result["files"]
    assert "Scored:" in told.err

    person = scores.sort("rank")["person_id"][0]
    asked = ("explain", "--store", store, "--model", "simulated", "--index-time", INDEX, "--person", person)
    explained = read(run(*asked, "--json"))["result"]
    assert explained["risk"] == pytest.approx(scores.sort("rank")["risk"][0])
    assert explained["reasons"][0]["text"] in run(*asked).out


def test_a_check_says_what_was_set_aside_and_keeps_its_exit_code(run, tmp_path):
    (tmp_path / "persons.csv").write_text(PERSONS)
    (tmp_path / "admissions.csv").write_text(ADMISSIONS)
    told = run("check", tmp_path, "--json")
    answer = read(told)
    assert told.code == answer["exit_code"] == cli.EXIT_ROWS_SET_ASIDE
    assert answer["result"]["rows_set_aside"] == 1
    assert answer["result"]["set_aside"] == [
        {"table": "admissions", "rule": "ends_after_it_starts", "rows": 1}
    ]
    assert any("Set aside were 1 of 3 rows" in warning for warning in answer["warnings"])
    quiet = run("check", tmp_path, "--quiet")
    assert (quiet.code, quiet.out) == (cli.EXIT_ROWS_SET_ASIDE, "")
    assert "Note: Set aside were 1 of 3 rows" in quiet.err


def test_an_error_is_part_of_the_object(run, tmp_path):
    told = run("check", tmp_path / "nowhere", "--json")
    answer = read(told)
    assert told.code == answer["exit_code"] != 0
    assert answer["error"]["type"] == "SourceError"
    assert f"Error: {answer['error']['message']}" in " ".join(told.err.split("\n"))


@pytest.mark.parametrize(
    ("verb", "module", "more"),
    [
        ("evaluate", "matplotlib", ()),
        ("evaluate", "shap", ("--explained", 5, "--persons", "all")),
        ("monitor", "matplotlib", ()),
        ("tune", "optuna", ("--trials", 1)),
        ("simulate", "matplotlib", ("--check", "--persons", 50)),
        ("promote", "mlflow", ()),
    ],
)
def test_a_missing_extra_ends_a_command_before_its_work(
    run, store, tmp_path, monkeypatch, verb, module, more
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    usual = {
        "--store": store,
        "--model": "simulated",
        "--index-time": "2025-01-01",
        "--out": tmp_path / "out",
    }
    if verb == "simulate":
        usual = {}
    taken = {flag for parameter in VERBS[verb].params for flag in parameter.opts}
    words = [word for option, value in usual.items() if option in taken for word in (option, value)]
    told = run(verb, *words, *more, "--json")
    assert told.code == read(told)["exit_code"] == 6
    assert f'pip install "somv-risk[{EXTRA_OF[module]}]"' in read(told)["error"]["message"]
    assert not list(tmp_path.iterdir())


def test_alarms_are_warnings_and_said_to_the_quiet(run, store, tmp_path):
    called = (
        "monitor",
        "--store",
        store,
        "--model",
        "simulated",
        "--index-time",
        INDEX,
        "--config",
        "monitoring",
    )
    told = run(*called, "--out", tmp_path, "--quiet")
    assert (told.code, told.out) == (cli.EXIT_ALARMS, "")
    assert "Alarm: The number of eligible persons" in told.err


def test_an_ingest_says_where_the_store_is_and_what_is_in_it(run, tmp_path):
    (tmp_path / "persons.csv").write_text(PERSONS)
    (tmp_path / "admissions.csv").write_text(ADMISSIONS)
    result = read(
        run("ingest", "--input", tmp_path, "--store", tmp_path / "new", "--max-set-aside", 1, "--json")
    )
    assert result["result"]["store"] == str(tmp_path / "new")
    assert result["result"]["rows"] == {"persons": 2, "admissions": 2}
    assert result["result"]["is_changed"] is True


def test_the_packaged_configuration_is_given_by_its_name(run, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = run("train", "--store", store, "--model", "own", "--config", "default")
    assert "too few persons with the outcome" in told.err
    assert "cannot be read" in run("train", "--store", store, "--model", "own", "--config", "usual").err


def test_what_is_no_plain_value_becomes_one(capsys):
    given = {
        "frame": pl.DataFrame({"at": [datetime(2026, 1, 1)], "share": [float("nan")]}),
        "place": Path("a/b"),
        "letters": "æøå",
        "several": (1, None, True, {"x": float("inf")}),
    }
    with _output.open_output():
        _output.get_output().is_json = True
        _output.give(**given)
        _output.print_result(0)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out)["result"] == {
        "frame": [{"at": "2026-01-01T00:00:00", "share": None}],
        "place": "a/b",
        "letters": "æøå",
        "several": [1, None, True, {"x": None}],
    }


# --- More


def test_verbose_tells_progress_in_a_log_and_where_an_error_arose(run, store, tmp_path):
    called = ("score", "--store", store, "--model", "simulated", "--index-time", INDEX)
    told = run(*called, "--out", tmp_path / "out", "--capacity", 5, "--verbose")
    assert "risk: 400 of 400\n" in told.err
    assert "risk: " not in run(*called, "--out", tmp_path / "again", "--capacity", 5).err

    failed = run("check", tmp_path / "nowhere", "--verbose")
    assert "_deliveries.py" in failed.err
    assert failed.err.rstrip().splitlines()[-1].startswith("Error: ")
    assert "_deliveries.py" not in run("check", tmp_path / "nowhere").err


# --- Completion


def test_a_shell_is_given_completion(run):
    told = run("--help").out
    assert "--install-completion" in told
    assert "--show-completion" in told


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "completed"), [("mo", {"monitor", "models"}), ("score --ind", {"--index-time"})]
)
def test_bash_completes_verbs_and_options(typed, completed):
    words = " ".join(["somv-risk", *typed.split()])
    script = f"""
        eval "$(_SOMV_RISK_COMPLETE=source_bash somv-risk)"
        COMP_WORDS=({words}); COMP_CWORD={len(typed.split())}
        _somv_risk_completion somv-risk
        echo "${{COMPREPLY[@]}}"
    """
    path = f"{COMMAND.parent}:/usr/bin:/bin"
    done = subprocess.run(  # noqa: S603 - our own command
        ["bash", "-c", script],  # noqa: S607
        capture_output=True,
        text=True,
        env={"PATH": path},
        check=True,
    )
    assert set(done.stdout.split()) == completed
