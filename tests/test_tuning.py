"""Tuning: a search that keeps to its budget, and that a kill does not change."""

import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from polars.testing import assert_frame_equal
from sklearn.linear_model import LogisticRegression

import somv_risk as sr
from somv_risk.errors import CohortError, ConfigError, SourceError
from somv_risk.model.calibration import cross_validate
from somv_risk.store import write_store
from somv_risk.training.config import TrainConfig, parse_config, read_config, write_config
from somv_risk.training.steps import resolve_config
from somv_risk.training.tuning import SPACE, _task, _tune, read_space, tune

optuna = pytest.importorskip("optuna")

TRIALS = 6
QUICK = {"learning_rate": {"low": 0.05, "high": 0.3, "log": True}, "num_leaves": {"low": 4, "high": 31}}


@pytest.fixture(scope="module")
def quick(plan):
    """A plan of one target and a moment per part, with few trees."""
    times = {part: moments[-1:] for part, moments in plan["times"].items()}
    return plan | {
        "targets": {"frequent_admission": {}},
        "times": times,
        "trees": plan["trees"] | {"rounds": 12, "patience": 4},
    }


@pytest.fixture(scope="module")
def undisturbed(region, quick, tmp_path_factory):
    """A study that ran to its end at once."""
    return tune(region, quick, trials=TRIALS, space=QUICK, storage=tmp_path_factory.mktemp("a") / "study.db")


@pytest.fixture
def study(tmp_path):
    return tmp_path / "study.db"


# --- What is found


def test_the_first_trial_is_the_configuration_as_given(undisturbed, quick):
    first = undisturbed.trials.row(0, named=True)
    assert first["trial"] == 1
    assert {name: first[name] for name in QUICK} == {
        name: quick["trees"]["parameters"][name] for name in QUICK
    }


def test_the_configuration_found_has_the_parameters_of_the_least_loss(undisturbed, quick):
    best = undisturbed.trials.sort("log_loss").row(0, named=True)
    expected = parse_config(quick).trees.parameters | {name: best[name] for name in QUICK}
    assert undisturbed.config.trees.parameters == expected
    assert undisturbed.config.model_copy(update={"trees": parse_config(quick).trees}) == parse_config(quick)


def test_trials_differ_and_stay_within_the_space(undisturbed):
    trials = undisturbed.trials
    assert trials.columns == ["trial", "log_loss", "trees", "learning_rate", "num_leaves"]
    assert trials["learning_rate"].is_between(0.05, 0.3).all()
    assert trials["num_leaves"].is_between(4, 31).all()
    assert trials["log_loss"].n_unique() == trials.height == TRIALS


def test_a_trial_is_judged_as_a_model_trained_with_its_parameters(undisturbed, region):
    """The trees are those of `train`, and the loss is worked out here in another way."""
    model = sr.train(region, undisturbed.config)
    assert model.main.booster.num_trees() in undisturbed.trials["trees"].to_list()
    assert model.facts["calibration"]["frequent_admission"]["losses"]["platt"] == pytest.approx(
        undisturbed.trials["log_loss"].min(), rel=1e-9
    )


def test_the_loss_is_that_of_a_line_fitted_on_other_persons():
    rng = np.random.default_rng(1)
    raw = rng.normal(-2, 2, 4_000)
    outcome = rng.random(4_000) < 1 / (1 + np.exp(-0.5 * raw))
    half = np.arange(4_000) < 2_000
    line = LogisticRegression(C=np.inf).fit(raw[half, None], outcome[half])
    risk = line.predict_proba(raw[~half, None])[:, 1]
    expected = -np.log(np.where(outcome[~half], risk, 1 - risk)).mean()
    assert cross_validate("platt", raw, outcome).mean() == pytest.approx(expected, abs=0.03)


def test_the_test_part_has_no_say(region, quick, study, monkeypatch):
    asked = []
    build = _task.build_sample

    def watch(histories, snapshots, *rest):
        asked.extend((row["role"], row["index_time"]) for one in snapshots for row in one.rows.to_dicts())
        return build(histories, snapshots, *rest)

    monkeypatch.setattr(_task, "build_sample", watch)
    tune(region, quick, trials=1, space=QUICK, storage=study)
    assert {role for role, _ in asked} == {"fit", "stop", "calibrate"}
    times = resolve_config(quick).build_time_split(region.data_end)
    assert max(moment for _, moment in asked) < min(times.test)


# --- Going on


def test_a_study_that_goes_on_ends_as_one_left_alone(undisturbed, region, quick, study):
    for trials in (1, 4, TRIALS, TRIALS):
        going_on = tune(region, quick, trials=trials, space=QUICK, storage=study)
        assert going_on.trials.height == trials
    assert_frame_equal(going_on.trials, undisturbed.trials, check_exact=True)
    assert going_on.config == undisturbed.config


KILLED = """
import json, sys
import somv_risk as sr
from somv_risk.training.tuning import tune

store, study, config, space = sys.argv[1:]
tell = lambda step, done, total: print(step, done, flush=True)
config, space = json.loads(config), json.loads(space)
tune(sr.read_histories(store), config, trials=1000, storage=study, space=space, progress=tell)
"""


