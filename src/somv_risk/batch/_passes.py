"""Passes: risks by bucket, ranks of the region, reasons by bucket, and what they come to together."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from somv_risk.batch._files import hash_files, write_json, write_part
from somv_risk.batch._identity import MANIFEST
from somv_risk.batch._log import LOG_FILE, Log
from somv_risk.batch._outputs import Counts, count_scores, describe_parts, write_outputs
from somv_risk.batch._ranking import rank_parts
from somv_risk.batch._tasks import (
    RISKS_FOLDER,
    SCORES_FOLDER,
    Done,
    Failed,
    Job,
    explain_part,
    name_part,
    score_part,
)
from somv_risk.calls.progress import Progress
from somv_risk.errors import CohortError, SourceError
from somv_risk.model.model import load_model
from somv_risk.scoring.score import RANK

Task = Callable[[], Done | Failed]


class Team(Protocol):
    """Those who do the tasks: this process, several processes, or a cluster."""

    @property
    def size(self) -> int | None:
        """How many tasks are done at once; None if that is not for the run to say."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Done | Failed]:
        """Give the results as they come."""


StartTeam = Callable[[], AbstractContextManager[Team]]


@dataclass(frozen=True, slots=True)
class Passed:
    """What the passes came to: how many, and which buckets could not be read."""

    counts: Counts
    failed: tuple[Failed, ...]


@dataclass(frozen=True, slots=True)
class Passes:
    """All passes of a job; `persons` counts those of each bucket, and is what progress is told in.

    `warnings` are what the run has warned of: `category` and `sentence`.
    """

    job: Job
    identity: Mapping[str, Any]
    persons: Mapping[int, int]
    progress: Progress
    warnings: Sequence[Mapping[str, str]] = ()

    def work(self, start_team: StartTeam) -> Passed:
        """Do what is not yet done, and put everything together.

        Raises
        ------
        SourceError, CohortError
            If no bucket can be read, something not be written, or nobody is eligible.
        """
        write_json(self.job.out / MANIFEST, {**self._stated, "complete": False})
        persons = sum(self.persons.values())
        with start_team() as team:
            self.log.tell("begun", buckets=self.job.buckets, persons=persons, workers=team.size)
            for warning in self.warnings:
                self.log.tell("warning", **warning)
            risks, failed = self._score(team)
            scores, failed_later = self._explain(team, risks)
        return self._finish(risks, scores, [*failed, *failed_later])

    @property
    def _stated(self) -> dict[str, Any]:
        return {**self.identity, "warnings": [dict(warning) for warning in self.warnings]}

    @property
    def log(self) -> Log:
        """The log of the run."""
        return Log(self.job.out / LOG_FILE)

    def _score(self, team: Team) -> tuple[dict[int, Path], list[Failed]]:
        tasks = {bucket: partial(score_part, self.job, bucket) for bucket in range(self.job.buckets)}
        done, failed = self._follow(team, "risk", tasks)
        if not done:
            raise SourceError(failed[0].reason)
        if not sum(done.values()):
            raise CohortError(
                f"Nobody is eligible at {self.job.index_time}. Check the index time and the store."
            )
        return self._name_parts(RISKS_FOLDER, done), failed

    def _explain(self, team: Team, risks: Mapping[int, Path]) -> tuple[dict[int, Path], list[Failed]]:
        made_from = hash_files(risks.values())
        for bucket, ranks in zip(risks, rank_parts(list(risks.values())), strict=True):
            write_part(name_part(self.job.ranks, bucket), pl.DataFrame({RANK: ranks}), made_from)
        tasks = {bucket: partial(explain_part, self.job, bucket, made_from) for bucket in risks}
        done, failed = self._follow(team, "reasons", tasks)
        if not done:
            raise SourceError(failed[0].reason)
        return self._name_parts(SCORES_FOLDER, done), failed

    def _follow(
        self, team: Team, step: str, tasks: Mapping[int, Task]
    ) -> tuple[dict[int, int], list[Failed]]:
        """Do the tasks and tell of each; returns the rows of the buckets done, and the others."""
        done: dict[int, int] = {}
        failed: list[Failed] = []
        total, so_far = sum(self.persons.get(bucket, 0) for bucket in tasks), 0
        self.progress(step, 0, total)
        for result in team.run(tasks.values()):
            so_far += self.persons.get(result.bucket, 0)
            self.progress(step, so_far, total)
            if isinstance(result, Failed):
                failed.append(result)
            else:
                done[result.bucket] = result.rows
            self._tell(step, result)
        return dict(sorted(done.items())), sorted(failed, key=lambda one: one.bucket)

    def _tell(self, step: str, result: Done | Failed) -> None:
        if isinstance(result, Failed):
            self.log.tell("failed", step=step, bucket=result.bucket, reason=result.reason)
        else:
            facts = {name: getattr(result, name) for name in ("rows", "seconds", "peak_mb", "kept")}
            self.log.tell(step, bucket=result.bucket, **facts)

    def _name_parts(self, folder: str, buckets: Collection[int]) -> dict[int, Path]:
        return {bucket: name_part(self.job.out / folder, bucket) for bucket in buckets}

    def _finish(self, risks: Mapping[int, Path], parts: Mapping[int, Path], failed: list[Failed]) -> Passed:
        self.progress("writing", 0, 1)
        write_outputs(load_model(self.job.model), self.job, parts, hash_files(risks.values()))
        told = describe_parts(parts, self.job.out)
        state = {"complete": not failed, "failed": sorted({one.bucket for one in failed})}
        write_json(self.job.out / MANIFEST, {**self._stated, **state, **told})
        counts = count_scores(parts)
        facts = {"scored": counts.scored, "flagged": counts.flagged, "noted": counts.noted}
        self.log.tell("ended", **facts, failed=len(failed))
        self.progress("writing", 1, 1)
        return Passed(counts, tuple(failed))
