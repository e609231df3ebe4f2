"""Cohort: who is eligible at which index moment, and how many each rule left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

import numpy as np
import polars as pl

from somv_risk.calls.arguments import read_count, read_index_times
from somv_risk.calls.moments import Moment
from somv_risk.cohort.attrition import render_attrition
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories, check_histories

MOST_YEARS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Cohort:
    """Eligible rows and the attrition that led to them.

    `rows` has one row per eligible person and index moment (`person_id`, `index_time`), sorted by
    both. `attrition` has one row per rule in the order applied: `rule`, `rows_before`, `rows_after`.
    """

    rows: pl.LazyFrame
    attrition: pl.LazyFrame

    def _repr_html_(self) -> str:
        return render_attrition(self.attrition)

    def lazy(self) -> pl.LazyFrame:
        """Return the rows."""
        return self.rows


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
        Moments, or a single one; repeated ones count once. Those with a time zone are converted.

    Raises
    ------
    ConfigError
        If there is no index moment or a minimum is negative.
    """
    check_histories(histories)
    moments = read_index_times(index_times, histories.timezone)
    age = read_count("minimum_age_years", minimum_age_years, most=MOST_YEARS)
    residence = read_count("minimum_residence_days", minimum_residence_days, most=MOST_YEARS * 365)
    rules = [_list_rules(moment, age, residence) for moment in moments]
    eligible = [
        pl.all_horizontal(*of_moment.values()).fill_null(value=False).alias(str(place))
        for place, of_moment in enumerate(rules)
    ]
    # Persons are sorted and not rows, which are many times as many.
    persons = histories.persons.filter(pl.any_horizontal(eligible)).sort(s.PERSON_ID)
    rows = persons.select(s.PERSON_ID, *eligible).map_batches(
        partial(_list_rows, moments), schema={s.PERSON_ID: pl.String(), s.INDEX_TIME: pl.Datetime("us")}
    )
    return Cohort(rows, _count_attrition(histories.persons, rules))


def _list_rows(moments: Sequence[datetime], eligible: pl.DataFrame) -> pl.DataFrame:
    """List the moments at which each person is eligible; beside the id there is a column for each moment."""
    person, moment = np.nonzero(eligible.drop(s.PERSON_ID).to_numpy())
    times = pl.Series(s.INDEX_TIME, moments, pl.Datetime("us"))
    return pl.DataFrame([eligible[s.PERSON_ID].gather(person), times.gather(moment)])


def compute_age_years() -> pl.Expr:
    """Compute age in completed years at the index, from `birth_date` and `index_time`.

    Someone born on 29 February turns a year older on 1 March of a common year.
    """
    birth, index = pl.col(s.BIRTH_DATE), pl.col(s.INDEX_TIME).dt.date()
    had_birthday = (birth.dt.month() < index.dt.month()) | (
        (birth.dt.month() == index.dt.month()) & (birth.dt.day() <= index.dt.day())
    )
    return index.dt.year() - birth.dt.year() - (~had_birthday).cast(pl.Int32)


def _list_rules(index: datetime, age_years: int, residence_days: int) -> Mapping[str, pl.Expr]:
    """List what makes a person eligible at an index; constants are compared much faster than a column."""
    since, until = pl.col(s.OBSERVED_FROM), pl.col(s.OBSERVED_UNTIL)
    return {
        "born": pl.col(s.BIRTH_DATE) <= index,
        "alive": (pl.col(s.DEATH_DATE) >= index).fill_null(value=True),
        f"at_least_{age_years}_years_old": pl.col(s.BIRTH_DATE) <= _find_latest_birth(index, age_years),
        "resident_at_the_index": (until > index).fill_null(value=True),
        f"resident_for_{residence_days}_days": (since <= index - timedelta(days=residence_days)).fill_null(
            value=True
        ),
    }


def _find_latest_birth(index: datetime, age_years: int) -> date:
    """Find the birth date of the youngest who are so old: a leap day is the last of February elsewhere."""
    year = index.year - age_years
    if year < date.min.year:
        return date.min
    try:
        return date(year, index.month, index.day)
    except ValueError:
        return date(year, index.month, index.day - 1)


def _count_attrition(persons: pl.LazyFrame, rules: Sequence[Mapping[str, pl.Expr]]) -> pl.LazyFrame:
    names = ["candidates", *rules[0]]
    counts = pl.concat(persons.select(_count_passed(of_moment)) for of_moment in rules).sum()
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


def _count_passed(rules: Mapping[str, pl.Expr]) -> list[pl.Expr]:
    """Count the candidates, and those who pass each rule and all before it."""
    passed = [pl.col(s.PERSON_ID).is_not_null()]
    for rule in rules.values():
        passed.append(passed[-1] & rule)
    names = ["candidates", *rules]
    return [expr.sum().cast(pl.Int64).alias(name) for name, expr in zip(names, passed, strict=True)]