def test_a_study_that_was_killed_ends_as_one_left_alone(undisturbed, region, quick, study, tmp_path):
    write_store(region, tmp_path / "store")
    arguments = [str(tmp_path / "store"), str(study), json.dumps(quick), json.dumps(QUICK)]
    with subprocess.Popen(  # noqa: S603 - a fixed text
        [sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("trying tree parameters 2"):
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
    left = optuna.load_study(storage=f"sqlite:///{study}", study_name="somv_risk")
    assert len(left.get_trials(states=[optuna.trial.TrialState.COMPLETE])) in {2, 3}
    stored = sr.read_histories(tmp_path / "store")
    going_on = tune(stored, quick, trials=TRIALS, space=QUICK, storage=study)
    assert_frame_equal(going_on.trials, undisturbed.trials, check_exact=True)


def test_a_trial_that_was_under_way_is_tried_again(undisturbed, region, quick, study):
    tune(region, quick, trials=2, space=QUICK, storage=study)
    optuna.load_study(storage=f"sqlite:///{study}", study_name="somv_risk").ask()
    going_on = tune(region, quick, trials=TRIALS, space=QUICK, storage=study)
    assert_frame_equal(going_on.trials, undisturbed.trials, check_exact=True)


def test_a_first_trial_that_was_killed_is_the_first_again(undisturbed, region, quick, study, monkeypatch):
    def be_killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_task.Task, "judge", be_killed)
        with pytest.raises(KeyboardInterrupt):
            tune(region, quick, trials=2, space=QUICK, storage=study)
    going_on = tune(region, quick, trials=2, space=QUICK, storage=study)
    assert_frame_equal(going_on.trials, undisturbed.trials.head(2), check_exact=True)


# --- The budget


class Clock:
    """A clock on which each trial takes 25 seconds."""

    def __init__(self, study):
        self.study = study
        self.trials = 0

    def monotonic(self):
        return 25.0 * self.trials


def test_minutes_end_the_search_after_the_trial_that_is_under_way(region, quick, study, monkeypatch):
    clock = Clock(study)
    judge = _task.Task.judge

    def count(task, parameters):
        clock.trials += 1
        return judge(task, parameters)

    monkeypatch.setattr(_task.Task, "judge", count)
    monkeypatch.setattr(_tune, "time", clock)
    # After 25 and 50 seconds the minute is not over, after 75 it is.
    assert tune(region, quick, minutes=1, space=QUICK, storage=study).trials.height == 3
    # The next call has a minute of its own.
    clock.trials = 0
    assert tune(region, quick, minutes=1, space=QUICK, storage=study).trials.height == 6


def test_however_few_minutes_there_are_something_is_tried(region, quick, study):
    assert tune(region, quick, minutes=1e-6, space=QUICK, storage=study).trials.height == 1


def test_of_two_budgets_the_first_that_is_spent_ends_the_search(region, quick, study):
    assert tune(region, quick, trials=2, minutes=60, space=QUICK, storage=study).trials.height == 2
    assert tune(region, quick, trials=50, minutes=1e-6, space=QUICK, storage=study).trials.height == 2


@pytest.mark.parametrize("budget", [{}, {"trials": 0}, {"trials": 5, "minutes": 0}, {"minutes": -1}])
def test_a_search_needs_a_budget(region, budget):
    with pytest.raises(ConfigError, match="no budget"):
        tune(region, **budget)


def test_progress_tells_of_every_trial(region, quick, study):
    told = []
    tune(region, quick, trials=2, space=QUICK, storage=study, progress=lambda *step: told.append(step))
    assert [step[1:] for step in told if step[0] == "trying tree parameters"] == [(0, 2), (1, 2), (2, 2)]


# --- Refused


def test_a_study_of_something_else_is_refused(region, quick, study):
    tune(region, quick, trials=1, space=QUICK, storage=study)
    smaller = sr.from_frames(**{name: frame.head(50) for name, frame in region.tables.items()})
    with pytest.raises(ConfigError, match="made with other data"):
        tune(smaller, quick, trials=2, space=QUICK, storage=study)
    with pytest.raises(ConfigError, match="made with another configuration"):
        tune(region, quick | {"seed": 8}, trials=2, space=QUICK, storage=study)
    wider = QUICK | {"num_leaves": {"low": 4, "high": 40}}
    with pytest.raises(ConfigError, match="made with another search space"):
        tune(region, quick, trials=2, space=wider, storage=study)


def test_a_study_without_a_trial_may_become_another(region, quick, study):
    few = quick | {"targets": {"frequent_admission": {"min_count": 200}}}
    with pytest.raises(CohortError, match="has 0 events"):
        tune(region, few, trials=1, space=QUICK, storage=study)
    optuna.load_study(storage=f"sqlite:///{study}", study_name="somv_risk").enqueue_trial({"num_leaves": 4})
    first = tune(region, quick, trials=1, space=QUICK, storage=study).trials.row(0, named=True)
    assert first["num_leaves"] == quick["trees"]["parameters"]["num_leaves"]


def test_a_file_that_is_no_study_is_refused(region, quick, study):
    study.write_text("no database", encoding="utf-8")
    with pytest.raises(SourceError, match="cannot be read or written"):
        tune(region, quick, trials=1, space=QUICK, storage=study)
    with pytest.raises(SourceError, match="cannot be read or written"):
        tune(region, quick, trials=1, space=QUICK, storage=study.parent / "nowhere" / "study.db")


def test_without_optuna_the_error_says_how_to_install_it(region, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r'pip install "somv-risk\[tune\]"'):
        tune(region, trials=1)


@pytest.mark.parametrize(
    ("space", "word"),
    [
        ({}, "empty"),
        ({"num_leaves": {"low": 4}}, "num_leaves: .*higher high"),
        ({"num_leaves": {"low": 31, "high": 4}}, "higher high"),
        ({"num_leaves": {"low": 4, "high": 31, "choices": [4]}}, "higher high"),
        ({"num_leaves": {"low": 0, "high": 31, "log": True}}, "logarithm"),
        ({"num_leaves": {"low": "few", "high": 31}}, "num_leaves.low"),
        ({"num_leaves": {"least": 4}}, "num_leaves.least"),
        ({"num_leaves": 31}, "num_leaves"),
        ({"num_leaves": {"low": 100, "high": 200}}, "does not hold the configuration's value, 31"),
        ({"num_leaves": {"choices": [15, 63]}}, "does not hold the configuration's value, 31"),
        ({"learning_rate": {"low": 1, "high": 3}}, "does not hold"),
        (
            {"bagging_fraction": {"low": 0.5, "high": 1.0}},
            "value, None.*set trees.parameters.bagging_fraction",
        ),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(region, study, space, word):
    with pytest.raises(ConfigError, match=word):
        tune(region, trials=1, space=space, storage=study)
    assert not study.exists()


def test_how_rows_are_binned_cannot_be_tuned(region, quick, study):
    space = {"max_bin": {"choices": [63, 127, 255]}}
    with pytest.raises(ConfigError, match="LightGBM refuses"):
        tune(region, quick, trials=20, space=space, storage=study)


# --- The space and the configuration as files


def test_the_file_of_the_space_is_the_default():
    file = Path(__file__).parents[1] / "configs" / "tuning.toml"
    assert tomllib.loads(file.read_text(encoding="utf-8")) == dict(SPACE)
    assert read_space(file) == read_space(SPACE)


def test_the_default_configuration_lies_within_the_default_space():
    assert read_space(SPACE)
    for name, dimension in read_space(SPACE).items():
        assert dimension.holds(TrainConfig().trees.parameters[name])


@pytest.mark.parametrize(
    "config",
    [
        {},
        {
            "seed": 11,
            "targets": {"x": {"min_count": 2}, "a name, quoted": {"excluded_diagnoses": ["F", 'T"51']}},
        },
        {"times": {"test": ["2024-06-01"]}, "lags": {"admissions": 1.5}, "features": {"exclude": ["age"]}},
        {"trees": {"parameters": {"bagging_fraction": 0.5, "extra_trees": True, "boosting": "dart"}}},
    ],
)
def test_a_configuration_that_is_written_is_read_as_it_was(config, tmp_path):
    write_config(parse_config(config), tmp_path / "written.toml")
    assert read_config(tmp_path / "written.toml") == parse_config(config)


def test_own_features_are_written_and_read_too(tmp_path):
    own = Path(__file__).parents[1] / "examples" / "own_features.toml"
    config = parse_config({"features": {"own": str(own)}})
    write_config(config, tmp_path / "written.toml")
    assert len(config.features.own) > 0
    assert read_config(tmp_path / "written.toml") == config


def test_a_configuration_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="cannot be written"):
        write_config(TrainConfig(), tmp_path)


# --- The command


def test_the_command_writes_a_configuration_that_train_reads(run, region, quick, tmp_path):
    write_store(region, tmp_path / "store")
    write_config(parse_config(quick), tmp_path / "plan.toml")
    (tmp_path / "space.toml").write_text("[num_leaves]\nlow = 4\nhigh = 31\n", encoding="utf-8")
    command = (
        *("tune", "--store", tmp_path / "store", "--out", tmp_path / "tuned.toml", "--trials", 2),
        *(
            "--study",
            tmp_path / "study.db",
            "--config",
            tmp_path / "plan.toml",
            "--space",
            tmp_path / "space.toml",
        ),
    )
    told = run(*command)
    assert told.code == 0, told.err
    assert "2 trials" in told.out
    expected = tune(
        region, quick, trials=2, space={"num_leaves": {"low": 4, "high": 31}}, storage=tmp_path / "b.db"
    )
    assert read_config(tmp_path / "tuned.toml") == expected.config
    told = run("train", "-s", tmp_path / "store", "-m", tmp_path / "model", "-c", tmp_path / "tuned.toml")
    assert told.code == 0, told.err


def test_the_command_needs_a_budget(run, region, tmp_path):
    write_store(region, tmp_path / "store")
    told = run("tune", "--store", tmp_path / "store", "--out", tmp_path / "tuned.toml")
    assert told.code == 6
    assert "no budget" in told.err
