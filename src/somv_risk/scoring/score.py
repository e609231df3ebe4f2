"""Scoring: from raw histories to ranked persons with risks and reasons."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import polars as pl

from somv_risk.calls.arguments import (
    check_choices,
    list_ids,
    read_id,
    read_index_time,
)
from somv_risk.calls.moments import Moment
from somv_risk.calls.notices import give_notice, one_call
from somv_risk.cohort.asof import KEY
from somv_risk.cohort.cohort import Cohort, make_cohort
from somv_risk.cohort.cohort_rows import KnownRows
from somv_risk.cohort.outcomes import OUTCOME_EVENTS, UNFINISHED_TREATMENT, count_past_events
from somv_risk.errors import (
    AbsentTablesWarning,
    CohortError,
    EligibilityWarning,
    OtherTablesError,
)
from somv_risk.features import build_features
from somv_risk.model.definitions import check_definitions
from somv_risk.model.matrix import Matrix
from somv_risk.model.model import RiskModel, get_model
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories, check_histories
from somv_risk.registers.soundness import add_span, check_index_time, warn_of_quarantine
from somv_risk.scoring.notes import WARNINGS, count_notes, list_absent, list_warnings, warn_of_assumed_ends
from somv_risk.scoring.options import Explain, Options
from somv_risk.scoring.reasons import Reason, build_reasons

Allowed = Literal["absent-tables", "index-time", "definitions"]

RISK: Final = "risk"
PERCENTILE: Final = "percentile"
RANK: Final = "rank"
FLAGGED: Final = "flagged"
KNOWN_OR_NEW: Final = "known_or_new"
REASONS: Final = "reasons"
UNFINISHED_RISK: Final = "unfinished_risk"
REASON: Final = pl.Struct(
    {
        "theme": pl.String,
        "feature": pl.String,
        "value": pl.Float64,
        "contribution": pl.Float64,
        "changeable": pl.Boolean,
        "text": pl.String,
    }
)
FEW_ROWS: Final = 1_000
TOLD_AT_ONCE: Final = 16_384  # persons whose contributions are held at a time
RAW: Final = "raw"
PLACE: Final = "place"


@one_call()
def score(
    model: RiskModel | str | Path,
    histories: Histories,
    *,
    index_time: Moment,
    person_ids: Iterable[str] | None = None,
    capacity: int | None = None,
    threshold: float | None = None,
    reasons: int = 3,
    language: str = "da",
    explain: Explain = "flagged",
    allow: Collection[Allowed] = (),
) -> pl.DataFrame:
    """Score every eligible person, or the persons named, at one index moment.

    Parameters
    ----------
    model
        A trained model, or the folder of one.
    index_time
        Only what was known before this moment is used.
    person_ids
        Score only these (one id, or ids in a list, a column or an array); risk, percentile and reasons are
        the same as in a whole region.
    capacity
        Flag this many persons, highest first. Not together with `threshold`.
    threshold
        Flag persons from this risk (0 to 1) up. By default the model's own threshold.
    reasons
        Number of themes explained per person.
    language
        "da", "en", "nb" or "sv".
    explain
        Whom to give reasons: the "flagged", "all" or "none".
    allow
        What is usually refused, and then only warned of: "absent-tables" that the model was trained with, an
        "index-time" after the data end, other "definitions" of its features.

    Returns
    -------
    One row per eligible person, highest risk first, ties by person id: `person_id`, `index_time`, `risk`
    (0 to 1), `percentile` (of the reference population with a lower risk), `rank` (from 1, within this
    call), `flagged`, `known_or_new` ("known" if the target's count was met in the days before the index),
    `reasons` (list of theme, feature, value, contribution in log-odds, changeable, text; the largest
    contribution first, whether it raises or lowers), `unfinished_risk` (null if the model has no such
    target) and `warnings` (list of sentences).

    Raises
    ------
    ConfigError
        If an argument is out of its range.
    OtherTablesError
        If tables are absent that the model was trained with, and this is not allowed. Where it is, `flagged`
        is null unless by capacity: the threshold was set, and the probability measured, with all tables.
    CohortError
        If none of the persons is eligible.
    OtherDefinitionsError
        If features count something else than when the model was trained, and that is not allowed.
    IndexTimeError
        If the index moment lies a day or more after the end of a store's data, and that is not allowed.

    Warns
    -----
    AbsentTablesWarning
        If tables are absent, and this is allowed.
    EligibilityWarning
        If some of the persons named are not eligible.
    ImplausibleDataWarning
        If hospital contacts without an end were open for so long that their end is assumed.
    QuarantineWarning
        If more than 1 % of a table was set aside.
    StaleDataWarning
        If the data end before the index moment, or are silent for a year before it.
    DefinitionWarning
        If features count something else than when the model was trained, and that is allowed.
    """
    options = Options(capacity, threshold, reasons, language, explain)
    return score_with_options(
        model, histories, index_time=index_time, person_ids=person_ids, options=options, allow=allow
    )


@one_call()
def score_with_options(
    model: RiskModel | str | Path,
    histories: Histories,
    *,
    index_time: Moment,
    person_ids: Iterable[str] | None = None,
    options: Options,
    allow: Collection[Allowed] = (),
) -> pl.DataFrame:
    """Score as `score` does, with the options as one value."""
    asked = None if person_ids is None else list_ids("person_ids", person_ids)
    model = get_model(model)
    absent = check_fit(model, histories, allow)
    moment = read_index_time(index_time, histories.timezone)
    histories = add_span(histories)
    check_index_time(histories, moment, allow)
    warn_of_quarantine(histories)
    cohort = choose_persons(model, histories, moment, asked)
    frame = collect_features(model, histories, cohort)
    matrix = model.encoding.to_matrix(frame)
    ranked = _number_ranks(_score_rows(model, histories, frame, matrix)).with_columns(
        flag_rows(model, options, absent)
    )
    tell = partial(explain_rows, model, options=options, absent=absent)
    told = [
        tell_reasons(part.select(PLACE, is_told=is_explained(options)), frame, matrix, tell)
        for part in ranked.iter_slices(TOLD_AT_ONCE)
    ]
    counts = count_notes(model, histories, ranked.select(KEY))
    warn_of_assumed_ends(counts)
    notes = list_warnings(model, histories, ranked.select(KEY), counts, language=options.language)
    return attach_reasons(ranked, pl.concat(told), notes)


def check_fit(model: RiskModel, histories: Histories, allow: Collection[Allowed] = ()) -> list[str]:
    """Check that a model fits the library and the histories; return the tables that are absent and allowed.

    Raises
    ------
    ConfigError
        If something is allowed that is never refused.
    OtherDefinitionsError, OtherTablesError
        If features count something else than when the model was trained, or tables are absent that it was
        trained with, and that is not allowed.

    Warns
    -----
    DefinitionWarning, AbsentTablesWarning
        If so, and that is allowed.
    """
    check_allowed(allow)
    check_definitions(model, allow)
    check_histories(histories)
    absent = list_absent(model, histories)
    refuse_absent(absent, allow)
    return absent


def refuse_absent(absent: Sequence[str], allow: Collection[str]) -> None:
    """Refuse tables that are absent, or warn of them where they are allowed."""
    if not absent:
        return
    if "absent-tables" not in allow:
        raise OtherTablesError(
            f"The model was trained with {', '.join(absent)}, which these histories do not have. "
            "Deliver them, take or train a model without them (models/hospital_only, train with tables), or "
            "allow it (allow absent-tables): the risks are then estimated without."
        )
    give_notice(
        f"The model was trained with {', '.join(absent)}, which these histories do not have. The risks are "
        "estimated without; how well they hold was measured with all tables, so no threshold flags anybody.",
        AbsentTablesWarning,
    )


def choose_persons(
    model: RiskModel, histories: Histories, index_time: datetime, person_ids: Iterable[str] | None
) -> pl.DataFrame:
    """Choose the eligible persons, of all or of those named, in order of their id."""
    chosen = None if person_ids is None else list_ids("person_ids", person_ids)
    asked = histories if chosen is None else histories.keep_persons(_frame_ids(chosen))
    cohort = find_eligible(model, asked, index_time)
    rows = cohort.rows.collect()
    if rows.is_empty():
        raise CohortError(
            f"Nobody is eligible at {index_time}: {_tell_attrition(cohort)}. Check ids and index time."
        )
    if chosen is not None and rows.height < len(chosen):
        give_notice(
            f"{len(chosen) - rows.height} of {len(chosen)} persons have no score: "
            f"not found, or {_tell_attrition(cohort)}.",
            EligibilityWarning,
        )
    return rows


def find_eligible(model: RiskModel, histories: Histories, index_time: datetime) -> Cohort:
    """Find the persons the model may score at an index moment."""
    return make_cohort(
        histories,
        [index_time],
        minimum_age_years=model.eligibility.minimum_age_years,
        minimum_residence_days=model.eligibility.minimum_residence_days,
    )


def keep_person(histories: Histories, person_id: str) -> Histories:
    """Keep the rows of the one person who is asked about.

    Raises
    ------
    InputError, ConfigError
        If the histories are none, or the id is no id.
    """
    check_histories(histories)
    return histories.keep_persons(_frame_ids([read_id("person_id", person_id)]))


def _frame_ids(ids: Sequence[str]) -> pl.LazyFrame:
    return pl.LazyFrame({s.PERSON_ID: ids}, schema={s.PERSON_ID: pl.String})


def collect_features(model: RiskModel, histories: Histories, rows: pl.DataFrame) -> pl.DataFrame:
    """Collect the features the model names, one row per given row."""
    features = build_features(model.see(histories), KnownRows(rows), model.features, lags=model.lags)
    return features.collect(engine=_choose_engine(rows))


def _choose_engine(rows: pl.DataFrame) -> Literal["in-memory", "streaming"]:
    """Choose the engine: to start the streaming one takes longer than all the work for a few persons.

    Both give the same bits.
    """
    return "in-memory" if rows.height <= FEW_ROWS else "streaming"


def explain_rows(
    model: RiskModel,
    frame: pl.DataFrame,
    matrix: Matrix,
    *,
    options: Options,
    absent: Sequence[str] = (),
) -> list[list[Reason]]:
    """Explain feature rows by the themes that moved the score of the main target."""
    from somv_risk.trees.contributions import compute_contributions  # noqa: PLC0415 - scoring does without

    contributions = compute_contributions(model.main.booster, matrix)
    return build_reasons(
        model.features,
        frame,
        contributions,
        count=options.reasons,
        language=options.language,
        absent=absent,
    )


def _tell_attrition(cohort: Cohort) -> str:
    steps = cohort.attrition.collect().to_dicts()
    if steps[0]["rows_after"] == 0:
        return "none was found"
    lost = [f"{step['rows_before'] - step['rows_after']} fail '{step[s.RULE]}'" for step in steps]
    return ", ".join(part for part in lost if not part.startswith("0 ")) or "no rule failed"


def _score_rows(model: RiskModel, histories: Histories, frame: pl.DataFrame, matrix: Matrix) -> pl.DataFrame:
    rows = frame.select(s.PERSON_ID, s.INDEX_TIME)
    return rows.with_columns(
        *compute_risks(model, matrix),
        tell_known(model, histories, rows),
        pl.int_range(pl.len()).alias(PLACE),
    )


def compute_risks(model: RiskModel, matrix: Matrix) -> list[pl.Series]:
    """Compute what the trees say of each row: `raw`, `risk`, `percentile` and `unfinished_risk`."""
    raw = model.main.predict_raw(matrix)
    risk = model.main.calibration.predict_risk(raw)
    unfinished = model.heads.get(UNFINISHED_TREATMENT.name)
    unfinished_risk = unfinished.predict_risk(matrix) if unfinished else [None] * len(matrix)
    return [
        pl.Series(RAW, raw),
        pl.Series(RISK, risk),
        pl.Series(PERCENTILE, model.main.rank_percentile(risk)),
        pl.Series(UNFINISHED_RISK, unfinished_risk, dtype=pl.Float64),
    ]


def tell_known(model: RiskModel, histories: Histories, rows: pl.DataFrame) -> pl.Series:
    """Tell of each row whether the target's count was met in the days before: `known` or `new`."""
    counted = count_past_events(histories, KnownRows(rows), model.main.target, model.lags)
    past = counted.collect(engine=_choose_engine(rows))[OUTCOME_EVENTS]
    is_known = (past >= model.main.target.min_count).to_numpy()
    return pl.Series(KNOWN_OR_NEW, np.where(is_known, "known", "new"), dtype=pl.String)


def rank_persons(scored: pl.DataFrame) -> pl.DataFrame:
    """Put persons in the order of every list: the highest `raw` score first, equal ones by their id.

    The raw score orders what is equal as a probability.
    """
    return scored.sort(RAW, s.PERSON_ID, descending=[True, False])


def _number_ranks(scored: pl.DataFrame) -> pl.DataFrame:
    return rank_persons(scored).with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(RANK))


