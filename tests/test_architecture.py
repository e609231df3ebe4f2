"""The laws of the house, read from its source text: what no package does, and what pure ones never do."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from somv_risk.registers import schema

CONTRACTS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
# The order of the packages stands in pyproject.toml; import-linter holds the imports to it (make lint).
PACKAGES = [name for layer in CONTRACTS[0]["layers"] for name in layer.split(" | ")]
LAZY = ("registers", "cohort", "features")
PURE = ("calls", *LAZY, "trees", "model", "metrics", "scoring", "disclosure", "errors", "languages")
GARDEN = ("simulate", "testing")
FRONT_DOOR = ""  # the top-level __init__, which only re-exports

MAY_TOUCH_FILES = {
    "model/files": "writes and reads the files of a model",
    "model/model": "asks it to",
    "calls/forks": "asks Linux for the threads of this process",
}
MAY_READ_PACKAGED_DATA = ("features/",)  # all others ask somv_risk.toml
MAY_COLLECT = {
    "registers/checks": "checking rows must look at every row",
    "registers/soundness": "a call asks once how much was set aside and how old the data are",
    "cohort/attrition": "a notebook shows how many each rule left out",
    "cohort/weeks": "a whole table is counted for a report",
    "features/": "its frames are computed when the caller collects them",
}

ONLY_HOME = {
    "mlflow": "tracking/",
    "fastapi": "service/",
    "pyspark": "batch/spark",
    "optuna": "training/tuning/",
    **dict.fromkeys(("deltalake", "adbc_driver_postgresql", "adbc_driver_manager"), "sources/"),
}
NEVER_AT_IMPORT_TIME = ("shap", "numba", "matplotlib", "mlflow", "optuna", "pandas")
NOT_LOADED_BY_THE_LIBRARY = (
    "mlflow",
    "shap",
    "numba",
    "matplotlib",
    "fastapi",
    "pyspark",
    "optuna",
    "pandas",
    "lightgbm",
    "sklearn",
)

FILE_FORMAT = "parquet|csv|ipc|ndjson|json|avro|excel|ods|delta|iceberg|database"
FILE_CALL = re.compile(
    rf"open|read_toml|(read|write)_(text|bytes)|mkdir|unlink|rmtree|(scan|read)_({FILE_FORMAT})\w*|(write|sink)_[a-z]\w*"
)
# Polars takes names for patterns and addresses, and passes over rows that it cannot read.
PATTERN_TAKERS = re.compile(
    rf"polars\.((scan|read)_({FILE_FORMAT})(_schema|_metadata|_batched)?)|pyarrow\.(dataset|csv)\.\w+"
)
READERS = ("files/parquet.py", "sources/csv_file.py", "sources/omop/files.py", "sources/delta.py")
PACKAGED_READ = ("read_text", "read_bytes", "open")
CLOCK = re.compile(r"datetime\.(datetime|date)\.(now|utcnow|today)|time\.\w+")
LOG_TOOLS = ("logging", "loguru", "structlog")
LOG_STREAM = re.compile(r"sys\.(stdout|stderr)")
COLLECTORS = ("collect", "collect_all", "collect_async", "collect_batches")
COLUMN_TAKERS = (
    *("col", "select", "exclude", "drop", "sort", "unique"),
    *("group_by", "partition_by", "over", "join", "join_asof"),
)
COLUMNS = {name for table in schema.TABLES for name in schema.get_columns(table)} | {schema.INDEX_TIME}

SOURCE = Path(__file__).parents[1] / "src" / "somv_risk"

Finding = tuple[int, str]
Law = Callable[["Module"], Iterator[Finding]]


@dataclass(frozen=True)
class Module:
    """One source file: its path below `somv_risk` and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @property
    def calls(self) -> Iterator[ast.Call]:
        return (node for node in self.nodes if isinstance(node, ast.Call))

    @property
    def room(self) -> str:
        return FRONT_DOOR if self.path == "__init__.py" else self.path.split("/")[0].removesuffix(".py")

    @property
    def package(self) -> list[str]:
        return ["somv_risk", *self.path.split("/")[:-1]]

    @cached_property
    def aliases(self) -> dict[str, str]:
        """What each imported name stands for, such as `pl` for `polars`."""
        return dict(pair for node in self.nodes for pair in name_aliases(node, self.package))

    def is_under(self, places: Iterable[str]) -> bool:
        return self.path.startswith(tuple(places))

    @property
    def is_pure(self) -> bool:
        return self.room in PURE


