"""Benefits: the spells on each social benefit, and those outside the labour market."""

import numpy as np

from benchmarks.kernel.columns import compiled, find_column, find_columns, find_single
from benchmarks.kernel.events import look_at
from benchmarks.kernel.loading import Benefits
from benchmarks.kernel.measures import (
    Row,
    Sums,
    add_days,
    add_days_trend,
    count,
    count_bits,
    keep_most_inside,
    write_days,
)
from benchmarks.kernel.spells import EACH_ALONE, SKIPPED, Spells, join_spells, order_ties, reaches
from somv_risk.cohort.windows import MICROSECONDS_PER_DAY as DAY
from somv_risk.registers import schema as s

SELF_SUPPORT, SICKNESS = map(s.BENEFITS.index, ("self_support", "sickness"))
OUTSIDE = ("social_assistance", "sickness", "rehabilitation", "early_retirement")
OUTSIDE_AS_ONE = np.array([0 if benefit in OUTSIDE else SKIPPED for benefit in s.BENEFITS])

# In the order of the schema.
ON_BENEFIT = find_columns(
    "on_self_support",
    "on_education",
    "on_unemployment",
    "on_social_assistance",
    "on_sickness",
    "on_rehabilitation",
    "on_flex_job",
    "on_early_retirement",
    "on_pension",
    "on_parental",
    "on_other_benefit",
)
BENEFIT_DAYS = find_columns(
    "self_support_days",
    "education_days",
    "unemployment_days",
    "social_assistance_days",
    "sickness_days",
    "rehabilitation_days",
    "flex_job_days",
    "early_retirement_days",
    "pension_days",
    "parental_days",
    "other_benefit_days",
)
BENEFIT_SWITCHES = find_column("benefit_switches")
DAYS_ON_CURRENT_BENEFIT = find_column("days_on_current_benefit")
NEVER_SELF_SUPPORTED = find_single("never_self_supported")
DIFFERENT_BENEFITS = find_single("benefits")
LONGEST_PUBLIC_BENEFIT = find_single("longest_public_benefit")
OUTSIDE_LABOUR_MARKET = find_column("outside_labour_market")
DAYS_OUTSIDE_LABOUR_MARKET = find_column("days_outside_labour_market")
LONGEST_OUTSIDE_LABOUR_MARKET = find_single("longest_outside_labour_market")
SELF_SUPPORT_DAYS_TREND = find_single("self_support_days_trend")
SICKNESS_DAYS_TREND = find_single("sickness_days_trend")


@compiled
def fill_benefits(row: Row, sums: Sums, spells: Spells, benefits: Benefits, person: int, index: int) -> None:
    events = look_at(benefits, person, index)
    if events.begin == events.end:
        return
    found = join_spells(spells, events, benefits.benefit, EACH_ALONE)
    order_ties(spells, found)
    received = reaching = 0
    for i in range(found):
        benefit, start_age, end_age = spells.kind[i], spells.start_age[i], spells.end_age[i]
        _fill_benefit_spell(row, sums, benefit, start_age, end_age)
        received |= 1 << benefit
        if i > 0 and benefit != spells.kind[i - 1]:
            count(row, BENEFIT_SWITCHES, start_age)
        if reaches(NEVER_SELF_SUPPORTED.windows[0], start_age, end_age):
            was_supported = benefit == SELF_SUPPORT or row[NEVER_SELF_SUPPORTED.first] == 0
            row[NEVER_SELF_SUPPORTED.first] = not was_supported
        if reaches(DIFFERENT_BENEFITS.windows[0], start_age, end_age):
            reaching |= 1 << benefit
    row[DIFFERENT_BENEFITS.first] = count_bits(reaching)
    for benefit in range(len(BENEFIT_DAYS)):
        if received >> benefit & 1:
            write_days(row, sums, BENEFIT_DAYS[benefit])
    write_days(row, sums, SELF_SUPPORT_DAYS_TREND)
    write_days(row, sums, SICKNESS_DAYS_TREND)
    _fill_outside(row, sums, spells, join_spells(spells, events, benefits.benefit, OUTSIDE_AS_ONE))


@compiled
def _fill_outside(row: Row, sums: Sums, spells: Spells, found: int) -> None:
    """Fill the spells outside the labour market."""
    for i in range(found):
        start_age, end_age = spells.start_age[i], spells.end_age[i]
        if end_age == 0:
            row[OUTSIDE_LABOUR_MARKET.first] = 1
        add_days(sums, DAYS_OUTSIDE_LABOUR_MARKET, start_age, end_age)
        keep_most_inside(row, LONGEST_OUTSIDE_LABOUR_MARKET, start_age, end_age)
    write_days(row, sums, DAYS_OUTSIDE_LABOUR_MARKET)


@compiled
def _fill_benefit_spell(row: Row, sums: Sums, benefit: int, start_age: int, end_age: int) -> None:
    add_days(sums, BENEFIT_DAYS[benefit], start_age, end_age)
    if end_age == 0:
        row[ON_BENEFIT[benefit].first] = 1
        # The spells ascend in time, so that the last one written started latest.
        row[DAYS_ON_CURRENT_BENEFIT.first] = start_age / DAY
    if benefit == SELF_SUPPORT:
        add_days_trend(sums, SELF_SUPPORT_DAYS_TREND, start_age, end_age)
    else:
        keep_most_inside(row, LONGEST_PUBLIC_BENEFIT, start_age, end_age)
        if benefit == SICKNESS:
            add_days_trend(sums, SICKNESS_DAYS_TREND, start_age, end_age)
