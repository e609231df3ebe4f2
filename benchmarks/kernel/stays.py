"""Stays: one person's hospital contacts become stays and admissions, and these become numbers."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.kernel.columns import compiled, find_column, find_columns, find_single
from benchmarks.kernel.events import (
    Events,
    find_end_age,
    find_start_age,
    is_end_seen,
    is_seen,
    look_at,
)
from benchmarks.kernel.loading import Contacts
from benchmarks.kernel.measures import (
    Integers,
    Row,
    Sums,
    add_days,
    add_days_trend,
    add_decayed,
    add_mean,
    add_share,
    count,
    count_most_within,
    count_trend,
    keep_least_age,
    keep_least_days,
    keep_most_days,
    write_burstiness,
    write_days,
    write_decayed,
    write_mean,
    write_median,
    write_share,
)
from somv_risk.cohort.windows import MICROSECONDS_PER_DAY as DAY
from somv_risk.cohort.windows import MICROSECONDS_PER_HOUR as HOUR
from somv_risk.registers import schema as s

MERGE_GAP = 4 * HOUR
ADMISSION_MINIMUM = 12 * HOUR
RETURN = 72 * HOUR
WEEK = 7 * DAY
READMISSION = 30 * DAY

LONGEST_SOMATIC, LONGEST_PSYCHIATRIC = 120 * DAY, 400 * DAY  # that a contact is open

PSYCHIATRIC_SECTOR = s.SECTORS.index("psychiatric")
ACUTE = s.ADMISSION_TYPES.index("acute")
LEFT_EARLY = s.DISCHARGES.index("left_early")

IN_HOSPITAL = find_column("in_hospital")
EMERGENCY_VISITS = find_column("emergency_visits")
EMERGENCY_VISITS_DECAYED = find_single("emergency_visits_decayed")
EMERGENCY_VISITS_TREND = find_single("emergency_visits_trend")
MOST_STAYS = find_columns("most_stays_in_7_days", "most_stays_in_14_days", "most_stays_in_30_days")
QUICK_RETURNS = find_column("quick_returns")
SHARE_WITHIN_A_WEEK = find_column("share_within_a_week")
MEDIAN_GAP = find_single("median_gap")
GAP_BURSTINESS = find_column("gap_burstiness")
RETURNS_AFTER_UNFINISHED = find_column("returns_after_unfinished")

UNFINISHED_STAYS = find_column("unfinished_stays")
UNFINISHED_SHARE = find_column("unfinished_share")
LAST_STAY_UNFINISHED = find_single("last_stay_unfinished")
DAYS_SINCE_UNFINISHED_STAY = find_column("days_since_unfinished_stay")
UNFINISHED_DECAYED = find_single("unfinished_decayed")
UNFINISHED_TREND = find_single("unfinished_trend")
UNFINISHED_AGAIN = find_column("unfinished_again")
UNFINISHED_SHARE_AFTER_UNFINISHED = find_column("unfinished_share_after_unfinished")
PSYCHIATRIC_UNFINISHED_STAYS = find_column("psychiatric_unfinished_stays")

ACUTE_ADMISSIONS = find_column("acute_admissions")
PLANNED_ADMISSIONS = find_column("planned_admissions")
BED_DAYS = find_column("bed_days")
BED_DAYS_TREND = find_single("bed_days_trend")
DAYS_SINCE_DISCHARGE = find_column("days_since_discharge")
DAYS_SINCE_ACUTE_ADMISSION = find_column("days_since_acute_admission")
LONGEST_ADMISSION = find_column("longest_admission")
MEAN_ADMISSION = find_column("mean_admission")
ACUTE_SOMATIC_ADMISSIONS = find_column("acute_somatic_admissions")
ACUTE_ADMISSIONS_DECAYED = find_single("acute_admissions_decayed")
ACUTE_ADMISSIONS_TREND = find_single("acute_admissions_trend")
MOST_ACUTE_ADMISSIONS = find_columns(
    "most_acute_admissions_in_7_days", "most_acute_admissions_in_14_days", "most_acute_admissions_in_30_days"
)
READMISSIONS = find_column("readmissions_in_30_days")
EARLY_READMISSIONS = find_column("readmissions_in_72_hours")
SMALLEST_GAP = find_column("smallest_gap")
SECTOR_SWITCHES = find_column("sector_switches")
SECTOR_SWITCH_SHARE = find_column("sector_switch_share")
PSYCHIATRIC_ADMISSIONS = find_column("psychiatric_admissions")
PSYCHIATRIC_BED_DAYS = find_column("psychiatric_bed_days")
DAYS_SINCE_PSYCHIATRIC_DISCHARGE = find_column("days_since_psychiatric_discharge")
PSYCHIATRIC_ADMISSIONS_DECAYED = find_single("psychiatric_admissions_decayed")


class Stays(NamedTuple):
    """Stays of one person, the oldest first; an open one ends at age 0. `found` holds how many there are."""

    start_age: Integers
    end_age: Integers
    is_acute: npt.NDArray[np.bool_]
    has_psychiatric: npt.NDArray[np.bool_]
    sector: npt.NDArray[np.uint8]
    left_early: npt.NDArray[np.bool_]
    last_contact: Integers
    found: Integers


def make_stays(most: int) -> Stays:
    return Stays(
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.bool_),
        np.empty(most, np.bool_),
        np.empty(most, np.uint8),
        np.empty(most, np.bool_),
        np.empty(most, np.int64),
        np.zeros(1, np.int64),
    )


@compiled
def merge_stays(stays: Stays, contacts: Contacts, person: int, index: int) -> None:
    """Merge the visible contacts of a person."""
    events = look_at(contacts, person, index)
    found = 0
    for r in range(events.begin, events.end):
        if not is_seen(events, r):
            continue
        start_age, end_age = find_start_age(events, r), _find_bounded_end(events, contacts, r)
        if found == 0 or start_age < stays.end_age[found - 1] - MERGE_GAP:
            _begin_stay(stays, found, contacts, r, start_age, end_age)
            found += 1
        else:
            _extend_stay(stays, found - 1, contacts, r, start_age, end_age)
        if stays.last_contact[found - 1] == r:
            stays.left_early[found - 1] = is_end_seen(events, r) and contacts.discharge[r] == LEFT_EARLY
    stays.found[0] = found


@compiled
def _find_bounded_end(events: Events, contacts: Contacts, r: int) -> int:
    """Find the age of the end; one open for too long ends at the next contact's start, or at its bound."""
    start_age, end_age = find_start_age(events, r), find_end_age(events, r)
    longest = LONGEST_PSYCHIATRIC if contacts.sector[r] == PSYCHIATRIC_SECTOR else LONGEST_SOMATIC
    if end_age > 0 or start_age <= longest:
        return end_age
    for later in range(r + 1, events.end):
        if is_seen(events, later) and find_start_age(events, later) < start_age:
            return max(find_start_age(events, later), start_age - longest)
    return start_age - longest