def absolute_origin(node: ast.ImportFrom, package: list[str]) -> str:
    base = package[: len(package) - node.level + 1] if node.level else []
    return ".".join([*base, *([node.module] if node.module else [])])


def name_aliases(node: ast.AST, package: list[str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for name in node.names:
            whole = name.asname or name.name.split(".")[0]
            yield whole, name.name if name.asname else whole
    elif isinstance(node, ast.ImportFrom):
        for name in node.names:
            yield name.asname or name.name, f"{absolute_origin(node, package)}.{name.name}"


def called_name(node: ast.Call) -> str:
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def full_name(node: ast.AST, aliases: dict[str, str]) -> str:
    """Dotted name of an imported thing; empty for anything local."""
    match node:
        case ast.Name(id=name):
            return aliases.get(name, "")
        case ast.Attribute(value=value, attr=attr):
            return f"{origin}.{attr}" if (origin := full_name(value, aliases)) else ""
    return ""


def strings_in(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Strings among the nodes and in the lists and tuples among them."""
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                yield from strings_in(elements)


def imports_among(nodes: Iterable[ast.AST], package: list[str]) -> Iterator[Finding]:
    """Line and dotted name of everything imported, whether by a statement or by `import_module`."""
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(names=names):
                yield from ((node.lineno, f"{absolute_origin(node, package)}.{name.name}") for name in names)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if called_name(node) in (
                "import_module",
                "__import__",
            ):
                yield node.lineno, name


def all_imports(module: Module) -> Iterator[Finding]:
    return imports_among(module.nodes, module.package)


def nodes_at_import_time(node: ast.AST) -> Iterator[ast.AST]:
    """Everything that runs when the module is imported: no function bodies, nothing for the type checker."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    is_for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    for child in node.orelse if is_for_types else ast.iter_child_nodes(node):
        yield from nodes_at_import_time(child)


def find_roundabout_imports(module: Module) -> Iterator[Finding]:
    """What import-linter cannot see: names that the front door hands over, and packages named at run time."""
    if module.room in {FRONT_DOOR, *GARDEN}:
        return
    for line, name in all_imports(module):
        house, _, inside = name.partition(".")
        if house == "somv_risk" and inside.split(".")[0] not in {*PACKAGES, *GARDEN}:
            yield line, f"imports {inside or house}, which is no package: import it from its own place"
    for call in module.calls:
        named = [text for text in strings_in(call.args) if text.partition(".")[0] == "somv_risk"]
        if called_name(call) in ("import_module", "__import__") and named:
            yield call.lineno, f"imports {named[0]} at run time: write an import statement"


def find_file_access(module: Module) -> Iterator[Finding]:
    if not module.is_pure or module.is_under(MAY_TOUCH_FILES):
        return
    for call in module.calls:
        if FILE_CALL.fullmatch(called_name(call)) and not reads_packaged_data(module, call):
            yield call.lineno, f"calls {called_name(call)}(): pure packages touch no files"


def reads_packaged_data(module: Module, call: ast.Call) -> bool:
    """Whether the call reads what the library brings along; with a path at hand it might read anything."""
    origins = module.aliases.values()
    has_resources = any(origin.startswith("importlib.resources") for origin in origins)
    has_paths = any(origin.split(".")[0] in ("pathlib", "os", "io") for origin in origins)
    is_method = isinstance(call.func, ast.Attribute) and call.func.attr in PACKAGED_READ
    return module.is_under(MAY_READ_PACKAGED_DATA) and is_method and has_resources and not has_paths


def find_clocks(module: Module) -> Iterator[Finding]:
    for node in module.nodes if module.is_pure else ():
        if CLOCK.fullmatch(name := full_name(node, module.aliases)):
            yield node.lineno, f"uses {name}: pure packages read no clock, moments are arguments"


def find_logging(module: Module) -> Iterator[Finding]:
    if not module.is_pure:
        return
    for line, name in all_imports(module):
        if name.split(".")[0] in LOG_TOOLS:
            yield line, f"imports {name}: pure packages log nothing"
    for node in module.nodes:
        if isinstance(node, ast.Name) and node.id == "print":
            yield node.lineno, "prints: pure packages log nothing"
        elif LOG_STREAM.fullmatch(name := full_name(node, module.aliases)):
            yield node.lineno, f"uses {name}: pure packages log nothing"


def find_collecting(module: Module) -> Iterator[Finding]:
    for node in module.nodes if module.room in LAZY else ():
        match node:
            case ast.Attribute(attr=name) if name in COLLECTORS:
                yield node.lineno, f"uses {name}: packages up to the features are lazy"
            case ast.Name() if full_name(node, module.aliases) in {f"polars.{name}" for name in COLLECTORS}:
                yield node.lineno, f"uses {node.id}: packages up to the features are lazy"


def find_unexcused_collecting(module: Module) -> Iterator[Finding]:
    return iter(()) if module.is_under(MAY_COLLECT) else find_collecting(module)


def find_tools_away_from_home(module: Module) -> Iterator[Finding]:
    for line, name in all_imports(module):
        home = ONLY_HOME.get(name.split(".")[0], "")
        if not module.is_under([home]):
            yield line, f"imports {name}, which is for {home} only"


def find_heavy_imports(module: Module) -> Iterator[Finding]:
    for line, name in imports_among(nodes_at_import_time(module.tree), module.package):
        if name.split(".")[0] in NEVER_AT_IMPORT_TIME:
            yield line, f"imports {name} at module level: import it in the function that uses it"


def find_names_taken_for_patterns(module: Module) -> Iterator[Finding]:
    for call in module.calls if module.path not in READERS else ():
        if PATTERN_TAKERS.fullmatch(name := full_name(call.func, module.aliases)):
            yield (
                call.lineno,
                f"calls {name}, which may take a name for a pattern: use somv_risk.files.parquet",
            )


def find_circles(modules: Iterable[Module]) -> list[set[str]]:
    """Files that import each other, directly or through others, wherever in the file the import stands."""
    needs = {module.path: set() for module in modules}
    for module in modules:
        needs[module.path] = set(list_imported_files(module, needs)) - {module.path}
    reached = {path: list_reached(path, needs) for path in needs}
    circles = ({other for other in reached[path] if path in reached[other]} for path in needs)
    return [set(one) for one in sorted({tuple(sorted(circle)) for circle in circles if circle})]


def list_imported_files(module: Module, known: Iterable[str]) -> Iterator[str]:
    """The files that a file imports, not for the type checker alone."""
    for _, name in imports_among(nodes_that_run(module.tree), module.package):
        house, _, inside = name.partition(".")
        place = inside.replace(".", "/")
        owner = place.rpartition("/")[0]
        files = (f"{place}.py", f"{place}/__init__.py", f"{owner}.py", f"{owner}/__init__.py".lstrip("/"))
        yield from [file for file in files if house == "somv_risk" and file in known][:1]


def nodes_that_run(node: ast.AST) -> Iterator[ast.AST]:
    """Everything but what stands there for the type checker."""
    yield node
    is_for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    for child in node.orelse if is_for_types else ast.iter_child_nodes(node):
        yield from nodes_that_run(child)


def list_reached(start: str, needs: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(needs[start])
    while waiting:
        if (path := waiting.pop()) not in reached:
            reached.add(path)
            waiting += needs[path]
    return reached


def find_missing_docstring(module: Module) -> Iterator[Finding]:
    if not ast.get_docstring(module.tree):
        yield 1, "has no docstring: its first line says what the file is about"


def find_spelt_columns(module: Module) -> Iterator[Finding]:
    for node in module.nodes if module.is_pure else ():
        for name in named_columns(node, module.aliases):
            if name in COLUMNS:
                yield node.lineno, f"spells the column {name!r}: use the constant schema.{name.upper()}"


def named_columns(node: ast.AST, aliases: dict[str, str]) -> Iterator[str]:
    """Columns named in a call such as `pl.col("x")` or `sort("x")`, or as `pl.col.x`."""
    match node:
        case ast.Call(args=args, keywords=keywords) if called_name(node) in COLUMN_TAKERS:
            yield from strings_in(keyword.value for keyword in keywords)
            # The first argument of a join is a table; that of a text's join is just text.
            yield from strings_in(() if called_name(node).startswith("join") else args)
        case ast.Attribute(value=value, attr=name) if full_name(value, aliases) == "polars.col":
            yield name


MODULES = [
    Module(path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted(SOURCE.rglob("*.py"))
]


def check_house(law: Law) -> None:
    findings = [
        f"src/somv_risk/{module.path}:{line}: {message}"
        for module in MODULES
        for line, message in law(module)
    ]
    assert not findings, "\n" + "\n".join(findings)


def test_the_house_has_been_read():
    assert {*PACKAGES, *GARDEN, FRONT_DOOR} == {module.room for module in MODULES}
    assert set(PURE) < set(PACKAGES)


def test_the_folder_stays_small():
    assert len(list(SOURCE.iterdir())) - (SOURCE / "__pycache__").exists() <= 30


def test_every_module_has_a_docstring():
    check_house(find_missing_docstring)


def test_no_import_goes_round_about():
    check_house(find_roundabout_imports)


def test_pure_packages_touch_no_files():
    check_house(find_file_access)


def test_files_are_read_by_their_own_names():
    check_house(find_names_taken_for_patterns)


def test_pure_packages_read_no_clock():
    check_house(find_clocks)


def test_pure_packages_log_nothing():
    check_house(find_logging)


def test_packages_up_to_the_features_are_lazy():
    check_house(find_unexcused_collecting)


@pytest.mark.parametrize("place", MAY_COLLECT)
def test_what_is_excused_from_being_lazy_needs_the_excuse(place):
    found = [module for module in MODULES if module.is_under([place])]
    assert any(list(find_collecting(module)) for module in found)


def test_each_outside_tool_is_used_in_its_own_room_only():
    check_house(find_tools_away_from_home)


def test_heavy_packages_are_not_imported_at_module_level():
    check_house(find_heavy_imports)


def test_no_files_import_each_other_in_a_circle():
    assert find_circles(MODULES) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("from somv_risk.cohort.stays import X", "from somv_risk.cohort.bounds import Y"),
        ("from somv_risk.cohort import stays", "def f():\n    from somv_risk.cohort.bounds import Y"),
        ("import somv_risk.cohort.stays", "from . import bounds"),
    ],
)
def test_a_planted_circle_is_found(first, second):
    others = [
        Module("cohort/__init__.py", ""),
        Module("cohort/asof.py", "from somv_risk.cohort import bounds"),
    ]
    modules = [Module("cohort/bounds.py", first), Module("cohort/stays.py", second), *others]
    assert find_circles(modules) == [{"cohort/bounds.py", "cohort/stays.py"}]


def test_an_import_for_the_type_checker_makes_no_circle():
    for_types = "if TYPE_CHECKING:\n    from somv_risk.cohort.bounds import Y"
    modules = [
        Module("cohort/bounds.py", "from somv_risk.cohort.stays import X"),
        Module("cohort/stays.py", for_types),
    ]
    assert find_circles(modules) == []


def test_a_circle_through_the_face_of_a_package_is_found():
    modules = [
        Module("cohort/__init__.py", "from somv_risk.cohort.stays import X"),
        Module("cohort/stays.py", "from somv_risk.cohort import X"),
    ]
    assert find_circles(modules) == [{"cohort/__init__.py", "cohort/stays.py"}]


def test_columns_are_named_by_constants_of_the_schema():
    check_house(find_spelt_columns)


def test_importing_the_library_loads_nothing_heavy():
    probe = f"import sys, somv_risk; print(*({set(NOT_LOADED_BY_THE_LIBRARY)!r} & sys.modules.keys()))"
    command = [sys.executable, "-c", probe]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  a fixed text
    assert answer.stdout.split() == []


FAULTS = [
    (find_missing_docstring, "cohort/stays.py", "X = 1"),
    (find_roundabout_imports, "scoring/score.py", "import somv_risk as sr"),
    (find_roundabout_imports, "scoring/score.py", "from somv_risk import train"),
    (
        find_roundabout_imports,
        "cohort/stays.py",
        "import importlib\nimportlib.import_module('somv_risk.model')",
    ),
    (find_roundabout_imports, "cohort/stays.py", "def f():\n    __import__('somv_risk.store')"),
    (find_file_access, "cohort/stays.py", "text = open('x').read()"),
    (find_file_access, "scoring/score.py", "import polars as pl\nframe = pl.scan_parquet('x')"),
    (find_file_access, "scoring/score.py", "import polars as pl\nframe = pl.read_csv_batched('x')"),
    (find_file_access, "scoring/score.py", "frame.sink_parquet('x')"),
    (find_file_access, "metrics/_page.py", "path.write_text(page)"),
    (find_file_access, "features/_catalogue.py", "from pathlib import Path\nPath('x').read_text()"),
    (
        find_file_access,
        "features/_catalogue.py",
        "from importlib import resources\nfrom pathlib import Path\nPath('x').read_text()",
    ),
    (find_file_access, "features/_catalogue.py", "from importlib import resources\nopen('x')"),
    (
        find_file_access,
        "features/_catalogue.py",
        "from importlib import resources\nresources.files().write_text('')",
    ),
    (
        find_file_access,
        "cohort/stays.py",
        "from importlib import resources\nresources.files('x').read_text()",
    ),
    (find_file_access, "scoring/score.py", "from somv_risk.toml import read_toml\nread_toml('X', path)"),
    (find_names_taken_for_patterns, "store/_x.py", "import polars as pl\npl.scan_parquet('x')"),
    (find_names_taken_for_patterns, "batch/_x.py", "import polars as pl\npl.read_csv('x')"),
    (find_clocks, "cohort/stays.py", "from datetime import datetime\nnow = datetime.now()"),
    (find_clocks, "cohort/stays.py", "from datetime import datetime as moment\nnow = moment.now()"),
    (find_clocks, "model/model.py", "import datetime as dt\ntoday = dt.date.today()"),
    (
        find_clocks,
        "model/model.py",
        "from datetime import datetime\nmade = field(default_factory=datetime.now)",
    ),
    (find_clocks, "scoring/score.py", "import time\nstart = time.time()"),
    (find_clocks, "scoring/score.py", "from time import perf_counter\nstart = perf_counter()"),
    (find_logging, "cohort/stays.py", "print('x')"),
    (find_logging, "scoring/score.py", "import logging"),
    (find_logging, "scoring/score.py", "from logging import getLogger"),
    (find_logging, "scoring/score.py", "import sys\nsys.stderr.write('x')"),
    (find_unexcused_collecting, "cohort/stays.py", "frame.collect()"),
    (find_unexcused_collecting, "cohort/stays.py", "frames = map(pl.LazyFrame.collect, frames)"),
    (find_unexcused_collecting, "cohort/outcomes.py", "import polars as pl\npl.collect_all([a, b])"),
    (find_unexcused_collecting, "cohort/cohort.py", "from polars import collect_all\ncollect_all([a, b])"),
    (find_tools_away_from_home, "training/fit.py", "def f():\n    import mlflow"),
    (find_tools_away_from_home, "model/config.py", "from optuna.distributions import IntDistribution"),
    (find_tools_away_from_home, "cli/_app.py", "from fastapi import FastAPI"),
    (find_tools_away_from_home, "batch/_run.py", "from pyspark.sql import SparkSession"),
    (find_heavy_imports, "trees/contributions.py", "import shap"),
    (find_heavy_imports, "report/_plot.py", "import matplotlib.pyplot as plt"),
    (
        find_heavy_imports,
        "tracking/_runs.py",
        "try:\n    import mlflow\nexcept ImportError:\n    mlflow = None",
    ),
    (find_heavy_imports, "sources/_frames.py", "class A:\n    import pandas"),
    (find_heavy_imports, "sources/_frames.py", "if TYPE_CHECKING:\n    import x\nelse:\n    import pandas"),
    (find_spelt_columns, "cohort/stays.py", "import polars as pl\npl.col('person_id')"),
    (find_spelt_columns, "cohort/stays.py", "from polars import col\ncol(['x', 'started_at'])"),
    (find_spelt_columns, "cohort/stays.py", "import polars as pl\npl.col.started_at"),
    (find_spelt_columns, "model/model.py", "frame.sort('risk', 'index_time')"),
    (find_spelt_columns, "scoring/score.py", "a.join(b, on=['person_id'])"),
    (find_spelt_columns, "cohort/stays.py", "x.sum().over('x', order_by='ended_at')"),
]

LAWFUL = [
    (find_roundabout_imports, "scoring/score.py", "from somv_risk import errors"),
    (find_roundabout_imports, "scoring/score.py", "from somv_risk.cohort.stays import build_stays"),
    (find_roundabout_imports, "scoring/score.py", "from . import notes"),
    (find_roundabout_imports, "testing/leakage.py", "import somv_risk as sr"),
    (find_missing_docstring, "cohort/stays.py", "'''Stays.'''"),
    (
        find_file_access,
        "features/_x.py",
        "from importlib import resources\nresources.files('x').read_text()",
    ),
    (find_file_access, "model/files.py", "path.write_text(text)"),
    (find_file_access, "store/_scan.py", "import polars as pl\npl.scan_parquet('x')"),
    (find_file_access, "features/_catalogue.py", "definition = read_definition(row)"),
    (find_clocks, "cohort/stays.py", "from datetime import datetime\nstart = datetime(2026, 1, 1)"),
    (find_clocks, "cohort/stays.py", "from datetime import datetime\nlength = time.total_seconds()"),
    (find_clocks, "batch/_run.py", "import time\ntime.time()"),
    (find_logging, "cli/_app.py", "print('x')"),
    (find_unexcused_collecting, "cohort/stays.py", "frame.collect_schema()"),
    (find_unexcused_collecting, "registers/checks.py", "frame.collect()"),
    (find_unexcused_collecting, "model/model.py", "frame.collect()"),
    (find_tools_away_from_home, "tracking/_runs.py", "def f():\n    import mlflow"),
    (find_heavy_imports, "tracking/_runs.py", "def f():\n    import mlflow"),
    (find_heavy_imports, "sources/_frames.py", "if TYPE_CHECKING:\n    import pandas as pd"),
    (find_spelt_columns, "cohort/stays.py", "import polars as pl\npl.col(s.PERSON_ID, 'risk')"),
    (find_spelt_columns, "cohort/stays.py", "', '.join(['person_id', 'sex'])"),
    (find_spelt_columns, "sources/_omop.py", "import polars as pl\npl.col('person_id')"),
]


@pytest.mark.parametrize(("law", "path", "text"), FAULTS)
def test_a_planted_fault_is_caught(law, path, text):
    assert list(law(Module(path, text)))


@pytest.mark.parametrize(("law", "path", "text"), LAWFUL)
def test_a_lawful_text_passes(law, path, text):
    assert not list(law(Module(path, text)))


def test_a_finding_names_its_line():
    text = "'''Stays.'''\n\nimport polars as pl\nframe.collect()\n"
    assert [line for line, _ in find_collecting(Module("cohort/stays.py", text))] == [4]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("cohort/stays.py", "from somv_risk.scoring.score import score"),
        ("registers/schema.py", "def later():\n    import somv_risk.store"),
        ("scoring/notes.py", "from somv_risk.testing.people import PEOPLE"),
        ("model/model.py", "import mlflow"),
        ("metrics/drift.py", "import matplotlib.pyplot as plt"),
    ],
)
def test_lint_fails_where_a_package_imports_one_above_it(path, text, tmp_path):
    """The contracts of pyproject.toml, on a copy of the house with one import too many."""
    copy_house(tmp_path)
    with (tmp_path / "src" / "somv_risk" / path).open("a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")
    done = run_contracts(tmp_path)
    assert done.returncode == 1
    assert "1 broken" in done.stdout


def test_lint_passes_on_a_copy_of_the_house(tmp_path):
    copy_house(tmp_path)
    assert run_contracts(tmp_path).returncode == 0


def copy_house(folder):
    shutil.copytree(SOURCE.parent, folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SOURCE.parents[1] / "pyproject.toml", folder)


def run_contracts(folder):
    command = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"
    return subprocess.run(  # noqa: S603 - a fixed text
        [sys.executable, "-c", command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