def flag_rows(model: RiskModel, options: Options, absent: Sequence[str] = ()) -> pl.Expr:
    """Tell whether a row is flagged, by its rank or its risk; a risk without all tables tells nothing."""
    if options.capacity is not None:
        return (pl.col(RANK) <= options.capacity).alias(FLAGGED)
    if absent:
        return pl.lit(None, pl.Boolean).alias(FLAGGED)
    threshold = model.main.threshold if options.threshold is None else options.threshold
    return (pl.col(RISK) >= threshold).alias(FLAGGED)


def is_explained(options: Options) -> pl.Expr:
    """Tell whether a row is given reasons."""
    return {
        "flagged": pl.col(FLAGGED).fill_null(value=False),
        "all": pl.lit(value=True),
        "none": pl.lit(value=False),
    }[options.explain]


def tell_reasons(
    asked: pl.DataFrame,
    frame: pl.DataFrame,
    matrix: Matrix,
    tell: Callable[[pl.DataFrame, Matrix], list[list[Reason]]],
) -> pl.Series:
    """Tell the reasons of those asked for, and none of the others; all the rest is let go of."""
    places = asked.filter("is_told")[PLACE].to_list()
    told = dict(zip(places, tell(frame[places], matrix[places]), strict=True)) if places else {}
    rows = [[_to_struct(reason) for reason in told.get(place, [])] for place in asked[PLACE]]
    return pl.Series(REASONS, rows, dtype=pl.List(REASON))


def attach_reasons(ranked: pl.DataFrame, reasons: pl.Series, notes: pl.Series) -> pl.DataFrame:
    """Put a score together as `score` returns it; reasons and notes are lists, one for each row."""
    return ranked.select(
        s.PERSON_ID,
        s.INDEX_TIME,
        RISK,
        PERCENTILE,
        RANK,
        FLAGGED,
        KNOWN_OR_NEW,
        reasons,
        UNFINISHED_RISK,
        notes.alias(WARNINGS),
    )


def _to_struct(reason: Reason) -> dict[str, object]:
    return {field.name: getattr(reason, field.name) for field in REASON.fields}


def check_allowed(allow: Collection[str]) -> None:
    """Check that what is allowed is something that is usually refused.

    Raises
    ------
    ConfigError
        If it is not.
    """
    check_choices("allow", allow, get_args(Allowed))
