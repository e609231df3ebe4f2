"""What is installed: extras that are missing are named, the wheel holds what it needs, names are found."""

import ast
import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import somv_risk as sr
from somv_risk.calls.extras import EXTRA_OF, check_installed
from somv_risk.errors import ConfigError, ModelError, SourceError
from somv_risk.files import packaged
from somv_risk.files.packaged import MODELS, find_config, find_model_folder, list_packaged_models
from somv_risk.monitoring import read_limits
from somv_risk.report.drawing import make_panels
from somv_risk.simulate.targets import find_targets, read_targets
from somv_risk.sources.omop.mapping import read_mapping
from somv_risk.tracking import read_gates
from somv_risk.tracking._gates import find_gates
from somv_risk.training.config import TrainConfig, read_config
from somv_risk.training.tuning import read_space

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "somv_risk"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
NAME = re.compile(r"^[\w.-]+")
REACHED_AFTER_A_CHECK = {
    "batch/spark.py",
    "sources/delta.py",
    "sources/postgres_session.py",
    "tracking/_registry.py",
    "tracking/_served.py",
    "training/tuning/_study.py",
}


def name_all(requirements):
    return {NAME.match(each)[0] for each in requirements}


def list_pins(lock):
    return set(PIN.findall((ROOT / lock).read_text(encoding="utf-8")))


# --- Extras


def test_each_extra_is_known_by_the_modules_it_installs():
    for module, extra in EXTRA_OF.items():
        assert module.replace("_", "-") in name_all(EXTRAS[extra])
    assert set(EXTRAS) - {"all", "dev"} == set(EXTRA_OF.values())


def test_all_is_everything_but_spark():
    named = re.search(r"\[(.*)\]", EXTRAS["all"][0])[1].split(",")
    assert set(named) == set(EXTRA_OF.values()) - {"spark"}


def test_the_core_has_nothing_of_an_extra():
    modules = {name.replace("-", "_") for name in name_all(PROJECT["project"]["dependencies"])}
    assert not modules & set(EXTRA_OF)


@pytest.mark.parametrize("module", EXTRA_OF)
def test_a_missing_extra_names_the_command_that_installs_it(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError) as told:
        check_installed(module, "something")
    assert f'pip install "somv-risk[{EXTRA_OF[module]}]"' in str(told.value)


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("mlflow", lambda: sr.load_model("models:/somv-risk@champion")),
        ("matplotlib", lambda: make_panels(1, 1, 1, 1)),
    ],
)
def test_what_needs_an_extra_says_so(module, call, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=module):
        call()


def list_extras_imported(tree):
    """Extras that a module imports when it is used, not those for the type checker."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name.split(".")[0] for name in names if name.split(".")[0] in EXTRA_OF)


def test_whoever_imports_an_extra_looks_first_whether_it_is_there():
    needing, checking = set(), set()
    for file in SOURCE.rglob("*.py"):
        tree, path = ast.parse(file.read_text(encoding="utf-8")), file.relative_to(SOURCE).as_posix()
        needing |= {(path, module) for module in list_extras_imported(tree)}
        calls = [
            n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "check_installed"
        ]
        checking |= {(path, call.args[0].value) for call in calls}
    assert {path for path, _ in needing - checking} <= REACHED_AFTER_A_CHECK
    assert {module for _, module in needing} == {module for _, module in checking}
    assert len(needing) >= 12


# --- Locks


def test_the_core_is_pinned_as_everything_is():
    core = list_pins("requirements-core.lock")
    assert core <= list_pins("requirements.lock")
    assert name_all(PROJECT["project"]["dependencies"]) <= {name for name, _ in core}
    assert not {name.replace("-", "_") for name, _ in core} & {*EXTRA_OF, "pandas"}


def test_everything_pinned_holds_every_extra_but_spark():
    pinned = {name for name, _ in list_pins("requirements.lock")}
    extras = set(EXTRAS) - {"all", "spark"}
    assert len(extras) > 3
    for extra in extras:
        assert name_all(EXTRAS[extra]) - {"somv-risk"} <= pinned


# --- The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    (file,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(file)


def test_the_wheel_holds_models_and_configurations_and_no_evaluation(wheel):
    held = {name.removeprefix("somv_risk/packaged/") for name in wheel.namelist() if "/packaged/" in name}
    models = {
        f"models/{name}/{file.name}" for name in MODELS for file in (ROOT / "models" / name).glob("*.*")
    }
    configs = {file.relative_to(ROOT).as_posix() for file in (ROOT / "configs").rglob("*.toml")}
    assert held == models | configs
    assert len(held) == 14


def test_the_wheel_is_small_and_nothing_but_the_library(wheel):
    assert {name.split("/")[0] for name in wheel.namelist()} == {"somv_risk", "somv_risk-0.1.0.dist-info"}
    assert sum(entry.compress_size for entry in wheel.infolist()) < 4e6


def test_an_installed_wheel_finds_its_own_files(wheel, tmp_path, monkeypatch):
    wheel.extractall(tmp_path)
    monkeypatch.setattr(packaged, "_IN_A_WHEEL", tmp_path / "somv_risk" / "packaged")
    for found in (*list_packaged_models().values(), find_gates(), find_targets()):
        assert found.is_relative_to(tmp_path)
        assert found.exists()
    assert read_config("default") == TrainConfig()


# --- Names


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("elsewhere")
def test_a_packaged_model_is_loaded_by_its_name(name):
    assert repr(sr.load_model(name)) == repr(sr.load_model(ROOT / "models" / name))


@pytest.mark.usefixtures("elsewhere")
def test_a_folder_of_that_name_comes_before_the_packaged_model():
    sr.load_model("hospital_only").save("simulated")
    assert sr.load_model("simulated").tables == ("persons", "admissions")
    assert find_model_folder("simulated") == Path("simulated")


@pytest.mark.usefixtures("elsewhere")
def test_a_folder_of_that_name_without_a_model_is_refused():
    Path("simulated").mkdir()
    with pytest.raises(ModelError, match="missing"):
        sr.load_model("simulated")


@pytest.mark.parametrize("name", ["simulatd", "models/simulated", "simulated/model", ""])
@pytest.mark.usefixtures("elsewhere")
def test_other_names_are_folders(name):
    with pytest.raises(ModelError):
        sr.load_model(name)


@pytest.mark.usefixtures("elsewhere")
def test_packaged_configurations_are_read_by_name_wherever_one_is_taken():
    assert read_config("default") == read_config(ROOT / "configs" / "default.toml")
    for name in ("default", "monitoring"):
        assert read_limits(name) == read_limits(ROOT / "configs" / "monitoring.toml")
    for name in ("default", "tuning"):
        assert read_space(name) == read_space(ROOT / "configs" / "tuning.toml")
    assert read_mapping("omop") == read_mapping(ROOT / "configs" / "omop.toml")
    assert read_gates("gates") == read_gates("default") == read_gates()
    assert read_targets("region_sjaelland") == read_targets(find_targets())


@pytest.mark.usefixtures("elsewhere")
def test_a_file_of_that_name_comes_before_the_packaged_configuration():
    Path("default").write_text("seed = 8\n", encoding="utf-8")
    assert read_config("default").seed == 8
    assert find_config("config", "default", "default.toml") == Path("default")


@pytest.mark.usefixtures("elsewhere")
def test_a_name_of_another_configuration_is_no_name_here():
    with pytest.raises(SourceError, match="monitoring cannot be read"):
        read_config("monitoring")
