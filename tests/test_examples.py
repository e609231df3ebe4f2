"""The examples run: the scripts as a reader types them, the notebook cell by cell."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import somv_risk as sr
from somv_risk.evaluation.explanations import MEASURES
from somv_risk.training.steps import fingerprint, resolve_config
from test_cli import to_toml

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOK = EXAMPLES / "first_hour.ipynb"
PERSONS = "20000"  # fewer have too few frequent admitters to train on


def run_script(name: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(  # noqa: S603 - this interpreter, our own script
        command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_config(file, config):
    file.write_text(to_toml(config), encoding="utf-8")
    return "--config", str(file)


@pytest.fixture(scope="module")
def quick(plan, tmp_path_factory):
    """A small training: that the default one works is shown by the readme and the demo."""
    return write_config(tmp_path_factory.mktemp("quick") / "training.toml", plan)


@pytest.fixture(scope="module")
def few_trees(plan):
    """The default training with fewer trees: so many persons are cross-validated, as a reader sees it."""
    return {"trees": plan["trees"]}


@pytest.fixture(scope="module")
def first_scores(few_trees, tmp_path_factory):
    """What the first example prints, and the folder in which it keeps its results."""
    folder = tmp_path_factory.mktemp("examples")
    options = ("--persons", PERSONS, "--language", "en", "--out", "first")
    config = write_config(folder / "few_trees.toml", few_trees)
    return run_script("first_scores.py", *options, *config, folder=folder), folder


def test_the_first_example_prints_a_worklist_and_keeps_it(first_scores):
    printed, folder = first_scores
    assert "  1. P" in printed
    assert "This raises the estimated risk." in printed
    assert len((folder / "first" / "worklist.csv").read_text(encoding="utf-8").splitlines()) == 21
    assert (folder / "first" / "model" / "model.json").is_file()


def test_own_frames_are_scored_and_the_broken_rows_told(quick, tmp_path):
    printed = run_script("own_frames.py", "--persons", PERSONS, *quick, folder=tmp_path)
    assert "Set aside (4 rows)" in printed
    assert all(rule in printed for rule in ("duplicate", "ends_after_it_starts", "person_is_known"))
    assert all(f"\n{person}: " in printed for person in ("ada", "bo", "cy"))
    assert "\ndan: " not in printed


def test_thomas_is_explained_with_the_events_behind_it(first_scores):
    options = ("--model", "first/model", "--events", "2", "--language", "da")
    printed = run_script("why_this_person.py", *options, folder=first_scores[1])
    assert "Det trækker den beregnede risiko op." in printed
    assert "26. december 2025 kl. 16.48" in printed
    shown, kept = printed.splitlines()[-1].split("contributions: ")[1].split(". Score before calibration: ")
    assert float(shown) == pytest.approx(float(kept.rstrip(".")), abs=1e-6)


def test_what_changed_for_thomas_adds_up_and_is_drawn(first_scores):
    options = ("--model", "first/model", "--reasons", "3", "--language", "da", "--timeline", "thomas.svg")
    printed = run_script("what_changed.py", *options, folder=first_scores[1])
    assert printed.count("Sammenlignet med dengang trækker det den beregnede risiko") == 3
    assert re.search(r"^ +ny: .+2025 kl\. [0-9]", printed, re.MULTILINE)
    assert "admissions" not in printed  # no name of the inside
    shown, kept = printed.split("All themes: ")[1].splitlines()[0].split(". Score before calibration: ")
    assert float(shown) == pytest.approx(float(kept.rstrip(".")), abs=1e-6)
    assert (first_scores[1] / "thomas.svg").read_text(encoding="utf-8").startswith("<svg xmlns=")


def test_the_quality_of_explanations_is_measured(quick, tmp_path):
    options = ("--persons", PERSONS, "--explained", "40", "--models", "2", *quick)
    printed = run_script("explanation_quality.py", *options, folder=tmp_path)
    assert all(f"{name}: {meaning}" in printed for name, meaning in MEASURES.items())
    assert "1 other models" in printed


def test_own_features_are_counted_and_travel_with_their_model(quick, tmp_path):
    printed = run_script("own_features.py", "--persons", PERSONS, *quick, folder=tmp_path)
    assert "None of them changes when what was not yet known is changed." in printed
    own = ("medical_contacts_365d", "support_now", "longest_time_in_shelter_365d")
    assert all(printed.count(name) == 2 for name in own)
    assert (tmp_path / "own_model" / "model.json").is_file()


@pytest.mark.parametrize("name", sorted(file.name for file in EXAMPLES.glob("*.py")))
def test_every_script_says_what_it_takes(name, tmp_path):
    assert "usage:" in run_script(name, "--help", folder=tmp_path)


def train_as_the_first_example_did(folder, few_trees, histories, *, config):
    """The model of the first example, which asked for the same training on the same rows."""
    model = sr.load_model(folder / "first" / "model")
    assert fingerprint(histories) == model.facts["data_hash"]
    assert resolve_config(few_trees | config).model_dump(mode="json") == model.facts["config"]
    return model


def read_cells() -> list[dict]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_the_notebook_runs_from_top_to_bottom(few_trees, first_scores, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sr, "train", partial(train_as_the_first_example_did, first_scores[1], few_trees))
    namespace: dict = {}
    for number, cell in enumerate(read_cells()):
        if cell["cell_type"] == "code":
            code = compile("".join(cell["source"]), f"{NOTEBOOK.name}, cell {number}", "exec")
            exec(code, namespace)  # noqa: S102 - our own notebook
    assert namespace["scores"].height > 0


def test_the_notebook_stores_no_output():
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in read_cells())
