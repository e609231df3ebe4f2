"""The laws of the tests, read from their source text: none passes on nothing, few use private names."""

import ast
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared import make_once

HERE = Path(__file__).parent
EXPECTATIONS = ("pytest.raises", "pytest.warns")
EXPECTING_CALLS = ("assert_", "check_")
KEEP_LENGTH = ("enumerate", "sorted", "reversed", "list", "tuple", "items", "keys", "values")

# How often tests name what is private. Whoever names less lowers the number; nobody raises it.
PRIVATE_NAMES = 65

Bindings = dict[str, ast.expr]


# --- No test passes on nothing


def find_tests(tree: ast.Module) -> list[ast.FunctionDef]:
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return [function for function in functions if function.name.startswith("test_")]


def find_bindings(block: list[ast.stmt]) -> Bindings:
    """What the names assigned in a block stand for."""
    return {
        target.id: statement.value
        for statement in block
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def is_written_out(value: ast.expr, bindings: Bindings) -> bool:
    """Whether anybody sees in this file that the value is not empty."""
    match value:
        case ast.Name(id=name) if name in bindings:
            others = {other: bound for other, bound in bindings.items() if other != name}
            return is_written_out(bindings[name], others)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts) | ast.Dict(keys=parts):
            starred = [part.value for part in parts if isinstance(part, ast.Starred)]
            others = [part for part in parts if part is not None and not isinstance(part, ast.Starred)]
            return bool(others) or any(is_written_out(part, bindings) for part in starred)
        case ast.Call(func=ast.Name(id="range"), args=bounds):
            numbers = [bindings.get(one.id) if isinstance(one, ast.Name) else one for one in bounds]
            known = [one.value for one in numbers if isinstance(one, ast.Constant)]
            return len(known) == len(numbers) and len(range(*known)) > 0
        case ast.Call(func=ast.Name(id="zip"), args=parts):
            return all(is_written_out(part, bindings) for part in parts)
        case (
            ast.Call(func=ast.Name(id=name), args=[inside, *_])
            | ast.Call(func=ast.Attribute(value=inside, attr=name), args=[])
        ):
            return name in KEEP_LENGTH and is_written_out(inside, bindings)
    return False


def is_expectation(node: ast.AST) -> bool:
    """Whether a statement asserts, expects an error, or calls a function that does."""
    match node:
        case ast.Assert():
            return True
        case ast.With(items=items):
            calls = [item.context_expr for item in items if isinstance(item.context_expr, ast.Call)]
            return any(ast.unparse(call.func) in EXPECTATIONS for call in calls)
        case ast.Expr(value=ast.Call(func=called)):
            return ast.unparse(called).rpartition(".")[2].startswith(EXPECTING_CALLS)
    return False


def surely_expects(block: list[ast.stmt], bindings: Bindings) -> bool:
    """Whether a block expects something however it runs."""
    return any(surely_expects_one(statement, bindings) for statement in block)


def surely_expects_one(statement: ast.stmt, bindings: Bindings) -> bool:
    match statement:
        case _ if is_expectation(statement):
            return True
        case ast.For(iter=values, body=body):
            return is_written_out(values, bindings) and surely_expects(body, bindings)
        case ast.If(body=body, orelse=other):
            return surely_expects(body, bindings) and surely_expects(other, bindings)
        case ast.With(body=body) | ast.Try(body=body):
            return surely_expects(body, bindings)
    return False


def find_tests_that_may_check_nothing(text: str) -> list[str]:
    """Names of the tests that expect something, but only in loops or conditions that may not run."""
    tree = ast.parse(text)
    shared = find_bindings(tree.body)
    return [
        test.name
        for test in find_tests(tree)
        if any(map(is_expectation, ast.walk(test)))
        and not surely_expects(test.body, shared | find_bindings(test.body))
    ]


def test_no_test_passes_on_nothing():
    """A test is guarded if it expects something outside of loops and conditions, or in what surely runs.

    A loop surely runs if what it goes through is written out in the file; a condition, if both its sides
    expect something. Otherwise assert first that what the loop goes through is not empty.
    """
    found = {path.name: find_tests_that_may_check_nothing(path.read_text("utf-8")) for path in TEST_FILES}
    assert len(found) > 80
    assert {name: tests for name, tests in found.items() if tests} == {}


TEST_FILES = sorted(HERE.glob("test_*.py"))

