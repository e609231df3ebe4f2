"""Places left out: what the model is worth where it has learnt from nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.cohort.cohort import make_cohort
from somv_risk.cohort.splits import ROLE, ROLES
from somv_risk.disclosure import FEW, SMALLEST, find_hidden
from somv_risk.errors import CohortError, ConfigError
from somv_risk.evaluation.refits._again import Fitted, fit_again, leave_out
from somv_risk.evaluation.refits._judge import (
    HIGH,
    LOW,
    METRIC,
    NO_TRAINING,
    NOTE,
    NUMBERS,
    PERSONS,
    PRECISION,
    RANKING,
    RISKS,
    VALUE,
    Judge,
    Judged,
    find_test_time,
    gather_judged,
    join_notes,
)
from somv_risk.evaluation.test_set import MODEL
from somv_risk.registers import schema as s
from somv_risk.registers.codes import load_municipalities
from somv_risk.registers.histories import Histories
from somv_risk.training.rows import Sample, Snapshot, build_sample, label_rows, name_label
from somv_risk.training.steps import Prepared

Municipalities = Sequence[str] | Literal["all"]

WITH_PLACE: Final = "model_with_place"
STEP: Final = "training without a place"
KNOWS_THEM: Final = "Learnt from most of these persons at earlier moments, which flatters it."
COLUMNS: Final = pl.Schema(
    {
        s.MUNICIPALITY: pl.String(),
        "name": pl.String(),
        "rows": pl.Int64(),
        "events": pl.Int64(),
        RANKING: pl.String(),
        METRIC: pl.String(),
        **NUMBERS,
    }
)


@dataclass(frozen=True, slots=True)
class Place:
    """A municipality and its residents: `persons` are all (`person_id`), `rows` those who may test.

    The rows are labelled as `Snapshot.rows` are; all have the role `test`, and a known outcome.
    """

    code: str
    persons: pl.DataFrame
    rows: pl.DataFrame

    @property
    def name(self) -> str:
        """Its name; the code where the code lists have none."""
        return load_municipalities().get(self.code, self.code)


def leave_places_out(
    histories: Histories,
    fitted: Fitted,
    places: Municipalities,
    judge: Judge,
    *,
    progress: Progress = ignore_progress,
) -> pl.DataFrame:
    """Train without each place in turn, and test on everybody who lives there at the last test moment.

    Nobody who lives there, in whatever role, has then trained, stopped or calibrated anything, so all of them
    may test. The model trained with the place ranks the same persons beside it; it has met most of them
    at earlier moments, and its rows say so.

    Parameters
    ----------
    fitted
        What was prepared and fitted to everybody; its matrix is shared and filtered, not built again.
    places
        Codes of municipalities, or "all" that occur.

    Returns
    -------
    `municipality`, `name`, `rows`, `events`, `ranking`, `metric`, `value`, `low`, `high`, `note`. Numbers of
    persons below five, and what follows from them, are null with a note.

    Raises
    ------
    ConfigError
        If a municipality is neither in the code lists nor in the histories.
    """
    codes = choose_places(histories, places)
    chosen = find_residents(histories, fitted.prepared, codes)
    hidden = find_few(fitted.prepared, chosen, is_whole=set(codes) >= set(choose_places(histories, "all")))
    tables = [pl.DataFrame(schema=COLUMNS)]
    for done, place in enumerate(chosen):
        progress(STEP, done, len(chosen))
        tables.append(
            tell_places([place.code], FEW) if hidden[done] else _judge_place(histories, fitted, place, judge)
        )
    progress(STEP, len(chosen), len(chosen))
    return pl.concat(tables)


def choose_places(histories: Histories, places: Municipalities) -> list[str]:
    """Choose codes of municipalities: those named, or all that occur."""
    occurring = histories.persons.select(pl.col(s.MUNICIPALITY).drop_nulls().unique().sort()).collect()
    found = occurring.to_series().to_list()
    asked = found if places == "all" else list(dict.fromkeys(places))
    unknown = [code for code in asked if code not in found and code not in load_municipalities()]
    if unknown:
        raise ConfigError(
            f"Municipality {', '.join(unknown)} is neither in the code lists nor in the histories. "
            f"Give codes such as {', '.join(found[:3] or list(load_municipalities())[:3])}."
        )
    return asked


def tell_places(codes: Sequence[str], note: str) -> pl.DataFrame:
    """Say in one row per municipality why there is nothing to say."""
    names = load_municipalities()
    told = [{s.MUNICIPALITY: code, "name": names.get(code, code), NOTE: note} for code in codes]
    return pl.DataFrame(told, schema=COLUMNS)


def find_residents(histories: Histories, prepared: Prepared, codes: Sequence[str]) -> list[Place]:
    """Find the residents of municipalities at the last test moment: all may test, whatever their role."""
    settings, target = prepared.settings, prepared.settings.build_targets()[0]
    residents = (
        histories.persons.select(s.PERSON_ID, s.MUNICIPALITY)
        .filter(pl.col(s.MUNICIPALITY).is_in(list(codes)))
        .collect()
    )
    cohort = make_cohort(histories, [find_test_time(prepared)], **settings.cohort.model_dump())
    chosen = cohort.rows.join(residents.lazy(), on=s.PERSON_ID, how="semi", maintain_order="left")
    rows = chosen.with_columns(pl.lit("test", pl.Enum(ROLES)).alias(ROLE)).collect()
    labelled = label_rows(histories, rows, [target], settings.build_lags())
    known = labelled.filter(pl.col(name_label(target.name)).is_not_null())
    persons = {code: residents.filter(pl.col(s.MUNICIPALITY) == code).select(s.PERSON_ID) for code in codes}
    return [
        Place(code, some, known.join(some, on=s.PERSON_ID, how="semi", maintain_order="left"))
        for code, some in persons.items()
    ]


def find_few(prepared: Prepared, places: Sequence[Place], *, is_whole: bool) -> npt.NDArray[np.bool_]:
    """Find the places too few of whose residents had the outcome, or had it not, for any number of them.

    Where the places are the whole region, what is hidden must not be what the others leave over.
    """
    label = name_label(prepared.settings.build_targets()[0].name)
    events = np.array([place.rows[label].sum() for place in places], dtype=np.float64)
    others = np.array([place.rows.height for place in places]) - events
    return find_hidden(events, others) if is_whole else np.minimum(events, others) < SMALLEST


def _judge_place(histories: Histories, fitted: Fitted, place: Place, judge: Judge) -> pl.DataFrame:
    prepared = fitted.prepared
    try:
        head = fit_again(prepared, leave_out(prepared, place.persons))
    except CohortError:
        return tell_places([place.code], NO_TRAINING)
    judged = gather_judged(histories, prepared, build_residents(histories, prepared, place))
    without = judged.rank(prepared, head)
    rankings = {MODEL: without.pop(MODEL), WITH_PLACE: fitted.head.predict_risk(judged.matrix), **without}
    measured = judge.measure(judged, rankings, head, (*RISKS, WITH_PLACE))
    return _state(place, judged, hide_few(measured))


def build_residents(histories: Histories, prepared: Prepared, place: Place) -> Sample:
    """Build the sample of the residents who may test."""
    theirs = histories.keep_persons(place.persons.lazy())
    snapshot = Snapshot(find_test_time(prepared), pl.DataFrame(), place.rows)
    return build_sample(theirs, [snapshot], prepared.encoding, prepared.settings.build_lags())


def hide_few(measured: pl.DataFrame) -> pl.DataFrame:
    """Hide the precision of a list that holds fewer than five persons with, or without, the outcome."""
    found = pl.col(VALUE) * pl.col(PERSONS)
    is_few = (pl.col(METRIC) == PRECISION) & (pl.min_horizontal(found, pl.col(PERSONS) - found) < SMALLEST)
    return measured.with_columns(
        pl.when(~is_few).then(pl.col(VALUE, LOW, HIGH)),
        pl.when(is_few).then(pl.lit(FEW)).otherwise(NOTE).alias(NOTE),
    )


def _state(place: Place, judged: Judged, measured: pl.DataFrame) -> pl.DataFrame:
    """State the place beside what was measured there, and what flatters the model that knows it."""
    knows = pl.when(pl.col(RANKING) == WITH_PLACE).then(pl.lit(KNOWS_THEM))
    return measured.select(
        pl.lit(place.code).alias(s.MUNICIPALITY),
        pl.lit(place.name).alias("name"),
        pl.lit(len(judged), pl.Int64).alias("rows"),
        pl.lit(judged.events, pl.Int64).alias("events"),
        pl.exclude(PERSONS, NOTE),
        join_notes(pl.col(NOTE), knows),
    )
