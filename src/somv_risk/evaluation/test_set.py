"""Test set: persons scored at an index moment and followed to the end of the horizon."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.arguments import check_choice
from somv_risk.calls.shown import show
from somv_risk.cohort.cohort import make_cohort
from somv_risk.cohort.outcomes import (
    ADMISSIONS_AFTER,
    BED_DAYS_AFTER,
    FREQUENT_ADMISSION,
    OUTCOME,
    OUTCOME_EVENTS,
    Target,
    count_past_events,
    label_outcomes,
    measure_burden,
)
from somv_risk.cohort.splits import ROLE, PersonSplit, add_role
from somv_risk.cohort.windows import Horizon
from somv_risk.errors import CohortError, ConfigError, IndexTimeError
from somv_risk.evaluation.subgroups import build_groups
from somv_risk.metrics import Cases
from somv_risk.model.matrix import build_matrices
from somv_risk.model.model import Head, RiskModel
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.score import RAW, rank_persons

Persons = Literal["test", "all"]
FloatArray = npt.NDArray[np.float64]

MODEL: Final = "model"
LOGISTIC: Final = "penalised_logistic"
LAST_YEAR: Final = "count_last_year"
PROGRAMME_RULE: Final = "programme_rule"
COUNT_RULE: Final = "count_rule"
# At least 3 unplanned admissions in 6 months was among the criteria of the national programme (NCT03628469;
# Benthien et al. 2022, Age and Ageing).
PROGRAMME: Final = Target(PROGRAMME_RULE, min_count=3, horizon=Horizon(183))
# Chapters that official ways of counting leave out, and with them the citizens this library looks for.
NOT_COUNTED: Final = ("F", "T51")
FLATTERED: Final = "It has learnt from these persons' outcomes of that time, which flatters it."


@dataclass(frozen=True, slots=True)
class Followed:
    """Persons followed from an index moment: their cases, highest risk first, and who they are.

    `attrition` has `rule`, `rows_before` and `rows_after`, to the last person whose outcome is known.
    """

    index_time: datetime
    person_ids: pl.Series
    cases: Cases
    attrition: pl.DataFrame


def follow(
    model: RiskModel,
    histories: Histories,
    index_time: datetime,
    *,
    target: str | None = None,
    persons: Persons = "test",
    split: PersonSplit | None = None,
) -> Followed:
    """Score the eligible persons at an index moment and see what became of them.

    Parameters
    ----------
    target
        Which head of the model is judged; its first by default.
    persons
        "test": only those whom `split` keeps for the test, who neither grew nor calibrated it; or "all".

    Raises
    ------
    ConfigError
        If the model has no such target, or persons are to be split and there is no split.
    CohortError
        If the horizon ends after the data, or nobody's outcome is known. (Of a horizon cut short only those
        are known whose outcome has come already: they would be judged by what they were chosen by.)
    """
    head = find_head(model, target)
    chosen = _choose_split(persons, split)
    _check_follow_up(histories, index_time, head.target.horizon)
    rows, attrition = _choose_rows(model, histories, index_time, chosen)
    labelled = rows.with_columns(label_outcomes(histories, rows, head.target).collect()[OUTCOME])
    known = labelled.filter(pl.col(OUTCOME).is_not_null())
    steps = [*attrition, ("outcome is known", rows.height, known.height)]
    if known.is_empty():
        raise CohortError(
            f"No outcome is known of the {rows.height} eligible persons at {index_time}. Choose another "
            "index time, or look whether observed_until is right."
        )
    scored = _score(model, head, histories, known)
    doubts = list_doubts(head) | _list_flattered(model, index_time)
    schema = {s.RULE: pl.String, "rows_before": pl.Int64, "rows_after": pl.Int64}
    return Followed(
        index_time=index_time,
        person_ids=scored[s.PERSON_ID],
        cases=_build_cases(model, head, histories, scored, doubts),
        attrition=pl.DataFrame(steps, schema=schema, orient="row"),
    )


def _choose_split(persons: Persons, split: PersonSplit | None) -> PersonSplit | None:
    check_choice("persons", persons, get_args(Persons))
    if persons == "test" and split is None:
        raise ConfigError("Without a split nobody is kept for the test. Give a split, or persons='all'.")
    return split if persons == "test" else None


def _check_follow_up(histories: Histories, index_time: datetime, horizon: Horizon) -> None:
    data_end: datetime | None = histories.follow_up_end().collect().item()
    if data_end is None:
        raise CohortError("There are no hospital contacts, so no outcome is known. Deliver some.")
    if index_time + horizon.length > data_end:
        raise IndexTimeError(
            f"The data end at {data_end}, before the horizon of {horizon.days} days after {index_time} does. "
            f"The latest possible index time is {data_end - horizon.length}."
        )


def find_learnt_until(model: RiskModel) -> datetime:
    """Find the moment until which outcomes were used to fit or to calibrate."""
    times = [datetime.fromisoformat(time) for time in model.facts["index_times"]["calibrate"]]
    return max(times) + model.main.target.horizon.length


def choose_persons_to_follow(model: RiskModel, moments: Iterable[datetime], persons: Persons) -> Persons:
    """Choose by whom a model is measured; a cross-validated one has kept nobody, only what came later.

    Raises
    ------
    ConfigError
        If it has learnt from everybody's outcomes of one of the moments.
    """
    check_choice("persons", persons, get_args(Persons))
    if persons != "test" or not model.is_cross_validated:
        return persons
    until = find_learnt_until(model)
    if any(moment < until for moment in moments):
        raise ConfigError(
            f"The model was cross-validated: it has learnt from everybody's outcomes until {until}, so "
            "nobody is kept for a test before. Give later index times, read the figures on its card, or give "
            "persons='all', which flatters it."
        )
    return "all"


def find_head(model: RiskModel, target: str | None) -> Head:
    """Find the head of a target; of the first if none is named."""
    if target is None:
        return model.main
    if not isinstance(target, str) or target not in model.heads:
        raise ConfigError(f"The model has no target {show(target)}. It has {', '.join(model.heads)}.")
    return model.heads[target]


def _choose_rows(
    model: RiskModel, histories: Histories, index_time: datetime, split: PersonSplit | None
) -> tuple[pl.DataFrame, list[tuple[str, int, int]]]:
    eligibility = model.eligibility
    cohort = make_cohort(
        histories,
        [index_time],
        minimum_age_years=eligibility.minimum_age_years,
        minimum_residence_days=eligibility.minimum_residence_days,
    )
    rows = cohort.rows.collect()
    counted = cohort.attrition.select(s.RULE, "rows_before", "rows_after").collect()
    steps: list[tuple[str, int, int]] = counted.rows()
    if split is None:
        return rows, steps
    kept = add_role(rows.lazy(), split).filter(pl.col(ROLE) == "test").drop(ROLE).collect()
    return kept, [*steps, ("neither grew nor calibrated the model", rows.height, kept.height)]


def _score(model: RiskModel, head: Head, histories: Histories, rows: pl.DataFrame) -> pl.DataFrame:
    """Score rows piece by piece, and put the highest first; the person id orders what is equal."""
    raw, logistic = np.empty(rows.height), np.empty(rows.height)
    for piece in build_matrices(model.see(histories), rows, model.encoding, lags=model.lags):
        raw[piece.places] = head.predict_raw(piece.matrix)
        logistic[piece.places] = head.logistic.predict_raw(model.encoding, piece.matrix)
    scored = rows.with_columns(pl.Series(RAW, raw), pl.Series(LOGISTIC, 1 / (1 + np.exp(-logistic))))
    ranked = rank_persons(scored)
    return ranked.with_columns(pl.Series(MODEL, head.calibration.predict_risk(ranked[RAW].to_numpy())))


def _build_cases(
    model: RiskModel, head: Head, histories: Histories, scored: pl.DataFrame, doubts: Mapping[str, str]
) -> Cases:
    target = head.target
    past = _count(histories, scored, target, model)
    last_year = _count(histories, scored, FREQUENT_ADMISSION, model)
    programme = _count(histories, scored, PROGRAMME, model) >= PROGRAMME.min_count
    burden = measure_burden(histories, scored, target.horizon).collect()
    return Cases(
        outcome=scored[OUTCOME].to_numpy().astype(np.bool_),
        rankings={
            MODEL: scored[MODEL].to_numpy(),
            LOGISTIC: scored[LOGISTIC].to_numpy(),
            LAST_YEAR: last_year.astype(np.float64),
            PROGRAMME_RULE: programme.astype(np.float64),
        },
        risks=(MODEL, LOGISTIC),
        rules={COUNT_RULE: past >= target.min_count, PROGRAMME_RULE: programme},
        is_new=past < target.min_count,
        admissions=burden[ADMISSIONS_AFTER].to_numpy().astype(np.float64),
        bed_days=burden[BED_DAYS_AFTER].to_numpy(),
        is_counted=_is_counted(histories, scored, target),
        groups=build_groups(histories, scored, model.lags),
        doubts=doubts,
    )


def _list_flattered(model: RiskModel, index_time: datetime) -> dict[str, str]:
    """List the rankings that were fitted to everybody's outcomes of that time."""
    if not model.is_cross_validated or index_time >= find_learnt_until(model):
        return {}
    return dict.fromkeys((MODEL, LOGISTIC), FLATTERED)


def list_doubts(head: Head) -> dict[str, str]:
    """List, by ranking, what has to be said with every number about it."""
    return {LOGISTIC: head.logistic.note} if head.logistic.note else {}


def _count(
    histories: Histories, rows: pl.DataFrame, target: Target, model: RiskModel
) -> npt.NDArray[np.int32]:
    counted = count_past_events(histories, rows, target, model.lags).collect()
    return np.asarray(counted[OUTCOME_EVENTS].to_numpy(), dtype=np.int32)


def _is_counted(histories: Histories, rows: pl.DataFrame, target: Target) -> npt.NDArray[np.bool_]:
    """Whether the target is met if the diagnoses that official counting drops are dropped."""
    official = replace(target, excluded_diagnoses=(*target.excluded_diagnoses, *NOT_COUNTED))
    events = label_outcomes(histories, rows, official).collect()[OUTCOME_EVENTS].to_numpy()
    return np.asarray(events >= target.min_count)
