"""Substance: the episodes of substance treatment."""

import numpy as np

from benchmarks.kernel.columns import compiled, find_column, find_columns, find_single
from benchmarks.kernel.events import count_different, find_end_age, find_start_age, is_seen, look_at
from benchmarks.kernel.loading import NEVER, Treatments
from benchmarks.kernel.measures import (
    Integers,
    Row,
    Sums,
    Tally,
    add_days,
    add_days_trend,
    add_share,
    count,
    count_bits,
    keep_least_age,
    keep_most_age,
    keep_most_inside,
    write_days,
    write_share,
)
from benchmarks.kernel.sectors import SUBSTANCE, note_sector
from benchmarks.kernel.spells import ALL_AS_ONE, Spells, join_spells
from benchmarks.kernel.stays import Stays, is_inside_any
from somv_risk.registers import schema as s

UNSEEN = np.int64(NEVER)

SUBSTANCE_UNKNOWN = s.SUBSTANCES.index("unknown")
DROPPED_OUT, COMPLETED = map(s.END_REASONS.index, ("dropped_out", "completed"))

# In the order of the schema; an unknown substance has no column.
TREATMENTS_FOR = find_columns(
    "alcohol_treatments",
    "opioids_treatments",
    "cannabis_treatments",
    "stimulants_treatments",
    "sedatives_treatments",
    "other_substance_treatments",
)
DROP_OUTS = find_column("treatment_drop_outs")
DROP_OUT_SHARE = find_column("drop_out_share")
LAST_DROPPED_OUT = find_single("last_treatment_dropped_out")
IN_TREATMENT = find_column("in_substance_treatment")
TREATMENT_DAYS = find_column("substance_treatment_days")
TREATMENT_STARTS = find_column("substance_treatment_starts")
TREATMENT_RESTARTS = find_column("substance_treatment_restarts")
DAYS_SINCE_TREATMENT = find_column("days_since_substance_treatment")
DAYS_SINCE_FIRST_TREATMENT = find_column("days_since_first_substance_treatment")
LONGEST_TREATMENT = find_single("longest_substance_treatment")
TREATMENT_DAYS_TREND = find_single("substance_treatment_days_trend")
COMPLETED_TREATMENTS = find_column("completed_substance_treatments")
SUBSTANCES = find_single("substances")
SUBSTANCE_PROVIDERS = find_column("substance_providers")
ENDED_IN_HOSPITAL = find_column("treatments_ended_in_hospital")


@compiled
def fill_treatments(
    row: Row,
    sums: Sums,
    tally: Tally,
    spells: Spells,
    sectors: Integers,
    admissions: Stays,
    treatments: Treatments,
    person: int,
    index: int,
) -> None:
    events = look_at(treatments, person, index)
    if events.begin == events.end:
        return
    first_age = np.int64(0)
    last_end_age = UNSEEN
    substances = 0
    for r in range(events.begin, events.end):
        if not is_seen(events, r):
            continue
        age, end_age = find_start_age(events, r), find_end_age(events, r)
        first_age = max(first_age, age)
        _fill_start(row, treatments.substance[r], age, first_age)
        if age <= SUBSTANCES.windows[0] and treatments.substance[r] != SUBSTANCE_UNKNOWN:
            substances |= 1 << treatments.substance[r]
        if end_age == 0:
            row[IN_TREATMENT.first] = 1
            continue
        _fill_end(row, sums, treatments.end_reason[r], end_age, last_end_age)
        last_end_age = min(last_end_age, end_age)
        if is_inside_any(admissions, end_age):
            count(row, ENDED_IN_HOSPITAL, end_age)
    write_share(row, sums, DROP_OUT_SHARE)
    row[SUBSTANCES.first] = count_bits(substances)
    count_different(row, SUBSTANCE_PROVIDERS, tally, events, treatments.provider)
    _fill_spells(row, sums, spells, sectors, join_spells(spells, events, treatments.substance, ALL_AS_ONE))


@compiled
def _fill_start(row: Row, substance: int, age: int, first_age: int) -> None:
    count(row, TREATMENT_STARTS, age)
    keep_most_age(row, DAYS_SINCE_FIRST_TREATMENT, age)
    if age < first_age:
        count(row, TREATMENT_RESTARTS, age)
    if substance != SUBSTANCE_UNKNOWN:
        count(row, TREATMENTS_FOR[substance], age)


@compiled
def _fill_end(row: Row, sums: Sums, end_reason: int, age: int, last_age: int) -> None:
    """Fill what a known end tells; the latest end so far has `last_age`."""
    is_dropped_out = end_reason == DROPPED_OUT
    add_share(sums, DROP_OUT_SHARE, age, is_dropped_out)
    keep_least_age(row, DAYS_SINCE_TREATMENT, age)
    if is_dropped_out:
        count(row, DROP_OUTS, age)
    elif end_reason == COMPLETED:
        count(row, COMPLETED_TREATMENTS, age)
    if age <= last_age and age <= LAST_DROPPED_OUT.windows[0]:
        # Of several that end together it is enough that one was dropped out of.
        is_last_dropped_out = is_dropped_out or (age == last_age and row[LAST_DROPPED_OUT.first] > 0)
        row[LAST_DROPPED_OUT.first] = is_last_dropped_out


@compiled
def _fill_spells(row: Row, sums: Sums, spells: Spells, sectors: Integers, found: int) -> None:
    for i in range(found):
        start_age, end_age = spells.start_age[i], spells.end_age[i]
        add_days(sums, TREATMENT_DAYS, start_age, end_age)
        add_days_trend(sums, TREATMENT_DAYS_TREND, start_age, end_age)
        keep_most_inside(row, LONGEST_TREATMENT, start_age, end_age)
        note_sector(sectors, SUBSTANCE, start_age, end_age)
    write_days(row, sums, TREATMENT_DAYS)
    write_days(row, sums, TREATMENT_DAYS_TREND)
