"""What the test files share: how much Hypothesis draws, and a small region with a model, made once.

Hypothesis draws few examples at each change and many at night (HYPOTHESIS_PROFILE=nightly).
"""

import os
import shutil
import sys
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from typer.testing import CliRunner

import somv_risk as sr
from runs import BUCKETS
from shared import hold, make_once
from somv_risk.cli import app, main
from somv_risk.machine_code import CompilationWarning
from somv_risk.registers.histories import Histories
from somv_risk.store import write_store
from somv_risk.testing.people import PEOPLE, mix

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("ci", max_examples=150, derandomize=True, **COMMON)
settings.register_profile("nightly", max_examples=5_000, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Threads of LightGBM spin on busy cores. Its runtime reads this when it is loaded, which is later.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def plan_training(data_end: datetime) -> dict:
    """A small, quick training run; several moments per part make up for few persons."""

    def before_the_end(*days):
        return [(data_end - timedelta(days=number)).isoformat() for number in days]

    return {
        "validation": "time",
        "persons": {"fit": 0.35, "stop": 0.2, "calibrate": 0.25, "test": 0.2},
        "times": {
            "train": before_the_end(1455, 1365, 1275),
            "calibrate": before_the_end(910, 820, 730),
            "test": before_the_end(365),
        },
        "trees": {
            "rounds": 60,
            "patience": 10,
            "parameters": {
                "num_threads": 1,
                "learning_rate": 0.1,
                "num_leaves": 15,
                "min_data_in_leaf": 20,
                "feature_fraction": 0.5,
                "lambda_l2": 5.0,
            },
        },
    }


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    """A folder for what is made once a run; each worker's own lies in it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def region() -> Histories:
    """A simulated region of 20,000 persons: fewer have too few unfinished stays to learn from."""
    return hold(sr.simulate(persons=20_000, seed=7))


@pytest.fixture(scope="session")
def plan(region) -> dict:
    """The training configuration of `model`."""
    return plan_training(region.data_end)


@pytest.fixture(scope="session")
def saved(region, plan, run_folder) -> Path:
    """The folder of a small model trained on the region, for reading only."""
    return make_once(run_folder, "saved", lambda folder: sr.train(region, plan).save(folder))


@pytest.fixture(scope="session")
def model(saved) -> sr.RiskModel:
    """The small model trained on the region."""
    return sr.load_model(saved)


@pytest.fixture(scope="session")
def crowd(region) -> Histories:
    """The region with the named people mixed in, as seen from its end."""
    tables = {name: frame.collect() for name, frame in region.tables.items()}
    mixed = mix(tables, *(person(region.data_end) for person in PEOPLE.values()))
    return Histories({name: frame.lazy() for name, frame in mixed.items()}, data_end=region.data_end)


@pytest.fixture(scope="session")
def scores(model, crowd):
    """Everyone in the crowd scored and explained, in English."""
    return sr.score(model, crowd, index_time=crowd.data_end, language="en", reasons=3, explain="all")


@pytest.fixture(scope="session")
def crowded() -> Histories:
    """3,000 simulated persons, for runs over a store."""
    return hold(sr.simulate(persons=3_000, seed=11))


@pytest.fixture(scope="session")
def store(crowded, tmp_path_factory) -> Path:
    """A store of them, for reading only."""
    path = tmp_path_factory.mktemp("crowded") / "store"
    write_store(crowded, path, buckets=BUCKETS)
    return path


@pytest.fixture
def own_store(store, tmp_path) -> Path:
    """A copy of the store that a test may spoil."""
    return Path(shutil.copytree(store, tmp_path / "store"))


def run_demo(folder: Path) -> None:
    """Run the demo into `out`, and keep beside it what it said."""
    folder.mkdir()
    asked = ["demo", "--out", str(folder / "out"), "--persons", "40000", "--language", "en"]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    (folder / "told.txt").write_text(told.stdout, encoding="utf-8")
    (folder / "complaints.txt").write_text(told.stderr, encoding="utf-8")


@pytest.fixture(scope="session")
def demo_folder(run_folder) -> Path:
    """What `somv-risk demo` writes at the smallest size that has events enough for both targets."""
    return make_once(run_folder, "demo", run_demo) / "out"


class Told(NamedTuple):
    """What a command left behind: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys) -> Callable[..., Told]:
    """Run a command as a shell would that is not a terminal."""

    def run_command(*arguments) -> Told:
        monkeypatch.setattr(sys, "argv", ["somv-risk", *map(str, arguments)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        capsys.readouterr()
        with warnings.catch_warnings():
            # Which test is the first to need a loop is not what a command's tests are about.
            warnings.simplefilter("ignore", CompilationWarning)
            with pytest.raises(SystemExit) as stopped:
                main()
        return Told(int(stopped.value.code or 0), *capsys.readouterr())

    return run_command
