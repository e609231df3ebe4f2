"""Outcomes: what happened in the horizon that starts at the index moment."""

import re
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from somv_risk.cohort.asof import KEY, NO_LAGS, Lags
from somv_risk.cohort.bounds import see_all_contacts
from somv_risk.cohort.cohort_rows import CohortLike, read_cohort
from somv_risk.cohort.stays import (
    HAS_PSYCHIATRIC,
    IS_ACUTE,
    IS_ADMISSION,
    LASTED,
    build_known_stays,
    build_stays,
)
from somv_risk.cohort.windows import Horizon, Lookback
from somv_risk.errors import ConfigError
from somv_risk.registers import schema as s
from somv_risk.registers.codes import clean_code, is_beginning
from somv_risk.registers.histories import Histories

# It becomes part of the names of files, columns and metrics.
TARGET_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
OUTCOME = "outcome"
OUTCOME_EVENTS = "outcome_events"
ADMISSIONS_AFTER = "admissions"
BED_DAYS_AFTER = "bed_days"
_COUNTED_AT = "counted_at"
_MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """What the model predicts: at least `min_count` events in the horizon.

    `counts` is "admissions" (by their start) or "unfinished_stays" (any stay, by its end, that ended
    because the person left). `excluded_diagnoses` are ICD-10 prefixes of the first contact's diagnosis,
    read as the codes of a delivery are (DF10.2 is F102); none are excluded by default, because the usual
    exclusions hide the citizens this library looks for. `death` within the horizon, with the threshold not
    met, is "negative", "exclude" (null) or "event".
    """

    name: str
    counts: Literal["admissions", "unfinished_stays"] = "admissions"
    min_count: int = 3
    horizon: Horizon = Horizon(365)
    sectors: tuple[str, ...] = s.SECTORS
    admission_types: tuple[str, ...] = ("acute",)
    excluded_diagnoses: tuple[str, ...] = ()
    death: Literal["negative", "exclude", "event"] = "negative"

    def __post_init__(self) -> None:
        if not TARGET_NAME.fullmatch(self.name):
            raise ConfigError(
                "The name of a target is not up to 63 small letters, digits and underscores, a letter first. "
                "Name it like frequent_admission."
            )
        if self.min_count < 1:
            raise ConfigError(f"Target {self.name} counts from {self.min_count}. Give at least 1.")
        _check_subset(self.name, "sectors", self.sectors, s.SECTORS)
        _check_subset(self.name, "admission types", self.admission_types, s.ADMISSION_TYPES)
        object.__setattr__(self, "excluded_diagnoses", tuple(map(clean_code, self.excluded_diagnoses)))
        _check_codes(self.name, self.excluded_diagnoses)


