"""The steps of a night: a region and a model, runs of the batch, and what is the same as a day before."""

import hashlib
import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

import somv_risk as sr
from benchmarks.measuring import measure
from somv_risk.batch import Options, find_resting, run_batch, score_bucket
from somv_risk.histories import Histories
from somv_risk.matrix import build_matrix
from somv_risk.model import load_model
from somv_risk.scoring import find_eligible
from somv_risk.store import scan_store, write_store

Report = dict[str, Any]

DAY = timedelta(days=1)
NOT_COMPARED = ("run.log", ".lock")


def make_region(folder: Path, persons: int, tables: list[str] | None) -> Report:
    """Make up a region of all tables or some, and train a model, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "store").exists():
        region = sr.simulate(persons=persons, seed=7)
        kept = {name: table for name, table in region.tables.items() if tables is None or name in tables}
        write_store(Histories(kept, region.data_end), folder / "store")
    if not (folder / "model").exists():
        sr.train(scan_store(folder / "store")).save(folder / "model")
    return {}


def run_night(
    folder: Path,
    model: str,
    store: str,
    index_time: str,
    since: str | None = None,
    workers: int = 1,
    explain: str = "flagged",
) -> Report:
    """Score a whole store into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    options = Options(explain=explain)
    result, cost = measure(
        lambda: run_batch(
            model, store, folder, index_time=index_time, options=options, since=since, workers=workers
        )
    )
    lines = [json.loads(line) for line in (folder / "run.log").read_text().splitlines()]
    return {
        **cost,
        "persons": result.counts.scored,
        "flagged": result.counts.flagged,
        # The first bucket also pays for loading the model and the compiled loops.
        "risk_seconds": sum(line["seconds"] for line in lines if line["event"] == "risk" and line["bucket"]),
        "kept": sum(line.get("kept") or 0 for line in lines),
        "workers_peak_mb": max(line.get("peak_mb", 0) for line in lines),
        "hash": hash_folder(folder),
    }


def hash_folder(folder: Path) -> str:
    """Compute a hash of all that a run leaves, but the log."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in NOT_COMPARED:
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def check_rows(folder: Path, model: str, store: str, index_time: str) -> Report:
    """Check that the run left the rows of `score`."""
    expected, cost = measure(lambda: sr.score(model, sr.read_histories(store), index_time=index_time))
    assert_frame_equal(pl.read_parquet(folder / "scores.parquet"), expected, check_exact=True)
    return cost


def count_unchanged(folder: Path, store: str, index_time: str) -> Report:
    """Count, in the first bucket, whose features, leaves and risks are the same as a day before.

    `folder` is that of the model. Also measures what it costs to look who rests, and to score everybody.
    """
    model, histories, moment = load_model(folder), scan_store(store, 0), datetime.fromisoformat(index_time)
    score_bucket(model, histories, moment)  # compiles, and loads what is loaded once
    find_resting(model, histories, moment)
    _, scoring = measure(lambda: score_bucket(model, histories, moment))
    resting, looking = measure(lambda: find_resting(model, histories, moment))
    cohorts = [find_eligible(model, histories, at).rows.collect() for at in (moment, moment - DAY)]
    both = cohorts[0].join(cohorts[1], on="person_id", how="semi")["person_id"].implode()
    rows = [cohort.filter(cohort["person_id"].is_in(both)) for cohort in cohorts]
    now, then = (build_matrix(histories, of_day, model.encoding, lags=model.lags).matrix for of_day in rows)
    same = {"same features": ((now == then) | (np.isnan(now) & np.isnan(then))).all(axis=1)}
    leaves = [
        (head.booster.predict(now, pred_leaf=True) == head.booster.predict(then, pred_leaf=True)).all(axis=1)
        for head in model.heads.values()
    ]
    same["same leaves of all trees"] = np.logical_and.reduce(leaves)
    silent = {name: table for name, table in histories.tables.items() if name != "social_benefits"}
    others = find_resting(model, Histories(silent, histories.data_end), moment)
    rest, would_rest = (
        cohorts[0].join(found, on="person_id", how="semi").height for found in (resting, others)
    )
    return {
        "persons": cohorts[0].height,
        "shares": {
            "at rest": rest / cohorts[0].height,
            "at rest, if benefits were not registered": would_rest / cohorts[0].height,
            **{name: float(held.mean()) for name, held in same.items()},
        },
        "scoring": scoring,
        "looking": looking,
    }
