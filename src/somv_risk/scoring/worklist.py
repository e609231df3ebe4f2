"""The worklist: the flagged persons, what a team needs to know of them, and their last two years."""

from datetime import timedelta
from typing import Final

import polars as pl

from somv_risk.cohort.asof import KEY, NO_LAGS, Lags
from somv_risk.cohort.bounds import build_bounded_view
from somv_risk.cohort.cohort import compute_age_years
from somv_risk.cohort.stays import HAS_PSYCHIATRIC, IS_ACUTE, IS_ADMISSION, build_known_stays
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.score import FLAGGED, KNOWN_OR_NEW, PERCENTILE, RANK, REASONS, RISK, UNFINISHED_RISK

SHOWN: Final = timedelta(days=730)
CATEGORY: Final = "category"
UNFINISHED: Final = "unfinished"
TABLE: Final = "table"
EVENT_COLUMNS: Final = (s.PERSON_ID, TABLE, s.STARTED_AT, s.ENDED_AT, CATEGORY, UNFINISHED)


def build_worklist(scores: pl.DataFrame) -> pl.DataFrame:
    """Build the flat worklist: one row per flagged person, highest risk first, reasons as plain text."""
    return scores.filter(FLAGGED).select(
        RANK,
        s.PERSON_ID,
        s.INDEX_TIME,
        RISK,
        PERCENTILE,
        KNOWN_OR_NEW,
        UNFINISHED_RISK,
        pl.col(REASONS).list.eval(pl.element().struct.field("text")).list.join(" | ").alias(REASONS),
    )


def describe_persons(histories: Histories, scores: pl.DataFrame) -> pl.DataFrame:
    """Describe the scored persons: `person_id`, `age_years`, `sex`, `municipality`."""
    rows = scores.lazy().select(s.PERSON_ID, s.INDEX_TIME)
    described = rows.join(histories.persons, on=s.PERSON_ID, how="left", maintain_order="left")
    age = compute_age_years().cast(pl.Int32).alias("age_years")
    return described.select(s.PERSON_ID, age, s.SEX, s.MUNICIPALITY).collect()


def build_timeline_events(histories: Histories, scores: pl.DataFrame, lags: Lags = NO_LAGS) -> pl.DataFrame:
    """Build what was known of the scored persons in the 730 days before the index, ready to draw.

    Returns
    -------
    One row per event: `person_id`, `table`, `started_at`, `ended_at` (null while unknown or for a
    point), `category`, `unfinished`. Hospital contacts are merged to stays.
    """
    moments = scores.lazy().select(KEY)
    own = histories.keep_persons(moments)

    def known(table: str) -> pl.LazyFrame:
        seen = build_bounded_view(own.table(table), moments, own.persons, table, lags.of(table))
        has_length = pl.col(s.ENDED_AT) != pl.col(s.STARTED_AT)
        lasting = pl.when(has_length).then(pl.col(s.ENDED_AT))
        return seen.with_columns(lasting) if s.TABLES[table].is_point else seen

    parts = [
        _draw_stays(build_known_stays(own, moments, lags)),
        _draw(known(s.PSYCHIATRIC_CONTACTS), s.PSYCHIATRIC_CONTACTS, _category_of_contact()),
        _draw(known(s.SUBSTANCE_ABUSE), s.SUBSTANCE_ABUSE, pl.lit("substance_treatment"), _dropped_out()),
        _draw(known(s.SOCIAL_SERVICES), s.SOCIAL_SERVICES, _category_of_service()),
        _draw(known(s.PRIMARY_CARE), s.PRIMARY_CARE, pl.lit("primary_care")),
    ]
    return pl.concat(parts).sort(s.PERSON_ID, s.STARTED_AT, CATEGORY, s.ENDED_AT, UNFINISHED, TABLE).collect()


def _draw(
    events: pl.LazyFrame, table: str, category: pl.Expr, unfinished: pl.Expr | None = None
) -> pl.LazyFrame:
    is_shown = pl.col(s.ENDED_AT).fill_null(pl.col(s.INDEX_TIME)) > pl.col(s.INDEX_TIME) - SHOWN
    is_unfinished = pl.lit(value=False) if unfinished is None else unfinished.fill_null(value=False)
    return (
        events.with_columns(
            pl.lit(table).alias(TABLE), category.alias(CATEGORY), is_unfinished.alias(UNFINISHED)
        )
        .filter(is_shown, pl.col(CATEGORY).is_not_null())
        .select(EVENT_COLUMNS)
    )


def _draw_stays(stays: pl.LazyFrame) -> pl.LazyFrame:
    category = (
        pl.when(pl.col(HAS_PSYCHIATRIC) & pl.col(IS_ADMISSION))
        .then(pl.lit("psychiatric_admission"))
        .when(pl.col(IS_ACUTE) & pl.col(IS_ADMISSION))
        .then(pl.lit("acute_admission"))
        .when(pl.col(IS_ADMISSION))
        .then(pl.lit("planned_admission"))
        .when(pl.col(IS_ACUTE))
        .then(pl.lit("emergency_visit"))
    )
    return _draw(stays, s.ADMISSIONS, category, pl.col(s.DISCHARGE) == "left_early")


def _category_of_contact() -> pl.Expr:
    attendance = pl.col(s.ATTENDANCE)
    return (
        pl.when(attendance == "no_show")
        .then(pl.lit("no_show"))
        .when(attendance.is_in(["attended", "unknown"]))
        .then(pl.lit("psychiatric_contact"))
    )


def _category_of_service() -> pl.Expr:
    service = pl.col(s.SERVICE)
    is_home = service.is_in(["home_care", "home_nursing", "supported_housing", "support"])
    return pl.when(service == "shelter").then(pl.lit("shelter")).when(is_home).then(pl.lit("home_care"))


def _dropped_out() -> pl.Expr:
    return pl.col(s.END_REASON) == "dropped_out"
