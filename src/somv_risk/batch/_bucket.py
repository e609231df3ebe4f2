"""Buckets: what is worked out of one bucket's persons, and needs nothing outside it."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import numpy as np
import polars as pl

from somv_risk.batch._memory import give_back_memory
from somv_risk.batch._rest import (
    BACKGROUND,
    BACKGROUND_TYPE,
    find_resting,
    list_backgrounds,
    read_backgrounds,
)
from somv_risk.cohort.asof import KEY
from somv_risk.model.matrix import Matrix, Rows, build_matrices
from somv_risk.model.model import RiskModel
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.notes import count_notes, list_absent, list_warnings
from somv_risk.scoring.options import Options
from somv_risk.scoring.reasons import Reason
from somv_risk.scoring.score import (
    KNOWN_OR_NEW,
    PERCENTILE,
    PLACE,
    RANK,
    RAW,
    REASON,
    REASONS,
    RISK,
    TOLD_AT_ONCE,
    UNFINISHED_RISK,
    attach_reasons,
    collect_features,
    compute_risks,
    explain_rows,
    find_eligible,
    flag_rows,
    is_explained,
    rank_persons,
    tell_known,
    tell_reasons,
)

RISKS: Final = pl.Schema(
    {
        s.PERSON_ID: pl.String(),
        s.INDEX_TIME: pl.Datetime("us"),
        RAW: pl.Float64(),
        RISK: pl.Float64(),
        PERCENTILE: pl.Float64(),
        UNFINISHED_RISK: pl.Float64(),
        KNOWN_OR_NEW: pl.String(),
        BACKGROUND: BACKGROUND_TYPE,
    }
)
_THEN: Final = "_then"


def score_bucket(
    model: RiskModel, histories: Histories, index_time: datetime, kept: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Score the eligible persons of a bucket, some thousand at a time.

    Parameters
    ----------
    histories
        A bucket of a store, or any other set of persons.
    kept
        Rows that need not be computed, as `keep_unchanged` gives them.

    Returns
    -------
    One row per eligible person, the highest first as `score` ranks them: `person_id`, `index_time`, `raw`
    (log-odds before calibration), `risk`, `percentile`, `unfinished_risk`, `known_or_new`, and `background`
    (the numbers of age, sex and the like if a person's features say nothing else; null for all others).
    """
    cohort = find_eligible(model, histories, index_time).rows.collect()
    taken = pl.DataFrame(schema=RISKS) if kept is None else kept
    others = cohort.join(taken, on=s.PERSON_ID, how="anti", maintain_order="left")
    return rank_persons(pl.concat([taken, *_score_pieces(model, histories, others)]))


def keep_unchanged(
    model: RiskModel, histories: Histories, index_time: datetime, earlier: pl.DataFrame
) -> pl.DataFrame:
    """Keep, of what `score_bucket` gave at an earlier moment, the rows of those who cannot have changed.

    They rest now, were as quiet then, and have the same background; `earlier` must be of the same model.
    """
    cohort = find_eligible(model, histories, index_time).rows.collect()
    resting = cohort.join(find_resting(model, histories, index_time), on=s.PERSON_ID, how="semi")
    if resting.is_empty():
        return pl.DataFrame(schema=RISKS)
    now = resting.with_columns(read_backgrounds(model, histories, resting))
    then = earlier.filter(pl.col(BACKGROUND).is_not_null()).drop(s.INDEX_TIME, KNOWN_OR_NEW)
    both = now.join(then, on=s.PERSON_ID, suffix=_THEN)
    same = both.filter(pl.col(BACKGROUND).eq_missing(pl.col(f"{BACKGROUND}{_THEN}")))
    return same.with_columns(pl.lit("new").alias(KNOWN_OR_NEW)).select(RISKS.names())


def _score_pieces(model: RiskModel, histories: Histories, rows: pl.DataFrame) -> list[pl.DataFrame]:
    if rows.is_empty():
        return []
    known = tell_known(model, histories, rows)
    pieces = build_matrices(model.see(histories), rows, model.encoding, lags=model.lags)
    backgrounds = partial(list_backgrounds, model, histories.absent)
    return [_score_piece(model, piece, known, backgrounds) for piece in pieces]


