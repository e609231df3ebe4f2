"""Discharges: whether somebody in the community met the person after an admission."""

from benchmarks.kernel.columns import compiled, find_column
from benchmarks.kernel.loading import PrimaryCare, Psychiatric
from benchmarks.kernel.measures import Integers, Row, Sums, add_share, count, write_share
from benchmarks.kernel.primary_care import GP
from benchmarks.kernel.psychiatry import EMERGENCY, is_attended
from benchmarks.kernel.stays import Stays
from somv_risk.cohort.windows import MICROSECONDS_PER_DAY as DAY

FOLLOW_UP_14, FOLLOW_UP_30 = 14 * DAY, 30 * DAY

ALONE_14 = find_column("discharges_without_follow_up")
ALONE_14_SHARE = find_column("share_without_follow_up")
ALONE_30 = find_column("discharges_without_follow_up_in_30_days")
ALONE_30_SHARE = find_column("share_without_follow_up_in_30_days")
LONGEST_FOLLOWED_UP = max(
    int(column.windows[-1]) for column in (ALONE_14, ALONE_14_SHARE, ALONE_30, ALONE_30_SHARE)
)


@compiled
def fill_discharges(
    row: Row,
    sums: Sums,
    admissions: Stays,
    psychiatric: Psychiatric,
    primary_care: PrimaryCare,
    person: int,
    index: int,
) -> None:
    if admissions.found[0] == 0:
        return
    for i in range(admissions.found[0]):
        age = admissions.end_age[i]
        if FOLLOW_UP_14 <= age <= LONGEST_FOLLOWED_UP:
            discharged = index - age
            until = min(discharged + FOLLOW_UP_30, index)
            until = _find_visit(psychiatric, person, discharged, until, index)
            until = _find_practitioner(primary_care, person, discharged, until, index)
            is_alone = until - discharged >= FOLLOW_UP_14
            add_share(sums, ALONE_14_SHARE, age, is_alone)
            if is_alone:
                count(row, ALONE_14, age)
            if age >= FOLLOW_UP_30:
                is_alone = until - discharged >= FOLLOW_UP_30
                add_share(sums, ALONE_30_SHARE, age, is_alone)
                if is_alone:
                    count(row, ALONE_30, age)
    write_share(row, sums, ALONE_14_SHARE)
    write_share(row, sums, ALONE_30_SHARE)


@compiled
def _find_visit(psychiatric: Psychiatric, person: int, since: int, until: int, index: int) -> int:
    """Find the first attended visit before `until` that is no emergency; `until` if there is none."""
    end = psychiatric.offsets[person + 1]
    for r in range(_find_row(psychiatric.started, psychiatric.offsets[person], end, since), end):
        if psychiatric.started[r] >= until:
            break
        is_visit = psychiatric.contact_type[r] != EMERGENCY and is_attended(psychiatric, r)
        if is_visit and psychiatric.known[r] < index and psychiatric.ended[r] < index:
            return psychiatric.started[r]
    return until


@compiled
def _find_practitioner(primary_care: PrimaryCare, person: int, since: int, until: int, index: int) -> int:
    """Find the first contact with the general practitioner before `until`; `until` if there is none."""
    end = primary_care.offsets[person + 1]
    for r in range(_find_row(primary_care.started, primary_care.offsets[person], end, since), end):
        if primary_care.started[r] >= until:
            break
        if primary_care.kind[r] == GP and primary_care.known[r] < index:
            return primary_care.started[r]
    return until


@compiled
def _find_row(started: Integers, begin: int, end: int, since: int) -> int:
    """Find the first row that does not start before `since`."""
    while begin < end:
        middle = (begin + end) // 2
        if started[middle] < since:
            begin = middle + 1
        else:
            end = middle
    return begin
