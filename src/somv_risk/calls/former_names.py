"""Former names: modules that have moved are found by their names of version 0.1.0, with a warning.

They go with version 0.2.0. Modules that are gone, such as `somv_risk.plots`, are found by `FormerNames`;
packages that bear the name of a former module, such as `somv_risk.model`, ask `find_former`.
"""

import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType
from typing import Any, Final

_HOUSE: Final = "somv_risk."
_MOVED: Final = {
    "calls": (
        *("arguments", "arrow", "copies", "forks", "moments"),
        *("nearest", "notices", "repeatable", "shown", "timezones"),
    ),
    "cohort": ("asof", "bounds", "cohort_rows", "intervals", "outcomes", "splits", "stays", "windows"),
    "files": ("file_faults", "parquet", "private_files"),
    "registers": (
        *("checks", "civil_numbers", "codes", "conversion", "emptied", "headers", "histories", "identity"),
        *("identity_checks", "keys", "schema", "soundness", "span"),
    ),
    "model": ("calibration", "definitions", "matrix", "origins"),
    "trees": ("contributions", "forest", "shapley"),
    "metrics": ("drift",),
    "scoring": ("change", "notes", "reasons", "worklist"),
    "training": ("config", "crossing", "events", "folds", "tuning"),
    "evaluation": ("refits",),
    "batch": ("spark",),
}  # fmt: skip
NEW_PLACES: Final = MappingProxyType(
    {f"{_HOUSE}{name}": f"{_HOUSE}{package}.{name}" for package, names in _MOVED.items() for name in names}
    | {
        f"{_HOUSE}{old}": f"{_HOUSE}{new}"
        for old, new in {
            "assessment": "evaluation.evaluate",
            "cases": "evaluation.test_set",
            "coalitions": "trees.brute_force",
            "comparison": "evaluation.compare_models",
            "curves": "model.calibration_curves",
            "decisions": "trees.masks",
            "explanation": "scoring.explain_person",
            "explanation_quality": "evaluation.explanations",
            "groupings": "evaluation.subgroups",
            "model_files": "model.files",
            "pipeline": "training.train",
            "plots": "report.shap_plots",
            "references": "model.logistic_baseline",
            "samples": "training.rows",
            "tree_rows": "trees.rows",
            "volumes": "metrics.week_volumes",
        }.items()
    }
)
# Packages that bear the name of a former module, and where its names are now.
HOMES: Final = MappingProxyType(
    {
        f"{_HOUSE}{package}": f"{_HOUSE}{home}"
        for package, home in {
            "cohort": "cohort.cohort",
            "evaluation": "metrics",
            "model": "model.model",
            "scoring": "scoring.score",
            "training": "training.fit",
        }.items()
    }
)


class FormerNames(MetaPathFinder):
    """Finds modules by former names, and no others."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the import system's own
        target: ModuleType | None = None,  # noqa: ARG002 - the import system's own
    ) -> ModuleSpec | None:
        """Find a module that has moved; None for every other name."""
        return ModuleSpec(fullname, _Stand(NEW_PLACES[fullname])) if fullname in NEW_PLACES else None


class _Stand(Loader):
    """Loads a module that hands over what is asked of it from the new place."""

    def __init__(self, place: str) -> None:
        self._place = place

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002 - as above
        return None

    def exec_module(self, module: ModuleType) -> None:
        _warn(module.__name__, self._place)
        home = import_module(self._place)
        module.__dict__["__getattr__"] = lambda name: getattr(home, name)


def find_former(package: str, name: str) -> Any:  # noqa: ANN401 - whatever bore the name
    """Find a name of the module that a package was before.

    Raises
    ------
    AttributeError
        If it had no such name.
    """
    home = HOMES[package]
    if name.startswith("__") or not hasattr(import_module(home), name):
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    _warn(f"{package}.{name}", f"{home}.{name}")
    return getattr(import_module(home), name)


def call_former(old: str, module: str, name: str, given: object) -> Any:  # noqa: ANN401 - as above
    """Call, for a method of version 0.1.0, the function that it is now."""
    _warn(old, f"{module}.{name}", level=4)
    return getattr(import_module(module), name)(given)


def _warn(old: str, new: str, level: int = 3) -> None:
    said = f"{old} is {new} now; the former name goes with 0.2.0."
    warnings.warn(said, DeprecationWarning, stacklevel=level)
