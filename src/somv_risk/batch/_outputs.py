"""Outputs: the parts of all buckets put together, in memory that does not grow with the region."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from somv_risk.batch._files import hash_files, write_frames, write_whole
from somv_risk.batch._tasks import DAMAGE, Job, read_columns, tell_damage
from somv_risk.errors import SourceError
from somv_risk.files.parquet import read_parquet, scan_parquet
from somv_risk.model.model import RiskModel
from somv_risk.report.outputs import PAGE_FILE, SCORES_FILE, WORKLIST_FILE, render_flagged
from somv_risk.scoring.notes import WARNINGS, list_common
from somv_risk.scoring.score import FLAGGED, KNOWN_OR_NEW, RANK
from somv_risk.scoring.worklist import build_timeline_events, build_worklist, describe_persons
from somv_risk.store import scan_store

OUTPUTS: Final = (SCORES_FILE, WORKLIST_FILE, PAGE_FILE)
_ROWS_AT_ONCE: Final = 50_000


@dataclass(frozen=True, slots=True)
class Counts:
    """How many were scored and flagged, what holds for every score, and how many have a note of their own."""

    scored: int
    flagged: int
    flagged_new: int
    warnings: tuple[str, ...]
    noted: int = 0


def write_outputs(model: RiskModel, job: Job, parts: Mapping[int, Path], made_from: str) -> None:
    """Write `scores.parquet` (everyone, by rank), `worklist.csv` and `worklist.html` (the flagged).

    Raises
    ------
    SourceError
        If one cannot be written, or the events of the flagged cannot be read.
    """
    write_frames(job.out / SCORES_FILE, _slice_by_rank(parts), made_from)
    flagged = {bucket: scan_parquet(part).filter(FLAGGED).collect() for bucket, part in parts.items()}
    listed = pl.concat(flagged.values()).sort(RANK)
    table = build_worklist(listed).write_csv().encode()
    write_whole(job.out / WORKLIST_FILE, lambda file: file.write(table))
    told = [_tell_bucket(model, job, bucket, rows) for bucket, rows in flagged.items()]
    events, persons = (pl.concat(frames) for frames in zip(*told, strict=True))
    page = render_flagged(model, listed, events, persons, language=job.options.language).encode()
    write_whole(job.out / PAGE_FILE, lambda file: file.write(page))


def _slice_by_rank(parts: Mapping[int, Path]) -> Iterator[pl.DataFrame]:
    """Read all parts as slices in order of rank; those of persons that are missing are shorter."""
    last = int(read_columns(parts, RANK)[RANK].to_numpy().max(initial=0))
    for first in range(1, last + 1, _ROWS_AT_ONCE):
        of_slice = pl.col(RANK).is_between(first, first + _ROWS_AT_ONCE - 1)
        frames = [scan_parquet(part).filter(of_slice).collect() for part in parts.values()]
        yield pl.concat(frames).sort(RANK)


def _tell_bucket(
    model: RiskModel, job: Job, bucket: int, flagged: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tell what the page shows of the flagged of a bucket: their events, and who they are."""
    try:
        histories = scan_store(job.store, bucket)
        return build_timeline_events(histories, flagged, model.lags), describe_persons(histories, flagged)
    except DAMAGE as error:
        raise SourceError(tell_damage(job, bucket, error)) from None


def count_scores(parts: Mapping[int, Path]) -> Counts:
    """Count what was scored."""
    scores, new = scan_parquet(list(parts.values())), pl.col(KNOWN_OR_NEW) == "new"
    counted = scores.select(
        pl.len().cast(pl.Int64),
        pl.col(FLAGGED).sum().cast(pl.Int64),
        flagged_new=(pl.col(FLAGGED) & new).sum().cast(pl.Int64),
    )
    scored, flagged, flagged_new = counted.collect().row(0)
    common = list_common(scores)
    own = scores.filter(pl.col(WARNINGS).list.len() > len(common)).select(pl.len())
    return Counts(scored, flagged, flagged_new, tuple(common), own.collect().item())


def describe_parts(parts: Mapping[int, Path], out: Path) -> dict[str, Any]:
    """Describe what was written: rows and hashes."""
    rows = {bucket: read_parquet(part, [FLAGGED])[FLAGGED] for bucket, part in parts.items()}
    return {
        "parts": [
            {
                "bucket": bucket,
                "file": part.relative_to(out).as_posix(),
                "persons": len(rows[bucket]),
                "flagged": int(rows[bucket].sum()),
                "hash": hash_files([part]),
            }
            for bucket, part in parts.items()
        ],
        "outputs": {name: hash_files([out / name]) for name in OUTPUTS},
    }
