"""The run: a whole store scored bucket by bucket, resumable at any moment, always with the same result."""

import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from somv_risk.batch._checks import check_index_time, check_rows, check_tables, count_persons
from somv_risk.batch._earlier import find_earlier
from somv_risk.batch._files import explain_trouble, remove_unfinished
from somv_risk.batch._identity import MANIFEST, check_same, state_identity
from somv_risk.batch._lock import hold_folder
from somv_risk.batch._log import LOG_FILE, Log
from somv_risk.batch._outputs import OUTPUTS, Counts
from somv_risk.batch._passes import Passes, StartTeam
from somv_risk.batch._tasks import RISKS_FOLDER, SCORES_FOLDER, WORK_FOLDER, Failed, Job
from somv_risk.batch._workers import start_workers
from somv_risk.calls.arguments import read_index_time, read_path
from somv_risk.calls.moments import Moment
from somv_risk.calls.notebook import render_notebook_table
from somv_risk.calls.notices import list_notices, one_call
from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.calls.shown import show_type
from somv_risk.errors import ConfigError, ModelError, OtherRunError, SourceError
from somv_risk.files.private_files import make_inner_folder
from somv_risk.model.definitions import check_definitions
from somv_risk.model.model import RiskModel, get_model
from somv_risk.scoring.options import Options
from somv_risk.scoring.score import Allowed
from somv_risk.sources import read_histories
from somv_risk.store import is_store, read_manifest, write_store


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a run has left: where, how many, which buckets could not be read, and which have nobody.

    `delivery` is what the store says of itself.
    """

    folder: Path
    delivery: Mapping[str, Any]
    counts: Counts
    failed: tuple[Failed, ...]
    empty: tuple[int, ...]

    def _repr_html_(self) -> str:
        counts = self.counts
        rows = [
            ("persons scored", counts.scored),
            ("persons flagged", counts.flagged),
            ("of them new", counts.flagged_new),
            ("buckets that could not be read", len(self.failed)),
            ("buckets without persons", len(self.empty)),
        ]
        return render_notebook_table("BatchResult", ["what", "count"], rows)


@one_call()
def run_batch(
    model: RiskModel | str | Path,
    store: str | Path,
    out: str | Path,
    *,
    index_time: Moment,
    options: Options | None = None,
    workers: int | StartTeam = 1,
    since: str | Path | None = None,
    allow: Collection[Allowed] = (),
    fresh: bool = False,
    group_readable: bool = False,
    progress: Progress = ignore_progress,
) -> BatchResult:
    """Score everyone in a store at an index moment, bucket by bucket.

    Ended at any moment and called again in the same way, it goes on where it stopped, and leaves the same
    bytes as if it had not been ended, whatever the number of workers. Every row is that of `score`.

    Parameters
    ----------
    store
        A store, or a folder of canonical tables, of which one is made for the time of the run.
    out
        Folder for `scores.parquet`, `worklist.csv`, `worklist.html`, `manifest.json`, `run.log`, and the
        parts by bucket, `scores/` and `risks/`.
    options
        Whom to flag and explain; the defaults of `score`.
    workers
        Buckets worked at at once: 1 uses all cores with the least memory, more are processes of their own.
        Or what starts a team of another kind, whose members see the same paths.
    since
        Folder of an earlier run: what cannot have changed since is taken from it.
    allow
        What is usually refused: "absent-tables" that the model was trained with, an "index-time" after the
        data end, other "definitions" of its features.
    fresh
        Whether to forget what an earlier run left in the folder.
    group_readable
        Whether the group may read what is written, such as a service's user; others may in no case.

    Raises
    ------
    SourceError
        If the store cannot be read at all, or something not be written; what stands then stays.
    StoreVersionError, EmptyBucketError, MisplacedPersonError, OtherTablesError, IndexTimeError
        If the store is unsound, or does not fit the model or the index moment.
    OtherDefinitionsError
        If features count something else than when the model was trained.
    FolderInUseError, OtherRunError
        If another run writes into the folder, or it holds a run of something else.
    ConfigError
        If the earlier run and this one are to share a folder.
    CohortError
        If nobody is eligible.

    Warns
    -----
    QuarantineWarning
        If more than 1 % of a table was set aside.
    StaleDataWarning
        If the data end before the index moment, and that is allowed.
    """
    fitted = get_model(model)
    check_definitions(fitted, allow)
    moment, folder = read_index_time(index_time), read_path("out", out)
    chosen = Options() if options is None else options
    if not isinstance(chosen, Options):
        raise ConfigError(f"options are {show_type(options)}. Give batch.Options.")
    before = None if since is None else read_path("since", since)
    if before is not None and before.resolve() == folder.resolve():
        raise ConfigError(f"{folder} is both the earlier run and this one. Name another folder for this one.")
    with (
        hold_folder(folder, group_readable=group_readable),
        _make_store(read_path("store", store), folder) as stored,
    ):
        if fresh:
            _forget(folder)
        check_tables(fitted, stored, allow)
        check_index_time(stored, moment, allow)
        check_rows(stored)
        identity = state_identity(fitted, stored, moment, chosen)
        _check_told(folder)
        check_same(folder, identity)
        persons, log = count_persons(stored), Log(folder / LOG_FILE)
        earlier = None if before is None else find_earlier(before, identity, moment, log)
        job = Job(
            model=_copy_model(fitted, folder),
            model_hash=identity["model"],
            store=stored,
            buckets=identity["store"]["buckets"],
            index_time=moment,
            options=chosen,
            out=folder,
            earlier=earlier,
        )
        start_team = workers if callable(workers) else partial(start_workers, workers)
        passed = Passes(job, identity, persons, progress, list_notices()).work(start_team)
        delivery = read_manifest(stored)
    empty = tuple(bucket for bucket, count in persons.items() if not count)
    return BatchResult(folder, delivery, passed.counts, passed.failed, empty)


def _check_told(folder: Path) -> None:
    """Check that no parts lie there of which nothing says what run they are of."""
    parts = [name for name in (RISKS_FOLDER, SCORES_FOLDER) if any((folder / name).glob("*.parquet"))]
    if parts and not (folder / MANIFEST).exists():
        raise OtherRunError(
            f"{folder} holds {' and '.join(parts)} of a run that does not say what it is of. Name another "
            "folder, or start over with --fresh."
        )


def _forget(folder: Path) -> None:
    """Remove what a run has left, what says of which run it is last: whoever is killed here loses no word."""
    with explain_trouble(folder):
        for name in (RISKS_FOLDER, SCORES_FOLDER):
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        for name in (*OUTPUTS, LOG_FILE, MANIFEST):
            (folder / name).unlink(missing_ok=True)


@contextmanager
def _make_store(source: Path, folder: Path) -> Iterator[Path]:
    """Give the store; of a delivery one is made, which goes with all else that a run needs meanwhile."""
    work = folder / WORK_FOLDER
    shutil.rmtree(work, ignore_errors=True)
    with explain_trouble(folder):
        remove_unfinished(folder)
        make_inner_folder(work)
    try:
        if not is_store(source):
            histories = read_histories(source)
            write_store(histories, work / "store", span=histories.span)
        yield source if is_store(source) else work / "store"
    finally:
        shutil.rmtree(work, ignore_errors=True)
        remove_unfinished(folder)


def _copy_model(model: RiskModel, folder: Path) -> Path:
    """Copy the model for the workers, so that one replaced meanwhile does not get into half of the result."""
    copy = folder / WORK_FOLDER / "model"
    try:
        model.save(copy)
    except ModelError as error:
        raise SourceError(str(error)) from None
    return copy
