"""The command line: the library's verbs, quiet in a pipe; an error is one line with its own exit code."""

import json
import math
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
from somv_risk import cli, errors, sources
from somv_risk.scoring.change import explain_change
from somv_risk.simulate import tables
from somv_risk.store import read_manifest

COMMANDS = ("simulate", "check", "ingest", "train", "tune", "score", "explain", "demo")
INDEX = "2026-01-01"
TARGETS = Path(__file__).parents[1] / "configs" / "simulation" / "region_sjaelland.toml"
EXTERNAL = Path(__file__).parents[1] / os.environ.get("SOMV_EXTERNAL_DATA", "../shared/data")
PERSONS = "person_id;birth_date;sex\nada;1980-05-01;female\nbo;1990-01-31;male\n"
ADMISSIONS = """person_id;contact_id;started_at;ended_at;sector;admission_type
ada;a1;2025-03-01T10:00;2025-03-02T10:00;somatic;acute
bo;a2;2025-03-09T10:00;;psychiatric;planned
"""
BAD_ROW = "bo;a3;2025-03-09T10:00;2025-03-08T10:00;somatic;acute\n"


def shell(*arguments, **environment):
    """Run a command in a process of its own."""
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", "from somv_risk.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


def write_delivery(folder, persons=PERSONS, admissions=ADMISSIONS):
    folder.mkdir(exist_ok=True)
    (folder / "persons.csv").write_text(persons)
    (folder / "admissions.csv").write_text(admissions)
    return folder


def to_toml(plan):
    """A training plan as a site would write it."""

    def write(name, section):
        own = [
            f"{key} = {json.dumps(value)}" for key, value in section.items() if not isinstance(value, dict)
        ]
        nested = [write(f"{name}.{key}", value) for key, value in section.items() if isinstance(value, dict)]
        return "\n".join([f"[{name}]", *own, *nested])

    alone = [f"{key} = {json.dumps(value)}" for key, value in plan.items() if not isinstance(value, dict)]
    tables = [write(name, section) for name, section in plan.items() if isinstance(section, dict)]
    return "\n".join([*alone, *tables])


