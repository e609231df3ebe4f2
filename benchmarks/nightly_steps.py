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
from somv_risk.model.matrix import build_matrix
from somv_risk.model.model import load_model
from somv_risk.registers.histories import Histories
from somv_risk.scoring.score import find_eligible
from somv_risk.simulate import simulate_store
from somv_risk.store import scan_store, write_store

Report = dict[str, Any]

DAY = timedelta(days=1)
NOT_COMPARED = ("run.log", ".lock")
HOSPITAL = ("persons", "admissions", "diagnoses", "psychiatric_contacts", "substance_abuse")


def make_region(folder: Path, persons: int, registers: str) -> Report:
    """Make up a region with some of its registers and train a model on them, unless they are there."""
    own, whole = folder / registers, folder / "all" / "store"
    own.mkdir(parents=True, exist_ok=True)
    if not whole.exists():
        simulate_store(whole, persons, 7)
    if not (own / "store").exists():
        region = scan_store(whole)
        kept = {name: table for name, table in region.tables.items() if name in HOSPITAL}
        write_store(Histories(kept, region.data_end), own / "store")
    if not (own / "model").exists():
        sr.train(scan_store(own / "store")).save(own / "model")
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
    passes = {step: [line for line in lines if line["event"] == step] for step in ("risk", "reasons")}
    return {
        **cost,
        "persons": result.counts.scored,
        "flagged": result.counts.flagged,
        **{f"{step}_kept": sum(line["kept"] or 0 for line in own) for step, own in passes.items()},
        # The first bucket of a run also pays for loading the model and the compiled loops.
        **{f"{step}_seconds": sum(line["seconds"] for line in own[1:]) for step, own in passes.items()},
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
    rest = cohorts[0].join(resting, on="person_id", how="semi").height
    return {
        "persons": cohorts[0].height,
        "shares": {
            "at rest": rest / cohorts[0].height,
            **{name: float(held.mean()) for name, held in same.items()},
        },
        "scoring": scoring,
        "looking": looking,
    }