def _check_subset(target: str, what: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    if not given or set(given) - set(known):
        raise ConfigError(f"Target {target} names {what} {list(given)}. Give some of {list(known)}.")


def _check_codes(target: str, prefixes: tuple[str, ...]) -> None:
    malformed = [prefix for prefix in prefixes if not is_beginning(prefix)]
    if malformed:
        raise ConfigError(
            f"Target {target} excludes diagnoses {malformed}, which begin no ICD-10 code. "
            "Write them like F10, F102 or F."
        )


FREQUENT_ADMISSION = Target("frequent_admission")
UNFINISHED_TREATMENT = Target(
    "unfinished_treatment", counts="unfinished_stays", min_count=1, admission_types=s.ADMISSION_TYPES
)


def label_outcomes(
    histories: Histories, cohort: CohortLike, target: Target = FREQUENT_ADMISSION
) -> pl.LazyFrame:
    """Label each cohort row with its outcome.

    Returns
    -------
    One row per cohort row in cohort order: `person_id`, `index_time`, `outcome_events` (Int32, number
    of events seen in the horizon) and `outcome` (Boolean; null when follow-up ends before the horizon,
    or before a death in it, and the threshold was not met, when the person was dead before the index, or
    when a death is to be excluded).

    Raises
    ------
    InputError
        If the cohort cannot be read, or, once the frame is collected, names persons not in the histories.
    """
    rows = read_cohort(histories, cohort)
    moments = rows.unique()
    counts = _count_events(histories, moments, target)
    fates = histories.persons.select(s.PERSON_ID, s.DEATH_DATE, s.OBSERVED_UNTIL)
    labelled = (
        moments.join(counts, on=KEY, how="left")
        .join(fates, on=s.PERSON_ID, how="left")
        .join(histories.follow_up_end(), how="cross")
        .with_columns(pl.col(OUTCOME_EVENTS).fill_null(0))
        .select(*KEY, OUTCOME_EVENTS, _decide(target).alias(OUTCOME))
    )
    return rows.join(labelled, on=KEY, how="left", maintain_order="left")


def measure_burden(histories: Histories, rows: CohortLike, horizon: Horizon) -> pl.LazyFrame:
    """Measure what care followed: acute admissions that start in the horizon, and their days in it.

    Returns
    -------
    One row per cohort row in cohort order: `person_id`, `index_time`, `admissions` (Int32) and `bed_days`
    (Float64; the part of these admissions inside the horizon; an open one lasts until the data end).
    """
    asked = read_cohort(histories, rows)
    acute = build_outcome_stays(histories).filter(IS_ADMISSION, IS_ACUTE)
    began = pl.col(s.STARTED_AT)
    days_in = pl.min_horizontal(began + pl.col(LASTED), pl.col(s.INDEX_TIME) + horizon.length) - began
    followed = asked.unique().join(acute.select(s.PERSON_ID, s.STARTED_AT, LASTED), on=s.PERSON_ID)
    burden = (
        followed.filter(horizon.contains(began, pl.col(s.INDEX_TIME)))
        .group_by(KEY)
        .agg(
            pl.len().cast(pl.Int32).alias(ADMISSIONS_AFTER),
            (days_in.dt.total_microseconds().sum() / _MICROSECONDS_A_DAY).alias(BED_DAYS_AFTER),
        )
    )
    return asked.join(burden, on=KEY, how="left", maintain_order="left").with_columns(
        pl.col(ADMISSIONS_AFTER, BED_DAYS_AFTER).fill_null(0)
    )


def build_outcome_stays(histories: Histories) -> pl.LazyFrame:
    """Build all stays with everything that was ever known; an open one lasts until the data end.

    The bounds are those of the data end, and nothing counts after a death, whenever that became known.
    """
    return build_stays(see_all_contacts(histories), by=[s.PERSON_ID])


def _count_events(histories: Histories, moments: pl.LazyFrame, target: Target) -> pl.LazyFrame:
    counted = build_outcome_stays(histories).filter(*_counts(target)).select(s.PERSON_ID, _moment_of(target))
    in_horizon = target.horizon.contains(pl.col(_COUNTED_AT), pl.col(s.INDEX_TIME))
    return moments.join(counted, on=s.PERSON_ID).filter(in_horizon).group_by(KEY).agg(_count())


def _moment_of(target: Target) -> pl.Expr:
    return pl.col(s.STARTED_AT if target.counts == "admissions" else s.ENDED_AT).alias(_COUNTED_AT)


def _counts(target: Target) -> list[pl.Expr]:
    wanted = [_is_in_sectors(target), _has_admission_type(target), ~_is_excluded(target)]
    if target.counts == "admissions":
        return [pl.col(IS_ADMISSION), *wanted]
    return [pl.col(s.DISCHARGE) == "left_early", *wanted]


def _is_in_sectors(target: Target) -> pl.Expr:
    if set(target.sectors) == set(s.SECTORS):
        return pl.lit(value=True)
    return pl.col(HAS_PSYCHIATRIC) if set(target.sectors) == {"psychiatric"} else ~pl.col(HAS_PSYCHIATRIC)


def _has_admission_type(target: Target) -> pl.Expr:
    is_acute = pl.col(IS_ACUTE)
    wanted = [is_acute if name == "acute" else ~is_acute for name in target.admission_types]
    return pl.any_horizontal(wanted)


def _is_excluded(target: Target) -> pl.Expr:
    prefixes = target.excluded_diagnoses
    if not prefixes:
        return pl.lit(value=False)
    return pl.any_horizontal(pl.col(s.DIAGNOSIS).str.starts_with(prefix) for prefix in prefixes).fill_null(
        value=False
    )


def _decide(target: Target) -> pl.Expr:
    index, death = pl.col(s.INDEX_TIME), pl.col(s.DEATH_DATE).cast(pl.Datetime("us"))
    horizon_end = index + target.horizon.length
    followed_until = pl.min_horizontal("data_end", pl.col(s.OBSERVED_UNTIL).cast(pl.Datetime("us")))
    death_counts = {"negative": False, "exclude": None, "event": True}[target.death]
    return (
        pl.when(death < index)
        .then(None)
        .when(pl.col(OUTCOME_EVENTS) >= target.min_count)
        .then(pl.lit(value=True))
        .when(pl.col("data_end").is_null() | (followed_until < pl.min_horizontal(death, horizon_end)))
        .then(None)
        .when(death < horizon_end)
        .then(pl.lit(death_counts, dtype=pl.Boolean))
        .otherwise(pl.lit(value=False))
    )


def count_past_events(
    histories: Histories, rows: CohortLike, target: Target, lags: Lags = NO_LAGS
) -> pl.LazyFrame:
    """Count the target's events in the look-back of the horizon's length, as known at the index.

    Returns
    -------
    One row per cohort row in cohort order: `person_id`, `index_time`, `outcome_events` (Int32).
    """
    asked = read_cohort(histories, rows)
    moments, window = asked.unique(), Lookback(target.horizon.days)
    stays = build_known_stays(histories, moments, lags)
    age = (pl.col(s.INDEX_TIME) - _moment_of(target)).dt.total_microseconds()
    counts = stays.filter(*_counts(target), window.contains(age)).group_by(KEY).agg(_count())
    return asked.join(counts, on=KEY, how="left", maintain_order="left").with_columns(
        pl.col(OUTCOME_EVENTS).fill_null(0)
    )


def _count() -> pl.Expr:
    return pl.len().cast(pl.Int32).alias(OUTCOME_EVENTS)