@compiled
def _begin_stay(stays: Stays, i: int, contacts: Contacts, r: int, start_age: int, end_age: int) -> None:
    stays.start_age[i] = start_age
    stays.is_acute[i] = contacts.admission_type[r] == ACUTE
    stays.has_psychiatric[i] = contacts.sector[r] == PSYCHIATRIC_SECTOR
    stays.sector[i] = contacts.sector[r]
    _end_stay(stays, i, r, end_age)


@compiled
def _extend_stay(stays: Stays, i: int, contacts: Contacts, r: int, start_age: int, end_age: int) -> None:
    """Add a contact: an acute one of those that start together is the first, the latest end the last."""
    is_acute = contacts.admission_type[r] == ACUTE
    if start_age == stays.start_age[i] and is_acute and not stays.is_acute[i]:
        stays.is_acute[i] = True
        stays.sector[i] = contacts.sector[r]
    stays.has_psychiatric[i] |= contacts.sector[r] == PSYCHIATRIC_SECTOR
    last = stays.last_contact[i]
    # Of those that start together the acute ones come before the planned ones.
    is_before_last = (
        contacts.started[r] == contacts.started[last] and is_acute and contacts.admission_type[last] != ACUTE
    )
    if end_age < stays.end_age[i] or (end_age == stays.end_age[i] and not is_before_last):
        _end_stay(stays, i, r, end_age)