@pytest.fixture(scope="module")
def chain(tmp_path_factory, plan):
    """A folder in which a region was simulated and a model trained, as a shell would; and what was said."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "training.toml").write_text(to_toml(plan))
    store, model = folder / "store", folder / "model"
    told = {
        "simulate": shell("simulate", "--store", store, "--persons", 20_000, "--seed", 7, "--buckets", 4),
        "train": shell("train", "--store", store, "--model", model, "--config", folder / "training.toml"),
    }
    assert [done.returncode for done in told.values()] == [0, 0], told
    return folder, told


@pytest.fixture
def made(chain):
    folder, _ = chain
    return {"store": folder / "store", "model": folder / "model"}


# --- Help


def test_help_lists_every_command_and_the_exit_codes(run):
    told = run("--help")
    assert told.code == 0
    for command in COMMANDS:
        assert f" {command} " in told.out
    assert "Exit codes: 0 done; 1 output no longer read" in " ".join(told.out.split())


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("simulate", ["Make up a region", "--persons", "--seed", "--store"]),
        ("check", ["Check a delivery", "--data-end", "--pseudonymise-key"]),
        ("ingest", ["Read a delivery", "--source", "omop", "--input", "--store"]),
        ("train", ["Train a model", "--store", "--model", "--config"]),
        ("tune", ["Search for tree parameters", "--store", "--out", "--trials", "--minutes", "--study"]),
        ("score", ["Score everyone", "--index-time", "--capacity", "--threshold", "--language"]),
        ("explain", ["Explain one person", "--person", "--index-time"]),
        ("demo", ["Simulate a region, train", "--out", "--persons", "--seed"]),
    ],
)
def test_every_command_has_help(run, command, says):
    told = run(command, "--help")
    assert told.code == 0
    assert all(word in told.out for word in says)


@pytest.mark.parametrize("arguments", [["--nonsense"], ["score"], ["fly"], ["demo", "--language", "xx"]])
def test_a_wrong_call_has_its_own_exit_code(run, arguments):
    assert run(*arguments).code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate"],
        ["simulate", "--dirty"],
        ["simulate", "--dirty", "--check", "--store", "new"],
        ["simulate", "--difficulty", "--store", "new"],
    ],
)
def test_a_simulation_that_makes_nothing_or_two_things_is_a_wrong_call(run, arguments):
    assert run(*arguments).code == 2


# --- The made-up region


def test_simulate_can_hold_a_region_against_published_figures(run, tmp_path):
    report = tmp_path / "report"
    told = run("simulate", "--persons", 3_000, "--check", "--targets", TARGETS, "--report", report)
    assert told.code == 0
    assert "Admissions of at least 12 hours" in told.out
    assert "The store is not kept." in told.out
    assert f"Page: {report / 'simulation.md'}" in told.out
    written = pl.read_csv(report / "simulation" / "check.csv")
    assert set(written.filter(subject="difficulty")["verdict"]) == {"not measured"}
    verdicts = written["verdict"].value_counts().rows()
    assert all(f"{count} {verdict}" in told.out for verdict, count in verdicts)


def test_a_region_of_one_person_is_checked_from_any_folder_and_nothing_is_off(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = run("simulate", "--persons", 1, "--check")
    assert told.code == 0
    assert ", 0 off, " in told.out
    page = Path("simulation-check", "simulation.md").read_text(encoding="utf-8")
    assert "`somv-risk simulate --persons 1 --seed 7 --check`" in page


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--dirty", "--store", "taken"], "exists already. Name a new folder for the delivery"),
        (["--check", "--store", "taken"], "exists already. Name a new folder for the store"),
        (["--check", "--report", "file"], "Folder file cannot be written"),
        (["--check", "--report", 256 * "x"], "cannot be written (File name too long)"),
        (["--store", "new", "--start", "2020-01-01T23:00"], "'2020-01-01T23:00' is not a day"),
        (["--store", "new", "--end", "soon"], "'soon' is not a day. Write it like 2026-01-31"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_simulated(
    run, tmp_path, monkeypatch, options, sentence
):
    monkeypatch.chdir(tmp_path)
    Path("taken").mkdir()
    Path("file").write_text("")
    monkeypatch.setattr(tables, "_draw_block", pytest.fail)
    told = run("simulate", "--persons", 5, *options)
    assert told.code in (3, 6)
    assert sentence in told.err
    assert {path.name for path in tmp_path.iterdir()} == {"taken", "file"}


def test_a_dirty_delivery_is_ingested_without_losing_a_row(run, tmp_path):
    delivery = tmp_path / "delivery"
    told = run("simulate", "--persons", 500, "--dirty", "--store", delivery)
    assert told.code == 0
    assert "unknown_person" in told.out
    planted = pl.read_csv(delivery / "planted.csv")
    assert run("check", delivery).code == 10
    histories = sr.read_histories(delivery)
    for table, frame in histories.tables.items():
        delivered = pl.read_csv(delivery / f"{table}.csv", infer_schema=False).height
        kept = frame.select(pl.len()).collect().item()
        aside = histories.quarantine[table]["row"]
        assert kept + aside.n_unique() == delivered
        expected = planted.filter(pl.col("table") == table, pl.col("outcome") == "set_aside")["row"]
        assert set(expected) <= set(aside)


# --- The chain


def test_the_chain_says_nothing_on_stderr_when_it_is_not_a_terminal(chain):
    assert chain[1]
    for told in chain[1].values():
        # The first command after an installation tells that it compiles loops.
        said = [
            line for line in told.stderr.splitlines() if not line.startswith("Note: Compiling loops, once")
        ]
        assert said == []
        assert not {"\r", "\x1b", "⠋"} & set(told.stdout)


def test_simulate_writes_a_store_and_counts_it(chain, region):
    folder, told = chain
    manifest = read_manifest(folder / "store")
    assert manifest["buckets"] == 4
    assert manifest["rows"]["persons"] == 20_000
    assert f"Store: {folder / 'store'}" in told["simulate"].stdout
    for table, frame in region.tables.items():
        rows = frame.select(pl.len()).collect().item()
        assert manifest["rows"][table] == rows
        assert f"{rows:,}" in told["simulate"].stdout


def test_train_gives_the_same_model_as_the_library(chain, model):
    trained = sr.load_model(chain[0] / "model")
    assert trained.encoding == model.encoding
    assert trained.facts == model.facts
    for name, head in model.heads.items():
        for part in ("target", "trees", "calibration", "reference_risks", "threshold"):
            assert getattr(trained.heads[name], part) == getattr(head, part)
        # The last bits of the logistic reference depend on the number of threads.
        mine, theirs = trained.heads[name].logistic.coefficients, head.logistic.coefficients
        assert mine == pytest.approx(theirs, rel=1e-6, abs=1e-9)


def test_train_shows_the_metrics_and_where_the_model_is(chain, model):
    told = chain[1]["train"].stdout
    for row in model.facts["metrics"]:
        if row["metric"] == "auroc":
            assert f" {round(row['value'], 3)} " in told
    assert f"Model: {chain[0] / 'model'}" in told


def test_train_shows_whole_names_in_a_pipe(chain):
    told = chain[1]["train"].stdout
    for word in ("frequent_admission", "unfinished_treatment", "penalised_logistic", "count_last_year"):
        assert word in told


def test_check_of_a_sound_store_ends_with_0(made, run):
    told = run("check", made["store"])
    assert (told.code, told.err) == (0, "")
    assert "Rows set aside: 0" in told.out


def test_score_writes_what_the_library_scores(made, run, tmp_path, model, region):
    out = tmp_path / "out"
    told = run(
        *("score", "--store", made["store"], "--model", made["model"], "--index-time", INDEX, "--out", out),
        *("--capacity", 20, "--reasons", 2, "--language", "en"),
    )
    assert (told.code, told.err) == (0, "")
    expected = sr.score(model, region, index_time=INDEX, capacity=20, reasons=2, language="en")
    assert_frame_equal(pl.read_parquet(out / "scores.parquet"), expected, check_exact=True)
    worklist = pl.read_csv(out / "worklist.csv")
    assert worklist["person_id"].to_list() == expected["person_id"].head(20).to_list()
    page = (out / "worklist.html").read_text(encoding="utf-8")
    assert expected["person_id"][0] in page
    assert expected["person_id"][20] not in page
    assert f"Scored: {expected.height:,}. Flagged: 20, of them new:" in told.out
    for name in ("scores.parquet", "worklist.csv", "worklist.html"):
        assert str(out / name) in told.out


def test_score_tells_absent_tables(made, run, tmp_path):
    told = run(
        *("score", "--store", write_delivery(tmp_path / "in"), "--model", made["model"]),
        *("--index-time", "2025-06-01", "--out", tmp_path / "out", "--language", "en"),
        *("--allow", "absent-tables"),
    )
    assert told.code == 0
    assert "Note: No information on secondary diagnoses, psychiatric contacts" in told.out
    assert "primary_care" in told.out
    assert "absent" in told.out


def test_explain_says_what_the_library_explains(made, run, model, region, scores):
    person = scores.filter(pl.col("person_id").str.starts_with("P"))["person_id"][0]
    told = run(
        *("explain", "--store", made["store"], "--model", made["model"], "--index-time", INDEX),
        *("--person", person, "--language", "en"),
    )
    assert (told.code, told.err) == (0, "")
    assert told.out.rstrip("\n") == str(sr.explain_person(model, region, person, INDEX, language="en"))


def test_explain_since_says_what_has_changed(made, run, model, region, scores):
    person = scores.filter(pl.col("person_id").str.starts_with("P"))["person_id"][0]
    told = run(
        *("explain", "--store", made["store"], "--model", made["model"], "--index-time", INDEX),
        *("--person", person, "--since", "2025-09-01", "--language", "en"),
    )
    assert (told.code, told.err) == (0, "")
    change = explain_change(model, region, person, "2025-09-01", INDEX, language="en")
    assert change.reasons
    assert told.out.rstrip("\n") == str(change)


# --- Deliveries


def test_ingest_reads_a_delivery_and_keeps_what_it_set_aside(run, tmp_path):
    folder = write_delivery(tmp_path / "in", admissions=ADMISSIONS + BAD_ROW)
    told = run("ingest", "--input", folder, "--store", tmp_path / "store")
    assert told.code == 0
    assert "Note: Set aside were 1 of 3 rows of admissions" in told.err
    assert "Rows set aside: 1" in told.out
    assert "ends_after_it_starts" in told.out
    store = sr.read_histories(tmp_path / "store")
    assert store.admissions.collect()["contact_id"].sort().to_list() == ["a1", "a2"]
    assert store.quarantine["admissions"]["contact_id"].to_list() == ["a3"]


def test_ingest_takes_a_data_end(run, tmp_path):
    folder = write_delivery(tmp_path / "in")
    told = run("ingest", "--input", folder, "--store", tmp_path / "store", "--data-end", "2025-03-05")
    assert told.code == 0
    assert "starts_in_the_future" in told.out
    assert read_manifest(tmp_path / "store")["data_end"] == "2025-03-05T00:00:00"


def test_ingest_with_a_key_stores_pseudonyms_only(run, tmp_path):
    cpr = "0101701234"
    folder = write_delivery(
        tmp_path / "in",
        PERSONS.replace("ada", cpr),
        ADMISSIONS.replace("ada", cpr) + BAD_ROW.replace("bo", cpr),
    )
    (tmp_path / "key").write_text("a secret of 27 bytes or so.\n")
    told = run(
        *("ingest", "--input", folder, "--store", tmp_path / "store"),
        *("--pseudonymise-key-file", tmp_path / "key"),
    )
    assert told.code == 0
    assert cpr not in told.out
    expected = sr.read_histories(folder, pseudonymise_key="a secret of 27 bytes or so.")
    store = sr.read_histories(tmp_path / "store")
    assert set(store.persons.collect()["person_id"]) == set(expected.persons.collect()["person_id"])
    kept = [frame.collect() for frame in store.tables.values()] + list(store.quarantine.rows.values())
    assert all(cpr not in frame["person_id"] for frame in kept)
    assert store.quarantine.count() == 1


@pytest.mark.parametrize("form", ["delivery", "store"])
def test_check_ends_with_10_when_rows_are_set_aside(run, tmp_path, form):
    folder = write_delivery(tmp_path / "in", admissions=ADMISSIONS + BAD_ROW)
    if form == "store":
        run("ingest", "--input", folder, "--store", tmp_path / "store")
        folder = tmp_path / "store"
    told = run("check", folder)
    assert told.code == 10
    assert "Note: Set aside were 1 of 3 rows of admissions" in told.err
    assert "Rows set aside: 1" in told.out


def test_check_of_a_sound_delivery_ends_with_0(run, tmp_path):
    told = run("check", write_delivery(tmp_path / "in"))
    assert (told.code, told.err) == (0, "")


# --- Errors


def assert_one_line(told, code):
    assert told.code == code
    *notes, error = told.err.splitlines()
    assert all(note.startswith("Note: The model was trained with") for note in notes)
    assert error.startswith("Error: ")
    assert told.err.endswith(".\n")
    assert "Traceback" not in told.err + told.out


def test_every_error_class_has_its_own_exit_code():
    codes = list(cli.EXIT_CODES.values())
    assert len(set(codes)) == len(codes)
    assert not {0, 1, 2, cli.EXIT_ROWS_SET_ASIDE} & set(codes)
    # A leak is found by tests and not on the command line.
    for_tests = {errors.LeakageError, errors.WindowError}
    assert set(cli.EXIT_CODES) == set(list_classes_below(errors.SomvRiskError)) - for_tests
    assert not {cli.EXIT_BUCKETS_FAILED} & set(codes)


def list_classes_below(error):
    for below in error.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from (below, *list_classes_below(below))


@pytest.mark.parametrize("error", [*cli.EXIT_CODES, errors.SomvRiskError])
def test_every_error_is_one_line_on_stderr(run, monkeypatch, error):
    def fail(*_, **__):
        raise error(f"Table x has no column ['y']; {'it is long, ' * 20}and has [red] marks. Mend it.")

    monkeypatch.setattr(sources, "read_histories", fail)
    told = run("check", "anywhere")
    assert_one_line(told, cli.EXIT_CODES.get(error, 1))
    assert "['y']" in told.err
    assert "[red] marks" in told.err


@pytest.fixture
def deliveries(tmp_path, monkeypatch, model):
    """A working folder with a sound delivery and others that are not."""
    monkeypatch.chdir(tmp_path)
    write_delivery(tmp_path / "in")
    write_delivery(tmp_path / "no_sex", persons="person_id;birth_date\nada;1980-05-01\n")
    write_delivery(tmp_path / "cpr", persons=PERSONS.replace("ada", "0101701234"))
    files = {"slip.toml": "sead = 7", "no.toml": "not TOML", "key": "short", "file": ""}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    model.save("model")
    model.save("altered")
    (trees,) = Path("altered").glob("frequent_admission-*.txt")
    trees.write_text(model.main.trees + " ")
    return tmp_path


SCORE = "score --store in --model model --index-time 2025-06-01 --out out --allow absent-tables"
EXPLAIN = "explain --store in --model model --index-time 2025-06-01 --person ada --allow absent-tables"
WRONG_CALLS = [
    ("check nowhere", 3, "no folder nowhere"),
    ("check .", 3, "none of the tables"),
    ("ingest --input nowhere --store new", 3, "no folder"),
    ("ingest --source omop --input nowhere --store new", 3, "no folder"),
    ("ingest --input in --store in", 3, "exists already"),
    ("simulate --persons 50 --store in", 3, "exists already"),
    ("train --store in --model new --config nowhere.toml", 3, "cannot be read"),
    ("check in --pseudonymise-key-file nowhere", 3, "Key file"),
    ("demo --persons 50 --out file", 3, "cannot be made"),
    (SCORE.replace("--out out", "--out file"), 3, "cannot be written"),
    (SCORE.replace("--store in", "--store nowhere"), 3, "no folder"),
    ("check no_sex", 4, "Table persons has no column ['sex']"),
    ("ingest --source omop --input in --store new", 4, "person is missing"),
    ("check cpr", 5, "1 person ids look like CPR numbers"),
    ("ingest --input cpr --store new", 5, "look like CPR numbers"),
    ("train --store in --model new --config slip.toml", 6, "sead"),
    ("train --store in --model new --config no.toml", 6, "is not TOML"),
    ("check in --pseudonymise-key-file key", 6, "at least 16"),
    ("check in --data-end soon", 6, "not a moment"),
    ("simulate --persons 0 --store new", 6, "persons"),
    ("simulate --persons 5 --store new --municipality 101", 6, "360 Lolland"),
    ("simulate --persons 5 --store new --start 2021-01-01 --end 2020-01-01", 6, "not after its start"),
    ("simulate --persons 5 --store new --check --targets nowhere.toml", 3, "nowhere.toml"),
    (SCORE.replace("2025-06-01", "soon"), 6, "not a moment"),
    (SCORE + " --reasons 0", 6, "reasons"),
    (SCORE + " --capacity 5 --threshold 0.5", 6, "Both capacity and threshold"),
    (SCORE.replace("--model model", "--model nowhere"), 7, "is missing"),
    (SCORE.replace("--model model", "--model altered"), 7, "was altered"),
    (EXPLAIN.replace("--model model", "--model nowhere"), 7, "is missing"),
    ("train --store in --model file", 8, "too few persons with the outcome"),
    (SCORE.replace("2025-06-01", "1900-01-01"), 24, "lies before the data"),
    (SCORE.replace(" --allow absent-tables", ""), 21, "was trained with diagnoses, psychiatric_contacts"),
    (EXPLAIN.replace("ada", "nobody"), 8, "Nobody is eligible"),
    (EXPLAIN + " --since 2025-06-01", 8, "does not lie before"),
    (EXPLAIN + " --since soon", 6, "not a moment"),
]


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize(("call", "code", "word"), WRONG_CALLS)
def test_what_goes_wrong_is_one_line_and_its_exit_code(run, call, code, word):
    told = run(*call.split())
    assert_one_line(told, code)
    assert word in told.err
    assert not Path("new").exists()


def test_a_missing_openmp_runtime_is_one_line_with_the_cure(made, tmp_path):
    (tmp_path / "lightgbm.py").write_text("raise OSError('libgomp.so.1: cannot open shared object file')")
    done = shell(
        *("explain", "--store", made["store"], "--model", made["model"], "--index-time", INDEX),
        *("--person", "P0000001"),
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode == 9
    assert done.stderr.startswith("Error: LightGBM cannot start (libgomp.so.1")
    assert "apt-get install -y libgomp1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_store_is_one_line_and_its_exit_code(run, tmp_path):
    run("ingest", "--input", write_delivery(tmp_path / "in"), "--store", tmp_path / "store", "--buckets", 1)
    (tmp_path / "store" / "bucket=00" / "admissions.parquet").write_bytes(b"PAR1 but not for long")
    assert_one_line(run("check", tmp_path / "store"), 3)


# --- The demo


def test_the_demo_writes_all_it_promises(demo_folder):
    files = {file.relative_to(demo_folder).as_posix() for file in demo_folder.rglob("*") if file.is_file()}
    assert {"scores.parquet", "worklist.csv", "worklist.html", "model/model.json", "model/CARD.md"} <= files
    scores = pl.read_parquet(demo_folder / "scores.parquet")
    listed = math.ceil(0.005 * scores.height)
    assert scores["flagged"].sum() == listed
    worklist = pl.read_csv(demo_folder / "worklist.csv")
    assert worklist["person_id"].to_list() == scores["person_id"].head(listed).to_list()
    assert set(sr.load_model(demo_folder / "model").heads) == {"frequent_admission", "unfinished_treatment"}


def test_the_demo_prints_the_first_rows_and_where_everything_is(demo_folder):
    told = (demo_folder.parent / "told.txt").read_text(encoding="utf-8")
    first = pl.read_csv(demo_folder / "worklist.csv")["person_id"][0]
    assert first in told
    for name in ("scores.parquet", "worklist.csv", "worklist.html", "model"):
        assert str(demo_folder / name) in told
    assert (demo_folder.parent / "complaints.txt").read_text(encoding="utf-8") == ""


def test_the_demo_page_shows_thomas_and_says_that_everyone_is_made_up(demo_folder):
    page = (demo_folder / "worklist.html").read_text(encoding="utf-8")
    assert "thomas" in page
    assert "Everyone here is made up." in page
    assert "acute admissions" in page
    assert "<svg" in page
    assert not any(word in page for word in ("<script src", "<link", "<img", 'href="http', "url("))


# --- Real data


@pytest.mark.external
def test_real_hospital_stays_are_ingested_and_scored_by_a_model_of_simulated_ones(made, run, tmp_path):
    mimic = EXTERNAL / "mimic_iv_demo_omop"
    if not mimic.is_dir():
        pytest.skip(f"no independent data in {EXTERNAL}; name its folder in SOMV_EXTERNAL_DATA")
    store, out = tmp_path / "store", tmp_path / "out"
    told = run("ingest", "--source", "omop", "--input", mimic, "--store", store)
    assert (told.code, told.err) == (0, "")
    words = " ".join(told.out.split())
    assert "Not taken over" in words
    assert "ICD-9 code" in words
    assert "577" in words
    assert told.out.count("absent") == 10
    histories = sr.read_histories(store)
    assert histories.admissions.collect().height == 275

    # Within the history of the person with most stays: 20, the last of them in May 2150.
    index_time = "2150-05-15"
    told = run(
        *("score", "--store", store, "--model", made["model"], "--index-time", index_time, "--out", out),
        *("--language", "en", "--capacity", 1, "--allow", "absent-tables"),
    )
    assert told.code == 0
    assert told.err.startswith("Note: The model was trained with psychiatric_contacts")
    assert told.err.count("\n") == 1
    assert "Not taken over" in told.out
    assert "Note: No information on psychiatric contacts, substance treatment, benefits" in told.out
    scores = pl.read_parquet(out / "scores.parquet")
    (row,) = scores.filter(pl.col("person_id") == "7155255168997124770").to_dicts()
    assert row["known_or_new"] == "known"
    assert 0 < row["risk"] < 1
    assert row["warnings"]


def test_the_version_is_said_and_is_that_of_the_package(run):
    told = run("--version")
    assert told.code == 0
    assert told.out == f"somv-risk {sr.__version__}\n" == f"somv-risk {version('somv-risk')}\n"


def test_the_names_of_the_library_are_its_public_ones_and_the_version():
    assert dir(sr) == sorted([*sr.__all__, "__version__"])
    assert {"score", "train", "evaluate", "load_model"} <= set(dir(sr))


def test_memory_that_runs_out_is_one_sentence_and_an_exit_code(run, monkeypatch):
    def run_out():
        raise MemoryError

    monkeypatch.setattr("somv_risk.cli._app.app", run_out)
    told = run("features")
    assert told.code == 3
    assert told.err.startswith("Error: The command needs more memory than there is.")
    assert told.err.count("\n") <= 2
