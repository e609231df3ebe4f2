"""Tasks: what a worker does with one bucket of a store, from paths to a part of the result."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

import polars as pl

from somv_risk.batch._bucket import explain_bucket, keep_reasons, keep_unchanged, score_bucket
from somv_risk.batch._earlier import Earlier
from somv_risk.batch._files import hash_files, read_origin, write_part
from somv_risk.batch._memory import give_back_memory, read_peak_mb
from somv_risk.batch._rest import BACKGROUND
from somv_risk.errors import InputError, MisplacedPersonError, OtherRunError, SourceError
from somv_risk.files import parquet
from somv_risk.files.parquet import count_rows, read_parquet, scan_parquet
from somv_risk.model.model import RiskModel, load_model
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.options import Options
from somv_risk.scoring.score import RANK, REASONS
from somv_risk.store import find_bucket, list_bucket_files, scan_store

RISKS_FOLDER: Final = "risks"
SCORES_FOLDER: Final = "scores"
WORK_FOLDER: Final = ".work"
DAMAGE: Final = (InputError, *parquet.DAMAGE)


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is about: plain values and paths, so that any process can take part in it.

    `model_hash` tells the model from another that was in the same place before. `earlier` is an earlier
    run of which some may be taken over, if there is one.
    """

    model: Path
    model_hash: str
    store: Path
    buckets: int
    index_time: datetime
    options: Options
    out: Path
    earlier: Earlier | None = None

    @property
    def ranks(self) -> Path:
        """Where the ranks of each bucket's persons wait for whoever explains them."""
        return self.out / WORK_FOLDER / "ranks"


@dataclass(frozen=True, slots=True)
class Done:
    """A part that stands: its rows, how long it took (none if it stood already), and the most memory held.

    `kept` rows were taken from an earlier run.
    """

    bucket: int
    rows: int
    seconds: float | None
    peak_mb: int
    kept: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A bucket that could not be read, and why."""

    bucket: int
    reason: str


def name_part(folder: Path, bucket: int) -> Path:
    """Name the file of a bucket's part."""
    return folder / f"bucket-{bucket:02d}.parquet"


def score_part(job: Job, bucket: int) -> Done | Failed:
    """Score one bucket of the store and write its risks, unless they stand already.

    Raises
    ------
    MisplacedPersonError
        If a person stands twice in it, or in another's place.
    OtherRunError
        If the bucket has changed since its risks were written.
    SourceError
        If the part cannot be written.
    """
    begun, part = time.perf_counter(), name_part(job.out / RISKS_FOLDER, bucket)
    made_from = hash_files(list_bucket_files(job.store, bucket))
    stands = read_origin(part)
    if stands == made_from:
        return Done(bucket, _count_rows(part), None, read_peak_mb())
    if stands is not None:
        raise OtherRunError(
            f"Bucket {bucket} of store {job.store} has changed since this run began. Start over with --fresh."
        )
    try:
        _check_homes(job, bucket)
        histories = scan_store(job.store, bucket)
        model = _load_once(job.model, job.model_hash)
        kept = _keep_earlier(job, bucket, model, histories)
        risks = score_bucket(model, histories, job.index_time, kept)
    except MisplacedPersonError:
        raise
    except DAMAGE as error:
        return Failed(bucket, tell_damage(job, bucket, error))
    write_part(part, risks, made_from)
    give_back_memory()
    seconds = time.perf_counter() - begun
    return Done(bucket, risks.height, seconds, read_peak_mb(), None if kept is None else kept.height)


