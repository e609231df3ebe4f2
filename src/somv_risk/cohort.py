"""Cohort: who is eligible at which index moment, and how many each rule left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from somv_risk import schema as s
from somv_risk.asof import KEY
from somv_risk.errors import ConfigError
from somv_risk.histories import Histories

Moment = str | date | datetime


@dataclass(frozen=True, slots=True)
class Cohort:
    """Eligible rows and the attrition that led to them.

    `rows` has one row per eligible person and index moment (`person_id`, `index_time`), sorted by
    both. `attrition` has one row per rule in the order applied: `rule`, `rows_before`, `rows_after`.
    """

    rows: pl.LazyFrame
    attrition: pl.LazyFrame

    def lazy(self) -> pl.LazyFrame:
        """Return the rows."""
        return self.rows


def parse_moment(value: Moment) -> datetime:
    """Read an index moment: a naive datetime, a date, or ISO text of either.

    Examples
    --------
    >>> parse_moment("2026-01-01")
    datetime.datetime(2026, 1, 1, 0, 0)
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ConfigError(
            f"{value!r} is not a moment. Write it like 2026-01-31 or 2026-01-31T08:15."
        ) from None
    if not isinstance(moment, datetime):
        return datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is not None:
        raise ConfigError("An index moment has a time zone. Give naive local wall-clock time.")
    return moment


def make_cohort(
    histories: Histories,
    index_times: Iterable[Moment],
    *,
    minimum_age_years: int = 18,
    minimum_residence_days: int = 365,
) -> Cohort:
    """Make the cohort of all persons at the given index moments.

    A person is eligible at an index moment when alive, old enough, and resident in the region at that
    moment and throughout the days before it. A person who dies on the day of the index is alive at
    its midnight; one whose residence ends at the index is not resident. Unknown residence dates do not
    exclude.

    Parameters
    ----------
    index_times
        Moments; repeated ones count once.

    Raises
    ------
    ConfigError
        If there is no index moment or a minimum is negative.
    """
    moments = sorted({parse_moment(value) for value in index_times})
    if not moments:
        raise ConfigError("A cohort needs at least one index moment. Give index_times=[...].")
    if minimum_age_years < 0 or minimum_residence_days < 0:
        raise ConfigError("A minimum age or residence is negative. Give 0 or more.")
    rules = _eligibility_rules(minimum_age_years, minimum_residence_days)
    index = pl.LazyFrame({s.INDEX_TIME: moments}, schema={s.INDEX_TIME: pl.Datetime("us")})
    candidates = histories.persons.join(index, how="cross")
    rows = candidates.filter(*rules.values()).select(KEY).sort(KEY)
    return Cohort(rows, _count_attrition(candidates, rules))


def compute_age_years() -> pl.Expr:
    """Compute age in completed years at the index, from `birth_date` and `index_time`.

    Someone born on 29 February turns a year older on 1 March of a common year.
    """
    birth, index = pl.col(s.BIRTH_DATE), pl.col(s.INDEX_TIME).dt.date()
    had_birthday = (birth.dt.month() < index.dt.month()) | (
        (birth.dt.month() == index.dt.month()) & (birth.dt.day() <= index.dt.day())
    )
    return index.dt.year() - birth.dt.year() - (~had_birthday).cast(pl.Int32)


def _eligibility_rules(age_years: int, residence_days: int) -> Mapping[str, pl.Expr]:
    index = pl.col(s.INDEX_TIME)
    since, until = pl.col(s.OBSERVED_FROM), pl.col(s.OBSERVED_UNTIL)
    return {
        "born": pl.col(s.BIRTH_DATE) <= index,
        "alive": (pl.col(s.DEATH_DATE) >= index).fill_null(value=True),
        f"at_least_{age_years}_years_old": compute_age_years() >= age_years,
        "resident_at_the_index": (until > index).fill_null(value=True),
        f"resident_for_{residence_days}_days": (since <= index - timedelta(days=residence_days)).fill_null(
            value=True
        ),
    }


def _count_attrition(candidates: pl.LazyFrame, rules: Mapping[str, pl.Expr]) -> pl.LazyFrame:
    names = ["candidates", *rules]
    passed = [pl.col(s.PERSON_ID).is_not_null()]
    for rule in rules.values():
        passed.append(passed[-1] & rule)
    counts = candidates.select(
        expr.sum().cast(pl.Int64).alias(name) for name, expr in zip(names, passed, strict=True)
    )
    steps = counts.unpivot(on=names, variable_name=s.RULE, value_name="rows_after")
    order = pl.LazyFrame({s.RULE: names, "step": range(len(names))})
    return (
        steps.join(order, on=s.RULE)
        .sort("step")
        .select(
            s.RULE,
            pl.col("rows_after").shift(1).fill_null(pl.col("rows_after")).alias("rows_before"),
            "rows_after",
        )
    )
