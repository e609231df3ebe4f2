"""Former names: what was imported from version 0.1.0 is still found, with a warning that names its place."""

import subprocess
import sys
from importlib import import_module

import pytest

import somv_risk as sr
from somv_risk.calls.former_names import HOMES, NEW_PLACES
from somv_risk.registers.checks import keep_sound_rows

# Names that the documentation of version 0.1.0 and its examples import.
DOCUMENTED = [
    ("somv_risk.histories", "Histories"),
    ("somv_risk.contributions", "explain_trees"),
    ("somv_risk.plots", "draw_timeline"),
    ("somv_risk.spark", "start_spark"),
    ("somv_risk.config", "TrainConfig"),
    ("somv_risk.evaluation", "judge"),
    ("somv_risk.evaluation", "compute_metrics"),
    ("somv_risk.model", "load_model"),
    ("somv_risk.outcomes", "FREQUENT_ADMISSION"),
    ("somv_risk.cohort", "make_cohort"),
    ("somv_risk.training", "TreeSettings"),
]


@pytest.mark.parametrize("old", NEW_PLACES)
def test_a_module_that_moved_is_found_by_its_former_name(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is {NEW_PLACES[old]} now"):
        stand = import_module(old)
    home = import_module(NEW_PLACES[old])
    public = [name for name in vars(home) if not name.startswith("_")]
    assert public
    assert all(getattr(stand, name) is getattr(home, name) for name in public)
    assert home.__spec__.name == home.__name__ == NEW_PLACES[old]


@pytest.mark.parametrize(("module", "name"), DOCUMENTED)
def test_what_was_documented_is_imported_as_before(module, name):
    done = subprocess.run(  # noqa: S603 - a fixed text
        [sys.executable, "-W", "always", "-c", f"from {module} import {name}; print({name} is not None)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"
    assert "DeprecationWarning" in done.stderr


@pytest.mark.parametrize("package", HOMES)
def test_a_package_knows_no_name_that_it_never_had(package):
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        import_module(package).nonsense  # noqa: B018 - the access is what fails


def test_no_module_of_the_library_uses_a_former_name():
    script = "import warnings; warnings.simplefilter('error', DeprecationWarning); import somv_risk as sr\n"
    script += "for name in sr.__all__: getattr(sr, name)"
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603 - a fixed text


def test_histories_are_still_checked_by_the_former_method():
    region = sr.simulate(persons=100, seed=7)
    with pytest.warns(DeprecationWarning, match="Histories.check is .*keep_sound_rows"):
        checked = region.check()
    assert checked.persons.collect().equals(keep_sound_rows(region).persons.collect())