UNGUARDED = [
    "for x in read():\n    assert x",
    "for x in THINGS:\n    assert x",
    "for x in []:\n    assert x",
    "for x in (*read(),):\n    assert x",
    "for x in range(0):\n    assert x",
    "for x in range(3, 3):\n    assert x",
    "for x in range(size):\n    assert x",
    "for x, y in zip((1, 2), read()):\n    assert x",
    "for x in (1, 2):\n    for y in read(x):\n        assert y",
    "for x in {}.items():\n    assert x",
    "while ready():\n    assert x",
    "if ready():\n    assert x",
    "if ready():\n    assert x\nelse:\n    y = x",
    "with opened() as file:\n    for line in file:\n        assert line",
    "for x in read():\n    with pytest.raises(ValueError):\n        x()",
    "for x in read():\n    assert_frame_equal(x, x)",
    "def inside():\n    assert x\nfor y in read():\n    assert y",
    "x = x\nfor y in x:\n    assert y",
]
GUARDED = [
    "y = read()\nassert y\nfor x in y:\n    assert x",
    "for x in ('a', 'b'):\n    assert x",
    "for x in ('a', *read()):\n    assert x",
    "for x in (*('a', 'b'), *read()):\n    assert x",
    "for x in range(1):\n    assert x",
    "for x in range(1, 60):\n    assert x",
    "for x in range(SIZE):\n    assert x",
    "for x in PAIRS:\n    assert x",
    "things = {'a': 1}\nfor x, y in things.items():\n    assert x",
    "for x, y in enumerate(zip((1, 2), [3, 4])):\n    assert x",
    "if ready():\n    assert x\nelse:\n    assert y",
    "with pytest.raises(ValueError):\n    read()",
    "with opened() as file:\n    assert file",
    "try:\n    assert x\nfinally:\n    close()",
    "np.testing.assert_array_equal(x, y)",
    "check_house(x)",
    "read()",
]


def plant(body: str) -> str:
    """A test file with one test of this body."""
    inside = body.replace("\n", "\n    ")
    return f"SIZE = 3\nPAIRS = [(1, 2)]\n\n\ndef test_planted():\n    {inside}\n"


@pytest.mark.parametrize("body", UNGUARDED)
def test_a_planted_test_that_may_check_nothing_is_found(body):
    assert find_tests_that_may_check_nothing(plant(body)) == ["test_planted"]


@pytest.mark.parametrize("body", GUARDED)
def test_a_planted_test_that_checks_something_passes(body):
    assert find_tests_that_may_check_nothing(plant(body)) == []


# --- Few tests use private names


def is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def list_library_imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What is imported from the library: the name here, and the whole name there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "somv_risk":
            yield from ((one.asname or one.name, f"{node.module}.{one.name}") for one in node.names)
        elif isinstance(node, ast.Import):
            own = (one for one in node.names if one.name.split(".")[0] == "somv_risk")
            yield from ((one.asname or "somv_risk", one.name) for one in own)


def find_private_names(text: str) -> list[str]:
    """What is private in the library and named here: each import, and each attribute of what is imported."""
    tree = ast.parse(text)
    imports = list(list_library_imports(tree))
    imported = {name for name, _ in imports}
    attributes = (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return [
        *(whole for _, whole in imports if is_private(whole)),
        *(
            name
            for name in attributes
            if name.split(".")[0] in imported and is_private(name.rpartition(".")[2])
        ),
    ]


def test_no_more_private_names_are_used_than_before():
    """Test through the public door; a package exports in its `__init__` what is an interface of its own."""
    found = [name for path in HERE.glob("*.py") for name in find_private_names(path.read_text("utf-8"))]
    assert len(found) <= PRIVATE_NAMES


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from somv_risk.features._views import A, B", 2),
        ("from somv_risk.features import _views", 1),
        ("def f():\n    from somv_risk.features import _views as views", 1),
        ("import somv_risk.features._views as views\nviews.build()", 1),
        ("from somv_risk.features import _views\n_views._build()", 2),
        ("import somv_risk as sr\nsr.features._views.build()", 1),
        ("import somv_risk.batch.spark\nsomv_risk.batch.spark._start()", 1),
        ("from somv_risk.features import VIEWS, __doc__", 0),
        ("import os\nos._exit(1)", 0),
        ("from other._views import A", 0),
        ("class A:\n    def f(self):\n        self._x = 1", 0),
    ],
)
def test_planted_private_names_are_counted(text, found):
    assert len(find_private_names(text)) == found


# --- What is slow to make is made once


def test_what_several_workers_ask_for_is_made_once_and_whole(tmp_path):
    def make(folder):
        folder.mkdir()
        time.sleep(0.05)
        (folder / "whole").touch()

    with ThreadPoolExecutor(4) as workers:
        asked = [workers.submit(make_once, tmp_path, "model", make) for _ in range(4)]
    assert {one.result() for one in asked} == {tmp_path / "model"}
    assert (tmp_path / "model" / "whole").exists()


def test_what_could_not_be_made_is_made_by_the_next_who_asks(tmp_path):
    with pytest.raises(FileNotFoundError):
        make_once(tmp_path, "model", lambda folder: (folder / "none" / "file").touch())
    make_once(tmp_path, "model", Path.mkdir)
    assert (tmp_path / "model").is_dir()