@compiled
def _end_stay(stays: Stays, i: int, r: int, end_age: int) -> None:
    stays.end_age[i] = end_age
    stays.last_contact[i] = r


@compiled
def keep_admissions(admissions: Stays, stays: Stays) -> None:
    """Keep the stays of at least 12 hours."""
    kept = 0
    for i in range(stays.found[0]):
        if stays.start_age[i] - stays.end_age[i] >= ADMISSION_MINIMUM:
            admissions.start_age[kept] = stays.start_age[i]
            admissions.end_age[kept] = stays.end_age[i]
            admissions.is_acute[kept] = stays.is_acute[i]
            admissions.has_psychiatric[kept] = stays.has_psychiatric[i]
            admissions.sector[kept] = stays.sector[i]
            kept += 1
    admissions.found[0] = kept


@compiled
def is_inside_any(stays: Stays, age: int) -> bool:
    """Tell whether a moment lies in one of the stays."""
    for i in range(stays.found[0]):  # noqa: SIM110 - numba has no any()
        if stays.end_age[i] < age <= stays.start_age[i]:
            return True
    return False


# Stays


@compiled
def fill_stays(row: Row, sums: Sums, ages: Integers, stays: Stays) -> None:
    found = stays.found[0]
    if found == 0:
        return
    row[IN_HOSPITAL.first] = stays.end_age[found - 1] == 0
    for i in range(found):
        age = stays.start_age[i]
        if stays.is_acute[i] and age - stays.end_age[i] < ADMISSION_MINIMUM:
            count(row, EMERGENCY_VISITS, age)
            count_trend(row, EMERGENCY_VISITS_TREND, age)
            add_decayed(sums, EMERGENCY_VISITS_DECAYED, age)
        if i > 0:
            _fill_next_stay(row, sums, stays, i)
        if stays.end_age[i] > 0:
            _fill_ended_stay(row, sums, stays, i)
    write_decayed(row, sums, EMERGENCY_VISITS_DECAYED)
    write_share(row, sums, SHARE_WITHIN_A_WEEK)
    write_share(row, sums, UNFINISHED_SHARE)
    write_share(row, sums, UNFINISHED_SHARE_AFTER_UNFINISHED)
    write_decayed(row, sums, UNFINISHED_DECAYED)
    if found > 1:
        _fill_gaps(row, ages, stays, found)
    for i in range(found):
        ages[i] = stays.start_age[found - 1 - i]
    for column in MOST_STAYS:
        count_most_within(row, column, ages, found)


@compiled
def _fill_next_stay(row: Row, sums: Sums, stays: Stays, i: int) -> None:
    """Fill what a stay tells by following another."""
    age = stays.start_age[i]
    gap = stays.end_age[i - 1] - age
    add_share(sums, SHARE_WITHIN_A_WEEK, age, gap < WEEK)
    if gap < RETURN:
        count(row, QUICK_RETURNS, age)
        if stays.left_early[i - 1]:
            count(row, RETURNS_AFTER_UNFINISHED, age)


@compiled
def _fill_ended_stay(row: Row, sums: Sums, stays: Stays, i: int) -> None:
    age, is_unfinished = stays.end_age[i], stays.left_early[i]
    is_after_unfinished = i > 0 and stays.left_early[i - 1]
    add_share(sums, UNFINISHED_SHARE, age, is_unfinished)
    if is_after_unfinished:
        add_share(sums, UNFINISHED_SHARE_AFTER_UNFINISHED, age, is_unfinished)
    if age <= LAST_STAY_UNFINISHED.windows[0]:
        row[LAST_STAY_UNFINISHED.first] = is_unfinished
    if is_unfinished:
        count(row, UNFINISHED_STAYS, age)
        count_trend(row, UNFINISHED_TREND, age)
        add_decayed(sums, UNFINISHED_DECAYED, age)
        keep_least_age(row, DAYS_SINCE_UNFINISHED_STAY, age)
        if is_after_unfinished:
            count(row, UNFINISHED_AGAIN, age)
        if stays.has_psychiatric[i]:
            count(row, PSYCHIATRIC_UNFINISHED_STAYS, age)


