"""Places left out: what the model is worth where it has learnt from nobody."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import polars as pl

from somv_risk import schema as s
from somv_risk.codes import load_municipalities
from somv_risk.cohort import make_cohort
from somv_risk.errors import CohortError, ConfigError
from somv_risk.histories import Histories
from somv_risk.pipeline import Prepared, Progress, ignore_progress
from somv_risk.refits._again import Fitted, fit_again, leave_out
from somv_risk.refits._judge import (
    HIGH,
    LOW,
    METRIC,
    MODEL,
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
from somv_risk.samples import Sample, Snapshot, build_sample, label_rows
from somv_risk.splits import ROLE, ROLES

Municipalities = Sequence[str] | Literal["all"]

WITH_PLACE: Final = "model_with_place"
STEP: Final = "training without a place"
SMALLEST: Final = 5
FEW: Final = f"fewer than {SMALLEST}"
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
    """A municipality, and everybody who lives in it (`person_id`)."""

    code: str
    persons: pl.DataFrame

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
    chosen = choose_places(histories, places)
    tables = [pl.DataFrame(schema=COLUMNS)]
    for done, place in enumerate(chosen):
        progress(STEP, done, len(chosen))
        tables.append(_judge_place(histories, fitted, place, judge))
    progress(STEP, len(chosen), len(chosen))
    return pl.concat(tables)


def choose_places(histories: Histories, places: Municipalities) -> list[Place]:
    """Choose municipalities by code, or all that occur, each with its residents."""
    residents = histories.persons.select(s.PERSON_ID, s.MUNICIPALITY).collect()
    occurring = residents[s.MUNICIPALITY].drop_nulls().unique().sort().to_list()
    asked = occurring if places == "all" else list(dict.fromkeys(places))
    unknown = [code for code in asked if code not in occurring and code not in load_municipalities()]
    if unknown:
        raise ConfigError(
            f"Municipality {', '.join(unknown)} is neither in the code lists nor in the histories. "
            f"Give codes such as {', '.join(occurring[:3] or list(load_municipalities())[:3])}."
        )
    return [
        Place(code, residents.filter(pl.col(s.MUNICIPALITY) == code).select(s.PERSON_ID)) for code in asked
    ]


def note_places(histories: Histories, places: Municipalities, note: str) -> pl.DataFrame:
    """Say in one row per place why there is nothing to say."""
    told = [
        {s.MUNICIPALITY: place.code, "name": place.name, NOTE: note}
        for place in choose_places(histories, places)
    ]
    return pl.DataFrame(told, schema=COLUMNS)


def _judge_place(histories: Histories, fitted: Fitted, place: Place, judge: Judge) -> pl.DataFrame:
    sample = build_residents(histories, fitted.prepared, place)
    judged = gather_judged(histories, fitted.prepared, sample)
    return _state(place, judged, _measure_place(fitted, place, judged, judge))


def build_residents(histories: Histories, prepared: Prepared, place: Place) -> Sample:
    """Build the sample of all residents at the last test moment: all may test, whatever their role."""
    moment, settings = find_test_time(prepared), prepared.settings
    theirs = replace(histories.keep_persons(place.persons.lazy()), data_end=prepared.data_end)
    cohort = make_cohort(theirs, [moment], **settings.cohort.model_dump())
    rows = cohort.rows.with_columns(pl.lit("test", pl.Enum(ROLES)).alias(ROLE)).collect()
    labelled = label_rows(theirs, rows, settings.build_targets()[:1], settings.build_lags())
    snapshot = Snapshot(moment, cohort.attrition.collect(), labelled)
    return build_sample(theirs, [snapshot], prepared.encoding, settings.build_lags())


def _measure_place(fitted: Fitted, place: Place, judged: Judged, judge: Judge) -> pl.DataFrame:
    prepared = fitted.prepared
    if min(judged.events, len(judged) - judged.events) < SMALLEST:
        return pl.DataFrame({NOTE: [f"Persons with the outcome, or without it, are {FEW}."]})
    try:
        head = fit_again(prepared, leave_out(prepared, place.persons))
    except CohortError:
        return pl.DataFrame({NOTE: [NO_TRAINING]})
    without = judged.rank(prepared, head)
    rankings = {MODEL: without.pop(MODEL), WITH_PLACE: fitted.head.predict_risk(judged.matrix), **without}
    return hide_few(judge.measure(judged, rankings, (*RISKS, WITH_PLACE)))


def hide_few(measured: pl.DataFrame) -> pl.DataFrame:
    """Hide the precision of a list that holds fewer than five persons with, or without, the outcome."""
    found = pl.col(VALUE) * pl.col(PERSONS)
    is_few = (pl.col(METRIC) == PRECISION) & (pl.min_horizontal(found, pl.col(PERSONS) - found) < SMALLEST)
    said = pl.lit(f"Persons on the list with the outcome, or without it, are {FEW}.")
    return measured.with_columns(
        pl.when(~is_few).then(pl.col(VALUE, LOW, HIGH)),
        pl.when(is_few).then(said).otherwise(NOTE).alias(NOTE),
    )


def _state(place: Place, judged: Judged, measured: pl.DataFrame) -> pl.DataFrame:
    """State the place beside what was measured there; small numbers of persons are left unsaid."""
    rows, events = len(judged), judged.events
    is_few = min(events, rows - events) < SMALLEST
    knows = pl.when(pl.col(RANKING) == WITH_PLACE).then(pl.lit(KNOWS_THEM))
    told = {
        s.MUNICIPALITY: place.code,
        "name": place.name,
        "rows": rows if rows >= SMALLEST else None,
        "events": None if is_few else events,
    }
    table = pl.concat([pl.DataFrame(schema=COLUMNS), measured.drop(PERSONS, strict=False)], how="diagonal")
    return table.with_columns(
        *(pl.lit(value, COLUMNS[name]).alias(name) for name, value in told.items()),
        join_notes(pl.col(NOTE), knows),
    )