def explain_part(job: Job, bucket: int, made_from: str) -> Done | Failed:
    """Flag and explain one bucket, and write its scores, unless they stand already.

    `made_from` says what all ranks were made of, which lie in `job.ranks`.

    Raises
    ------
    SourceError
        If the part cannot be written.
    """
    begun, part = time.perf_counter(), name_part(job.out / SCORES_FOLDER, bucket)
    if read_origin(part) == made_from:
        return Done(bucket, _count_rows(part), None, read_peak_mb())
    try:
        risks = read_parquet(name_part(job.out / RISKS_FOLDER, bucket))
        ranked = risks.with_columns(read_parquet(name_part(job.ranks, bucket))[RANK])
        kept = _keep_reasons(job, bucket, risks)
        model = _load_once(job.model, job.model_hash)
        scores = explain_bucket(model, scan_store(job.store, bucket), ranked, job.options, kept)
    except DAMAGE as error:
        return Failed(bucket, tell_damage(job, bucket, error))
    write_part(part, scores, made_from)
    give_back_memory()
    seconds = time.perf_counter() - begun
    return Done(bucket, scores.height, seconds, read_peak_mb(), _count_told(scores, kept))


def _count_told(scores: pl.DataFrame, kept: pl.DataFrame | None) -> int | None:
    """Count whose reasons were taken over, of those who have any."""
    if kept is None:
        return None
    told = scores.filter(pl.col(REASONS).list.len() > 0)
    return told.join(kept, on=s.PERSON_ID, how="semi").height


def read_columns(parts: Mapping[int, Path], *columns: str) -> pl.DataFrame:
    """Read some columns of all parts."""
    return pl.concat(read_parquet(part, columns) for part in parts.values())


@lru_cache(maxsize=1)
def _load_once(model: Path, _hash: str) -> RiskModel:
    return load_model(model)


def _count_rows(part: Path) -> int:
    return count_rows(part)


def _keep_earlier(job: Job, bucket: int, model: RiskModel, histories: Histories) -> pl.DataFrame | None:
    """Keep what an earlier run said of a bucket and must still hold; nothing if it did not come to it."""
    risks = _read_earlier(job, bucket, RISKS_FOLDER)
    return None if risks is None else keep_unchanged(model, histories, job.index_time, risks)


def _keep_reasons(job: Job, bucket: int, risks: pl.DataFrame) -> pl.DataFrame | None:
    """Keep the reasons that an earlier run told and that must still hold; nothing if it told none such."""
    if job.earlier is None or not job.earlier.tells_reasons:
        return None
    then = _read_earlier(job, bucket, RISKS_FOLDER, s.PERSON_ID, BACKGROUND)
    told = _read_earlier(job, bucket, SCORES_FOLDER, s.PERSON_ID, REASONS)
    return None if then is None or told is None else keep_reasons(risks, then, told)


def _read_earlier(job: Job, bucket: int, folder: str, *columns: str) -> pl.DataFrame | None:
    """Read columns (else all) of a part of the earlier run; nothing if there is none, or it is damaged."""
    part = None if job.earlier is None else name_part(job.earlier.folder / folder, bucket)
    if part is None or read_origin(part) is None:
        return None
    try:
        return read_parquet(part, columns or None)
    except DAMAGE:  # whatever is not taken over is computed, and the log counts nobody as kept
        return None


def _check_homes(job: Job, bucket: int) -> None:
    """Check who is in a bucket, whatever the size of its files: a person put there is worse than damage."""
    files = list_bucket_files(job.store, bucket, s.PERSONS)
    persons = scan_parquet(files).select(s.PERSON_ID).collect()
    strangers = persons.filter(find_bucket(job.buckets) != bucket).height
    twice = persons.height - persons.n_unique()
    if strangers or twice:
        raise MisplacedPersonError(
            f"In bucket {bucket} of store {job.store}, {strangers} persons belong to another bucket and "
            f"{twice} stand twice, so that they would be scored twice. Ingest again."
        )


def tell_damage(job: Job, bucket: int, error: BaseException) -> str:
    """Tell why a bucket cannot be read; what others say of it may show values, and is left out."""
    if isinstance(error, SourceError | InputError):
        return str(error)
    return f"Bucket {bucket} of store {job.store} cannot be read ({type(error).__name__}). Ingest again."