def _score_piece(
    model: RiskModel, piece: Rows, known: pl.Series, list_them: Callable[[Matrix], pl.Series]
) -> pl.DataFrame:
    told = [*compute_risks(model, piece.matrix), known[piece.places], list_them(piece.matrix)]
    return piece.cohort.with_columns(told).select(RISKS.names())


def keep_reasons(risks: pl.DataFrame, earlier: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Keep reasons given at an earlier moment to persons who were and are known by their background alone.

    Rows of the matrix that say nothing but the same background are equal, and so are their reasons, if the
    background is whole: a value that training has not met is null in the matrix, and told by its name.

    Parameters
    ----------
    risks, earlier
        What `score_bucket` gave of the bucket now and at the earlier moment, by the same model.
    told
        What `explain_bucket` gave at the earlier moment, with the same options; whoever has no reasons there
        was not explained.

    Returns
    -------
    `person_id` and `reasons`.
    """
    quiet = risks.select(s.PERSON_ID, BACKGROUND).drop_nulls(BACKGROUND)
    both = quiet.join(earlier.select(s.PERSON_ID, BACKGROUND), on=s.PERSON_ID, suffix=_THEN)
    is_whole = pl.col(BACKGROUND).list.drop_nulls().list.len() == pl.col(BACKGROUND).list.len()
    same = both.filter(is_whole, pl.col(BACKGROUND) == pl.col(f"{BACKGROUND}{_THEN}"))
    explained = told.filter(pl.col(REASONS).list.len() > 0).select(s.PERSON_ID, REASONS)
    return explained.join(same, on=s.PERSON_ID, how="semi")


def explain_bucket(
    model: RiskModel,
    histories: Histories,
    ranked: pl.DataFrame,
    options: Options,
    kept: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Flag and explain the persons of a bucket, whose rank in the region is known.

    Parameters
    ----------
    ranked
        What `score_bucket` gave of the bucket, with the column `rank`.
    kept
        Reasons that need not be told anew, as `keep_reasons` gives them.

    Returns
    -------
    The rows of `score` of these persons, in order of rank.
    """
    in_order = ranked.sort(RANK)
    absent = list_absent(model, histories)
    flagged = in_order.with_columns(flag_rows(model, options, absent))
    asked = flagged.with_columns(is_explained(options).alias(PLACE))[PLACE]
    tell = partial(explain_rows, model, options=options, absent=absent)
    known = _place_reasons(flagged, kept)
    told = _tell(model, histories, flagged.select(KEY), asked & known.is_null(), tell)
    reasons = told.zip_with(~asked | known.is_null(), known)
    rows = flagged.select(KEY)
    counts = count_notes(model, histories, rows)
    notes = list_warnings(model, histories, rows, counts, language=options.language)
    return attach_reasons(flagged, reasons, notes)


def _place_reasons(rows: pl.DataFrame, kept: pl.DataFrame | None) -> pl.Series:
    """Place the reasons kept beside the rows they are of; null for all others."""
    given = pl.DataFrame(schema={s.PERSON_ID: pl.String, REASONS: pl.List(REASON)}) if kept is None else kept
    return rows.select(s.PERSON_ID).join(given, on=s.PERSON_ID, how="left", maintain_order="left")[REASONS]


def _tell(
    model: RiskModel,
    histories: Histories,
    rows: pl.DataFrame,
    asked: pl.Series,
    tell: Callable[[pl.DataFrame, Matrix], list[list[Reason]]],
) -> pl.Series:
    """Tell the reasons of the rows asked for, some thousand at a time, and none of the others."""
    is_asked = asked.to_numpy()
    none = pl.Series(REASONS, [[]], dtype=pl.List(REASON))
    told = [none]
    for part in rows.filter(asked).iter_slices(TOLD_AT_ONCE):
        frame = collect_features(model, histories, part)
        places = frame.select(pl.int_range(pl.len()).alias(PLACE), is_told=True)
        told.append(tell_reasons(places, frame, model.encoding.to_matrix(frame), tell))
        give_back_memory()
    return pl.concat(told)[np.where(is_asked, np.cumsum(is_asked), 0)]
