"""Importing starts nothing, and a fork that comes too late is warned of."""

import subprocess
import sys
from textwrap import dedent

import pytest

READ_THREADS = """
import os, pathlib
def list_threads():
    return sorted((path / "comm").read_text() for path in pathlib.Path("/proc/self/task").iterdir())
"""
QUERY = "import polars; polars.LazyFrame({'a': [2, 1]}).sort('a').collect()\n"
FORK = """
import os
child = os.fork()
if not child:
    os._exit(0)
os.waitpid(child, 0)
"""
START = "import multiprocessing as m; p = m.get_context('{}').Process(target=print); p.start(); p.join()"
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="threads are read from /proc")


def run(code: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "always", "-c", dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603  a fixed text


@needs_linux
def test_importing_the_library_starts_no_thread_of_its_own():
    probe = "import numpy, polars\nbefore = list_threads()\nimport somv_risk\nprint(list_threads() == before)"
    assert run(READ_THREADS + probe).stdout.split() == ["True"]


@needs_linux
def test_importing_any_module_runs_no_query():
    probe = """
        import importlib, pkgutil, somv_risk
        from somv_risk.calls.forks import has_threads
        for module in pkgutil.walk_packages(somv_risk.__path__, "somv_risk."):
            importlib.import_module(module.name)
            assert not has_threads(), module.name
        import polars
        polars.LazyFrame({"a": [2, 1]}).sort("a").collect()
        print(has_threads())
    """
    assert run(probe).stdout.split() == ["True"]


def test_a_child_forked_after_the_import_can_query():
    code = """
        import multiprocessing, somv_risk as sr
        child = multiprocessing.get_context("fork").Process(target=lambda: sr.simulate(50).persons.collect())
        child.start()
        child.join(60)
        print(child.exitcode)
        child.kill()
    """
    done = run(code)
    assert done.stdout.split() == ["0"]
    assert "ForkWarning" not in done.stderr


@needs_linux
def test_a_fork_after_the_first_query_is_warned_of():
    warned = run("import somv_risk\n" + QUERY + FORK).stderr
    assert "ForkWarning" in warned
    assert "'spawn' or 'forkserver'" in warned


def test_a_fork_before_the_first_query_is_not_warned_of():
    assert run("import somv_risk\n" + FORK).stderr == ""


@pytest.mark.parametrize(
    "start",
    [
        "import subprocess; subprocess.run(['true'], check=True)",
        "import subprocess; subprocess.run(['true'], check=True, preexec_fn=lambda: None)",
        START.format("spawn"),
        START.format("forkserver"),
    ],
)
def test_a_program_that_is_started_is_no_fork(start):
    assert "ForkWarning" not in run("import somv_risk\n" + QUERY + start).stderr
