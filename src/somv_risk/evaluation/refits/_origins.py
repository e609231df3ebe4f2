"""Rolling origin: the whole training moved back year by year, to see whether one good year was luck."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.cohort.splits import TimeSplit
from somv_risk.errors import CohortError
from somv_risk.evaluation.refits._again import fit_whole
from somv_risk.evaluation.refits._judge import (
    METRIC,
    NO_TRAINING,
    NOTE,
    NUMBERS,
    PERSONS,
    RANKING,
    Judge,
    join_notes,
    judge_fitted,
)
from somv_risk.registers.histories import Histories
from somv_risk.training.config import TimeSection, TrainConfig
from somv_risk.training.steps import (
    YEAR,
    find_data_end,
    find_data_start,
    prepare,
    resolve_config,
)

STEP: Final = "training on other years"
MEASURED: Final = pl.Schema({RANKING: pl.String(), METRIC: pl.String(), **NUMBERS})
COLUMNS: Final = pl.Schema({"test_time": pl.Datetime("us"), "trained_until": pl.Datetime("us"), **MEASURED})


@dataclass(frozen=True, slots=True)
class Origin:
    """The index times of a training that is moved back by some years, and how many moments it trains at.

    `times` are None if no training moment has a year of events before it; then `planned` are the times it
    would have had. The year as configured is taken as it is.
    """

    back: int
    planned: TimeSplit
    times: TimeSplit | None

    @property
    def test_time(self) -> datetime:
        """The last test moment."""
        return max(self.planned.test)

    @property
    def trained_until(self) -> datetime:
        """End of the outcomes that the trees learn from."""
        return max(self.planned.train) + self.planned.horizon.length

    @property
    def note(self) -> str | None:
        """What has to be said of the training moments."""
        planned, done = len(self.planned.train), len(self.times.train) if self.times else 0
        if done == planned:
            return None
        if not done:
            return "No training moment has a year of events before it."
        return (
            f"Trained at {done} of {planned} moments: the others have less than a year of events before them."
        )


def list_origins(histories: Histories, settings: TrainConfig, years: int) -> list[Origin]:
    """List the origins, from the year as configured back."""
    times = settings.build_time_split(find_data_end(histories))
    data_start = find_data_start(histories)
    return [place_origin(times, back, data_start) for back in range(years)]


def place_origin(times: TimeSplit, back: int, data_start: datetime) -> Origin:
    """Move all index times back together, and leave out training moments without a year of events before.

    Examples
    --------
    >>> from somv_risk.cohort.splits import TimeSplit
    >>> first = (datetime(2022, 1, 1),), (datetime(2023, 1, 1),), (datetime(2024, 1, 1),)
    >>> place_origin(TimeSplit(*first), 1, datetime(2019, 1, 1)).test_time
    datetime.datetime(2023, 1, 1, 0, 0)
    """
    train, calibrate, test = (
        tuple(moment - back * YEAR for moment in part) for part in (times.train, times.calibrate, times.test)
    )
    planned = replace(times, train=train, calibrate=calibrate, test=test)
    informed = tuple(moment for moment in train if not back or moment - YEAR >= data_start)
    return Origin(back, planned, replace(planned, train=informed) if informed else None)


def roll_origins(
    histories: Histories,
    config: TrainConfig | Mapping[str, Any] | str | Path | None,
    years: int,
    judge: Judge,
    *,
    progress: Progress = ignore_progress,
) -> pl.DataFrame:
    """Train and test as configured, then a year earlier, and so on: everything is moved back together.

    The gaps between training, calibration and test stay as they are. A year in which no training moment has
    a year of events before it, or in which training stops for want of events, is a row with a note.

    Returns
    -------
    `test_time` (the last test moment), `trained_until` (end of the outcomes that the trees learnt from),
    `ranking`, `metric`, `value`, `low`, `high`, `note`; the latest year stands first.
    """
    settings = resolve_config(config)
    return judge_origins(histories, settings, list_origins(histories, settings, years), judge, progress)


def judge_origins(
    histories: Histories,
    settings: TrainConfig,
    origins: Sequence[Origin],
    judge: Judge,
    progress: Progress,
) -> pl.DataFrame:
    """Train and test at some origins, one after the other."""
    tables = [pl.DataFrame(schema=COLUMNS)]
    for done, origin in enumerate(origins):
        progress(STEP, done, len(origins))
        tables.append(judge_origin(histories, settings, origin, judge))
    progress(STEP, len(origins), len(origins))
    return pl.concat(tables)


def judge_origin(histories: Histories, settings: TrainConfig, origin: Origin, judge: Judge) -> pl.DataFrame:
    """Train and test at one origin; what is prepared for it is let go of at the end."""
    if origin.times is None:
        return tell_origin(origin, pl.DataFrame({NOTE: [None]}, schema={NOTE: pl.String}))
    try:
        prepared = prepare(histories, _place(settings, origin.times))
        return tell_origin(origin, judge_fitted(histories, fit_whole(prepared), judge))
    except CohortError:
        return tell_origin(origin, pl.DataFrame({NOTE: [NO_TRAINING]}))


def tell_origin(origin: Origin, measured: pl.DataFrame) -> pl.DataFrame:
    """Put the moments of an origin, and what has to be said of them, beside what was measured."""
    table = pl.concat([pl.DataFrame(schema=MEASURED), measured.drop(PERSONS, strict=False)], how="diagonal")
    return table.select(
        pl.lit(origin.test_time, pl.Datetime("us")).alias("test_time"),
        pl.lit(origin.trained_until, pl.Datetime("us")).alias("trained_until"),
        pl.exclude(NOTE),
        join_notes(pl.lit(origin.note, pl.String), pl.col(NOTE)),
    )


def _place(settings: TrainConfig, times: TimeSplit) -> TrainConfig:
    placed = TimeSection(train=times.train, calibrate=times.calibrate, test=times.test)
    return settings.model_copy(update={"times": placed})
