"""The laws of the house, read from its source text: who imports whom, and what lower floors never do."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from somv_risk.registers import schema

FLOORS = {
    "errors": 0,
    "languages": 0,
    "windows": 0,
    "schema": 0,
    "codes": 0,
    "machine_code": 0,
    "moments": 0,
    "nearest": 0,
    "headers": 1,
    "emptied": 1,
    "timezones": 0,
    "arguments": 0,
    "shown": 0,
    "origins": 0,
    "copies": 0,
    "notices": 0,
    "repeatable": 0,
    "span": 0,
    "histories": 1,
    "arrow": 1,
    "cohort_rows": 1,
    "conversion": 1,
    "checks": 1,
    "identity": 1,
    "identity_checks": 1,
    "keys": 1,
    "civil_numbers": 1,
    "asof": 1,
    "bounds": 1,
    "intervals": 1,
    "stays": 1,
    "cohort": 1,
    "outcomes": 1,
    "splits": 1,
    "features": 1,
    "trees": 2,
    "matrix": 2,
    "model": 2,
    "model_files": 2,
    "events": 2,
    "training": 2,
    "samples": 2,
    "calibration": 2,
    "curves": 2,
    "references": 2,
    "forest": 2,
    "shapley": 2,
    "decisions": 2,
    "tree_rows": 2,
    "contributions": 2,
    "coalitions": 2,
    "reasons": 2,
    "definitions": 3,
    "notes": 3,
    "soundness": 3,
    "scoring": 3,
    "explanation": 3,
    "change": 3,
    "worklist": 3,
    "disclosure": 3,
    "evaluation": 3,
    "patterns": 3,
    "groupings": 3,
    "cases": 3,
    "drift": 3,
    "folds": 3,
    "volumes": 3,
    "config": 4,
    "sources": 4,
    "parquet": 4,
    "file_faults": 4,
    "store": 4,
    "batch": 4,
    "private_files": 4,
    "spark": 4,
    "tracking": 4,
    "report": 4,
    "service": 4,
    "pipeline": 4,
    "crossing": 4,
    "comparison": 4,
    "gates": 4,
    "refits": 4,
    "demo": 4,
    "console": 4,
    "forks": 4,
    "plots": 4,
    "assessment": 4,
    "monitoring": 4,
    "explanation_quality": 4,
    "tuning": 4,
    "cli": 4,
}
PURE, LAZY = range(4), range(2)

GARDEN = ("simulate", "testing")
FRONT_DOOR = ""  # the top-level __init__, which only re-exports
GARDEN_VISITORS = {
    FRONT_DOOR: "offers simulate() to users",
    "cli": "has a command that simulates",
    "demo": "shows a simulated region with the named people in it",
}

MAY_TOUCH_FILES = {"model_files": "writes and reads the files of a model", "model": "asks it to"}
MAY_READ_PACKAGED_DATA = ("codes", "features", "reasons", "evaluation", "groupings")
MAY_COLLECT = {
    "checks": "checking rows must look at every row",
    "features": "its frames are computed when the caller collects them",
}

ONLY_HOME = {
    "mlflow": "tracking",
    "fastapi": "service",
    "pyspark": "spark",
    "optuna": "tuning",
    **dict.fromkeys(("deltalake", "adbc_driver_postgresql", "adbc_driver_manager"), "sources"),
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
    rf"open|(read|write)_(text|bytes)|mkdir|unlink|rmtree|(scan|read)_({FILE_FORMAT})\w*|(write|sink)_[a-z]\w*"
)
# Polars takes names for patterns and addresses, and passes over rows that it cannot read.
PATTERN_TAKERS = re.compile(
    rf"polars\.((scan|read)_({FILE_FORMAT})(_schema|_metadata|_batched)?)|pyarrow\.(dataset|csv)\.\w+"
)
READERS = ("parquet.py", "sources/csv_file.py", "sources/omop/files.py", "sources/delta.py")
PACKAGED_READ = ("read_text", "read_bytes", "open")
CLOCK = re.compile(r"datetime\.(datetime|date)\.(now|utcnow|today)|time\.\w+")
LOG_TOOLS = ("logging", "loguru", "structlog")
LOG_STREAM = re.compile(r"sys\.(stdout|stderr)")
COLLECTORS = ("collect", "collect_all", "collect_async", "collect_batches")
COLUMN_TAKERS = (
    *("col", "select", "exclude", "drop", "sort", "unique"),
    *("group_by", "partition_by", "over", "join", "join_asof"),
)
COLUMNS = {name for table in schema.SCHEMAS.values() for name in table.columns()} | {schema.INDEX_TIME}

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

    def is_on(self, floors: range) -> bool:
        return FLOORS.get(self.room) in floors


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


def imported_rooms(module: Module) -> Iterator[Finding]:
    for line, name in all_imports(module):
        house, _, inside = name.partition(".")
        if house == "somv_risk":
            yield line, inside.split(".")[0]


def find_upward_imports(module: Module) -> Iterator[Finding]:
    floor = FLOORS.get(module.room)
    if floor is None:
        return
    for line, room in imported_rooms(module):
        if room not in FLOORS and room not in GARDEN:
            yield line, f"imports {room or 'somv_risk'!r}, which is no room: import from the room itself"
        elif FLOORS.get(room, floor) > floor:
            yield line, f"imports {room} (floor {FLOORS[room]}) from floor {floor}: imports go down only"


def find_garden_visits(module: Module) -> Iterator[Finding]:
    if module.room in GARDEN or module.room in GARDEN_VISITORS:
        return
    for line, room in imported_rooms(module):
        if room in GARDEN:
            yield line, f"imports {room}: the house never uses the garden"


def find_file_access(module: Module) -> Iterator[Finding]:
    if not module.is_on(PURE) or module.room in MAY_TOUCH_FILES:
        return
    for call in module.calls:
        if FILE_CALL.fullmatch(called_name(call)) and not reads_packaged_data(module, call):
            yield call.lineno, f"calls {called_name(call)}(): floors 0 to 3 touch no files"


def reads_packaged_data(module: Module, call: ast.Call) -> bool:
    """Whether the call reads what the library brings along; with a path at hand it might read anything."""
    origins = module.aliases.values()
    has_resources = any(origin.startswith("importlib.resources") for origin in origins)
    has_paths = any(origin.split(".")[0] in ("pathlib", "os", "io") for origin in origins)
    is_method = isinstance(call.func, ast.Attribute) and call.func.attr in PACKAGED_READ
    return module.room in MAY_READ_PACKAGED_DATA and is_method and has_resources and not has_paths


def find_clocks(module: Module) -> Iterator[Finding]:
    for node in module.nodes if module.is_on(PURE) else ():
        if CLOCK.fullmatch(name := full_name(node, module.aliases)):
            yield node.lineno, f"uses {name}: floors 0 to 3 read no clock, moments are arguments"


def find_logging(module: Module) -> Iterator[Finding]:
    if not module.is_on(PURE):
        return
    for line, name in all_imports(module):
        if name.split(".")[0] in LOG_TOOLS:
            yield line, f"imports {name}: floors 0 to 3 log nothing"
    for node in module.nodes:
        if isinstance(node, ast.Name) and node.id == "print":
            yield node.lineno, "prints: floors 0 to 3 log nothing"
        elif LOG_STREAM.fullmatch(name := full_name(node, module.aliases)):
            yield node.lineno, f"uses {name}: floors 0 to 3 log nothing"


def find_collecting(module: Module) -> Iterator[Finding]:
    for node in module.nodes if module.is_on(LAZY) else ():
        match node:
            case ast.Attribute(attr=name) if name in COLLECTORS:
                yield node.lineno, f"uses {name}: floors 0 and 1 are lazy"
            case ast.Name() if full_name(node, module.aliases) in {f"polars.{name}" for name in COLLECTORS}:
                yield node.lineno, f"uses {node.id}: floors 0 and 1 are lazy"


def find_unexcused_collecting(module: Module) -> Iterator[Finding]:
    return iter(()) if module.room in MAY_COLLECT else find_collecting(module)


def find_tools_away_from_home(module: Module) -> Iterator[Finding]:
    for line, name in all_imports(module):
        home = ONLY_HOME.get(name.split(".")[0], module.room)
        if module.room != home:
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


def find_missing_floor(module: Module) -> Iterator[Finding]:
    if module.room not in {FRONT_DOOR, *FLOORS, *GARDEN}:
        yield 1, f"room {module.room} is on no floor: give it one in FLOORS"


def find_missing_docstring(module: Module) -> Iterator[Finding]:
    if not ast.get_docstring(module.tree):
        yield 1, "has no docstring: its first line says what the file is about"


def find_spelt_columns(module: Module) -> Iterator[Finding]:
    for node in module.nodes if module.is_on(range(1, 4)) else ():
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
    assert {"errors", "windows", "schema", "codes", FRONT_DOOR} <= {module.room for module in MODULES}


def test_every_module_is_on_a_floor():
    check_house(find_missing_floor)


def test_every_module_has_a_docstring():
    check_house(find_missing_docstring)


def test_imports_go_down_the_stairs_only():
    check_house(find_upward_imports)


def test_the_house_never_uses_the_garden():
    check_house(find_garden_visits)


def test_floors_0_to_3_touch_no_files():
    check_house(find_file_access)


def test_files_are_read_by_their_own_names():
    check_house(find_names_taken_for_patterns)


def test_floors_0_to_3_read_no_clock():
    check_house(find_clocks)


def test_floors_0_to_3_log_nothing():
    check_house(find_logging)


def test_floors_0_and_1_are_lazy():
    check_house(find_unexcused_collecting)


@pytest.mark.parametrize("room", MAY_COLLECT)
def test_a_room_that_is_excused_from_being_lazy_needs_the_excuse(room):
    found = [module for module in MODULES if module.room == room]
    assert not found or any(list(find_collecting(module)) for module in found)


def test_each_outside_tool_is_used_in_its_own_room_only():
    check_house(find_tools_away_from_home)


def test_heavy_packages_are_not_imported_at_module_level():
    check_house(find_heavy_imports)


def test_columns_are_named_by_constants_of_the_schema():
    check_house(find_spelt_columns)


def test_importing_the_library_loads_nothing_heavy():
    probe = f"import sys, somv_risk; print(*({set(NOT_LOADED_BY_THE_LIBRARY)!r} & sys.modules.keys()))"
    command = [sys.executable, "-c", probe]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  a fixed text
    assert answer.stdout.split() == []


FAULTS = [
    (find_missing_floor, "attic.py", "'''Attic.'''"),
    (find_missing_floor, "attic/_box.py", "'''Box.'''"),
    (find_missing_docstring, "stays.py", "X = 1"),
    (find_upward_imports, "stays.py", "from somv_risk.scoring.score import score"),
    (find_upward_imports, "stays.py", "from somv_risk import model"),
    (find_upward_imports, "stays.py", "import somv_risk.model.model as m"),
    (find_upward_imports, "stays.py", "from . import model"),
    (find_upward_imports, "features/_engine.py", "from ..model import RiskModel"),
    (find_upward_imports, "features/__init__.py", "from ..model import RiskModel"),
    (find_upward_imports, "stays.py", "def f():\n    from somv_risk.scoring.score import score"),
    (find_upward_imports, "stays.py", "import importlib\nimportlib.import_module('somv_risk.model.model')"),
    (find_upward_imports, "errors.py", "from somv_risk.cohort.stays import build_stays"),
    (find_upward_imports, "scoring.py", "import somv_risk as sr"),
    (find_upward_imports, "scoring.py", "from somv_risk import train"),
    (find_garden_visits, "scoring.py", "from somv_risk.testing.people import thomas"),
    (find_garden_visits, "report/_page.py", "from somv_risk import simulate"),
    (find_file_access, "stays.py", "text = open('x').read()"),
    (find_file_access, "scoring.py", "import polars as pl\nframe = pl.scan_parquet('x')"),
    (find_file_access, "scoring.py", "import polars as pl\nframe = pl.read_csv_batched('x')"),
    (find_file_access, "scoring.py", "frame.sink_parquet('x')"),
    (find_file_access, "evaluation/_page.py", "path.write_text(page)"),
    (find_file_access, "codes/_groups.py", "from pathlib import Path\nPath('x').read_text()"),
    (
        find_file_access,
        "codes/_groups.py",
        "from importlib import resources\nfrom pathlib import Path\nPath('x').read_text()",
    ),
    (find_file_access, "codes/_groups.py", "from importlib import resources\nopen('x')"),
    (
        find_file_access,
        "codes/_groups.py",
        "from importlib import resources\nresources.files().write_text('')",
    ),
    (find_file_access, "stays.py", "from importlib import resources\nresources.files('x').read_text()"),
    (find_names_taken_for_patterns, "store/_x.py", "import polars as pl\npl.scan_parquet('x')"),
    (find_names_taken_for_patterns, "batch/_x.py", "import polars as pl\npl.read_csv('x')"),
    (find_clocks, "stays.py", "from datetime import datetime\nnow = datetime.now()"),
    (find_clocks, "stays.py", "from datetime import datetime as moment\nnow = moment.now()"),
    (find_clocks, "model.py", "import datetime as dt\ntoday = dt.date.today()"),
    (find_clocks, "model.py", "from datetime import datetime\nmade = field(default_factory=datetime.now)"),
    (find_clocks, "scoring.py", "import time\nstart = time.time()"),
    (find_clocks, "scoring.py", "from time import perf_counter\nstart = perf_counter()"),
    (find_logging, "stays.py", "print('x')"),
    (find_logging, "scoring.py", "import logging"),
    (find_logging, "scoring.py", "from logging import getLogger"),
    (find_logging, "scoring.py", "import sys\nsys.stderr.write('x')"),
    (find_unexcused_collecting, "stays.py", "frame.collect()"),
    (find_unexcused_collecting, "stays.py", "frames = map(pl.LazyFrame.collect, frames)"),
    (find_unexcused_collecting, "outcomes.py", "import polars as pl\npl.collect_all([a, b])"),
    (find_unexcused_collecting, "cohort.py", "from polars import collect_all\ncollect_all([a, b])"),
    (find_tools_away_from_home, "training.py", "def f():\n    import mlflow"),
    (find_tools_away_from_home, "config.py", "from optuna.distributions import IntDistribution"),
    (find_tools_away_from_home, "cli.py", "from fastapi import FastAPI"),
    (find_tools_away_from_home, "batch.py", "from pyspark.sql import SparkSession"),
    (find_heavy_imports, "contributions.py", "import shap"),
    (find_heavy_imports, "report/_plot.py", "import matplotlib.pyplot as plt"),
    (find_heavy_imports, "tracking.py", "try:\n    import mlflow\nexcept ImportError:\n    mlflow = None"),
    (find_heavy_imports, "sources/_frames.py", "class A:\n    import pandas"),
    (find_heavy_imports, "sources/_frames.py", "if TYPE_CHECKING:\n    import x\nelse:\n    import pandas"),
    (find_spelt_columns, "stays.py", "import polars as pl\npl.col('person_id')"),
    (find_spelt_columns, "stays.py", "from polars import col\ncol(['x', 'started_at'])"),
    (find_spelt_columns, "stays.py", "import polars as pl\npl.col.started_at"),
    (find_spelt_columns, "model.py", "frame.sort('risk', 'index_time')"),
    (find_spelt_columns, "scoring.py", "a.join(b, on=['person_id'])"),
    (find_spelt_columns, "stays.py", "x.sum().over('x', order_by='ended_at')"),
]

LAWFUL = [
    (find_missing_floor, "stays.py", ""),
    (find_missing_floor, "simulate/_people.py", ""),
    (find_missing_floor, "__init__.py", ""),
    (find_missing_docstring, "stays.py", "'''Stays.'''"),
    (
        find_upward_imports,
        "stays.py",
        "from somv_risk import schema as s\nfrom somv_risk.registers.histories import X",
    ),
    (find_upward_imports, "features/_engine.py", "from somv_risk.features._spec import Feature"),
    (find_upward_imports, "features/_engine.py", "from ._spec import Feature\nfrom . import _spec"),
    (find_upward_imports, "scoring.py", "import polars as pl\nfrom somv_risk.model.model import RiskModel"),
    (find_upward_imports, "testing/_leak.py", "from somv_risk import score"),
    (find_upward_imports, "__init__.py", "from somv_risk.cli import main"),
    (find_garden_visits, "demo.py", "from somv_risk.simulate import simulate"),
    (find_garden_visits, "testing/people.py", "from somv_risk.simulate import simulate"),
    (find_file_access, "codes/_x.py", "from importlib import resources\nresources.files('x').read_text()"),
    (find_file_access, "model_files.py", "path.write_text(text)"),
    (find_file_access, "store.py", "import polars as pl\npl.scan_parquet('x')"),
    (find_file_access, "features/_catalogue.py", "definition = read_definition(row)"),
    (find_clocks, "stays.py", "from datetime import datetime\nstart = datetime(2026, 1, 1)"),
    (find_clocks, "stays.py", "from datetime import datetime\nlength = time.total_seconds()"),
    (find_clocks, "batch.py", "import time\ntime.time()"),
    (find_logging, "cli.py", "print('x')"),
    (find_unexcused_collecting, "stays.py", "frame.collect_schema()"),
    (find_unexcused_collecting, "checks.py", "frame.collect()"),
    (find_unexcused_collecting, "model.py", "frame.collect()"),
    (find_tools_away_from_home, "tracking.py", "def f():\n    import mlflow"),
    (find_heavy_imports, "tracking.py", "def f():\n    import mlflow"),
    (find_heavy_imports, "sources/_frames.py", "if TYPE_CHECKING:\n    import pandas as pd"),
    (find_spelt_columns, "stays.py", "import polars as pl\npl.col(s.PERSON_ID, 'risk')"),
    (find_spelt_columns, "stays.py", "', '.join(['person_id', 'sex'])"),
    (find_spelt_columns, "sources/_omop.py", "import polars as pl\npl.col('person_id')"),
]


@pytest.mark.parametrize(("law", "path", "text"), FAULTS)
def test_a_planted_fault_is_caught(law, path, text):
    assert list(law(Module(path, text)))


@pytest.mark.parametrize(("law", "path", "text"), LAWFUL)
def test_a_lawful_text_passes(law, path, text):
    assert not list(law(Module(path, text)))


def test_a_finding_names_its_line():
    text = "'''Stays.'''\n\nfrom somv_risk.model.model import RiskModel\n"
    assert [line for line, _ in find_upward_imports(Module("stays.py", text))] == [3]
