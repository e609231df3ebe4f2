"""The demo: a made-up region, from simulated registers to an explained worklist."""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Final

import polars as pl

from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.errors import SourceError
from somv_risk.model.model import RiskModel
from somv_risk.registers.histories import Histories
from somv_risk.report import render_simulation_note, write_outputs
from somv_risk.scoring.score import choose_persons, score
from somv_risk.scoring.worklist import build_worklist
from somv_risk.simulate import simulate
from somv_risk.testing.people import PEOPLE, mix
from somv_risk.training.train import train

LIST_SHARE: Final = 0.005  # of those who are scored
REASONS: Final = 6


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made: the model, everyone's scores, and the folder with the files."""

    model: RiskModel
    scores: pl.DataFrame
    folder: Path

    @property
    def worklist(self) -> pl.DataFrame:
        """The flagged persons, flat."""
        return build_worklist(self.scores)


def run_demo(
    folder: str | Path,
    *,
    persons: int = 100_000,
    seed: int = 7,
    language: str = "da",
    progress: Progress = ignore_progress,
) -> Demo:
    """Simulate a region, train, score everyone with the named people among them, and write the results.

    Writes `model/`, `scores.parquet`, `worklist.csv` and `worklist.html` into the folder.

    Raises
    ------
    SourceError
        If the folder cannot be written.
    """
    target = _make_folder(Path(folder))
    progress("simulating", 0, 1)
    crowd = simulate(persons=persons, seed=seed)
    progress("simulating", 1, 1)
    model = train(crowd, progress=progress)
    model.save(target / "model")
    progress("scoring", 0, 1)
    histories = add_people(crowd)
    index_time = _end_of(crowd)
    capacity = ceil(LIST_SHARE * choose_persons(model, histories, index_time, None).height)
    scores = score(
        model, histories, index_time=index_time, capacity=capacity, reasons=REASONS, language=language
    )
    progress("scoring", 1, 1)
    write_outputs(
        model, histories, scores, target, language=language, notes=(render_simulation_note(language),)
    )
    return Demo(model, scores, target)


def add_people(crowd: Histories) -> Histories:
    """Mix the named people, seen from the end of the data, into a simulated crowd."""
    index_time = _end_of(crowd)
    tables = {name: frame.collect() for name, frame in crowd.tables.items()}
    mixed = mix(tables, *(person(index_time) for person in PEOPLE.values()))
    return Histories({name: frame.lazy() for name, frame in mixed.items()}, data_end=crowd.data_end)


def _end_of(crowd: Histories) -> datetime:
    if crowd.data_end is None:
        raise SourceError("The simulated region has no data end. Simulate it again.")
    return crowd.data_end


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f"Folder {folder} cannot be made ({error.strerror}). Choose another.") from None
    return folder