@compiled
def _fill_gaps(row: Row, gaps: Integers, stays: Stays, found: int) -> None:
    write_median(row, MEDIAN_GAP.first, gaps, _list_gaps(gaps, stays, found, MEDIAN_GAP.windows[0]))
    for w in range(len(GAP_BURSTINESS.windows)):
        listed = _list_gaps(gaps, stays, found, GAP_BURSTINESS.windows[w])
        write_burstiness(row, GAP_BURSTINESS.first + w, gaps, listed)


@compiled
def _list_gaps(gaps: Integers, stays: Stays, found: int, window: int) -> int:
    """List the gaps of which both sides lie in the window, and return how many they are."""
    listed = 0
    for i in range(1, found):
        if stays.end_age[i - 1] <= window:
            gaps[listed] = stays.end_age[i - 1] - stays.start_age[i]
            listed += 1
    return listed


# Admissions


@compiled
def fill_admissions(row: Row, sums: Sums, ages: Integers, stays: Stays) -> None:
    found = stays.found[0]
    if found == 0:
        return
    for i in range(found):
        _fill_admission(row, sums, stays, i)
        if i > 0:
            _fill_next_admission(row, sums, stays, i)
    write_days(row, sums, BED_DAYS)
    write_days(row, sums, BED_DAYS_TREND)
    write_days(row, sums, PSYCHIATRIC_BED_DAYS)
    write_mean(row, sums, MEAN_ADMISSION)
    write_decayed(row, sums, ACUTE_ADMISSIONS_DECAYED)
    write_decayed(row, sums, PSYCHIATRIC_ADMISSIONS_DECAYED)
    write_share(row, sums, SECTOR_SWITCH_SHARE)
    acute = 0
    for i in range(found - 1, -1, -1):
        if stays.is_acute[i]:
            ages[acute] = stays.start_age[i]
            acute += 1
    for column in MOST_ACUTE_ADMISSIONS:
        count_most_within(row, column, ages, acute)


@compiled
def _fill_admission(row: Row, sums: Sums, stays: Stays, i: int) -> None:
    age, end_age = stays.start_age[i], stays.end_age[i]
    lasted = age - end_age
    add_days(sums, BED_DAYS, age, end_age)
    add_days_trend(sums, BED_DAYS_TREND, age, end_age)
    keep_most_days(row, LONGEST_ADMISSION, age, lasted)
    add_mean(sums, MEAN_ADMISSION, age, lasted)
    if end_age > 0:
        keep_least_age(row, DAYS_SINCE_DISCHARGE, end_age)
    if stays.is_acute[i]:
        count(row, ACUTE_ADMISSIONS, age)
        count_trend(row, ACUTE_ADMISSIONS_TREND, age)
        add_decayed(sums, ACUTE_ADMISSIONS_DECAYED, age)
        keep_least_age(row, DAYS_SINCE_ACUTE_ADMISSION, age)
        if not stays.has_psychiatric[i]:
            count(row, ACUTE_SOMATIC_ADMISSIONS, age)
    else:
        count(row, PLANNED_ADMISSIONS, age)
    if stays.has_psychiatric[i]:
        count(row, PSYCHIATRIC_ADMISSIONS, age)
        add_days(sums, PSYCHIATRIC_BED_DAYS, age, end_age)
        add_decayed(sums, PSYCHIATRIC_ADMISSIONS_DECAYED, age)
        if end_age > 0:
            keep_least_age(row, DAYS_SINCE_PSYCHIATRIC_DISCHARGE, end_age)


@compiled
def _fill_next_admission(row: Row, sums: Sums, stays: Stays, i: int) -> None:
    """Fill what an admission tells by following another."""
    age = stays.start_age[i]
    gap = stays.end_age[i - 1] - age
    is_switch = stays.sector[i] != stays.sector[i - 1]
    keep_least_days(row, SMALLEST_GAP, stays.end_age[i - 1], gap)
    add_share(sums, SECTOR_SWITCH_SHARE, age, is_switch)
    if is_switch:
        count(row, SECTOR_SWITCHES, age)
    if stays.is_acute[i] and gap < READMISSION:
        count(row, READMISSIONS, age)
        if gap < RETURN:
            count(row, EARLY_READMISSIONS, age)
