"""Repeatable: the same bits on any number of threads, and in whatever order rows lie."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import somv_risk as sr
from somv_risk.calls.repeatable import same_on_any_threads
from somv_risk.evaluation import evaluate as assessment

ADD_UP = """
import numpy as np
from somv_risk.calls.repeatable import same_on_any_threads
values = np.random.default_rng(1).random((4, 1_000_003))
with same_on_any_threads():
    print((values @ values.T).tobytes().hex(), (values[0] @ values[1]).hex())
"""


def count_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def add_up(threads):
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", ADD_UP],
        env=os.environ | dict.fromkeys(names, str(threads)),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_sums_have_the_same_bits_on_one_thread_and_on_four():
    assert len(add_up(1)) > 100
    assert add_up(1) == add_up(4)


def test_one_thread_adds_up_while_a_model_is_evaluated_and_no_longer(model, region, monkeypatch):
    before, seen = count_threads(), []
    told = assessment.read_index_times

    def look(*arguments):
        seen.append(count_threads())
        return told(*arguments)

    monkeypatch.setattr(assessment, "read_index_times", look)
    sr.evaluate(model, region, index_times=[region.data_end.replace(year=region.data_end.year - 1)], draws=5)
    assert seen == [{1}]
    assert count_threads() == before


def test_the_decorator_keeps_what_a_call_returns():
    assert same_on_any_threads()(np.sum)([1, 2]) == 3


@pytest.mark.parametrize("seed", [1, 2])
def test_explanations_measure_the_same_in_whatever_order_rows_lie(model, region, seed):
    tables = {name: table.collect() for name, table in region.tables.items()}
    turned = {n: t.sample(fraction=1, shuffle=True, seed=seed).lazy() for n, t in tables.items()}
    asked = {"index_time": region.data_end, "persons": 40}
    first, second = (
        sr.measure_explanations(model, one, **asked) for one in (region, replace(region, tables=turned))
    )
    assert first.height == second.height > 5
    assert first.equals(second)
