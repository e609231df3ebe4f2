"""Primary care: by far the most rows, of which few are young enough to count."""

from benchmarks.kernel.columns import compiled, find_column, find_single
from benchmarks.kernel.loading import PrimaryCare
from benchmarks.kernel.measures import (
    Integers,
    Row,
    Sums,
    add_decayed,
    add_share,
    count,
    count_most_within,
    count_trend,
    keep_least_age,
    write_decayed,
    write_share,
)
from somv_risk.registers import schema as s

GP = s.PRIMARY_CARE_KINDS.index("gp")

OUT_OF_HOURS = s.PRIMARY_CARE_KINDS.index("out_of_hours")

GP_CONTACTS = find_column("gp_contacts")
GP_CONTACTS_TREND = find_single("gp_contacts_trend")
DAYS_SINCE_GP_CONTACT = find_column("days_since_gp_contact")
OUT_OF_HOURS_CONTACTS = find_column("out_of_hours_contacts")
OUT_OF_HOURS_SHARE = find_column("out_of_hours_share")
OUT_OF_HOURS_DECAYED = find_single("out_of_hours_decayed")
OUT_OF_HOURS_TREND = find_single("out_of_hours_trend")
MOST_OUT_OF_HOURS = find_column("most_out_of_hours_in_7_days")
DAYS_SINCE_OUT_OF_HOURS = find_column("days_since_out_of_hours")
LONGEST_BACK = max(
    int(column.windows[-1])
    for column in (
        *(GP_CONTACTS, GP_CONTACTS_TREND, DAYS_SINCE_GP_CONTACT),
        *(OUT_OF_HOURS_CONTACTS, OUT_OF_HOURS_SHARE, OUT_OF_HOURS_DECAYED, OUT_OF_HOURS_TREND),
        *(MOST_OUT_OF_HOURS, DAYS_SINCE_OUT_OF_HOURS),
    )
)


@compiled
def fill_primary_care(
    row: Row, sums: Sums, ages: Integers, contacts: PrimaryCare, person: int, index: int
) -> None:
    """Fill from the youngest contact back to the longest window; most rows are older than that."""
    urgent = 0
    is_met = False
    for r in range(contacts.offsets[person + 1] - 1, contacts.offsets[person] - 1, -1):
        age = index - contacts.started[r]
        if age > LONGEST_BACK:
            break
        if contacts.known[r] >= index:
            continue
        kind = contacts.kind[r]
        add_share(sums, OUT_OF_HOURS_SHARE, age, kind == OUT_OF_HOURS)
        if kind == GP:
            count(row, GP_CONTACTS, age)
            count_trend(row, GP_CONTACTS_TREND, age)
            if not is_met:
                keep_least_age(row, DAYS_SINCE_GP_CONTACT, age)
                is_met = True
        elif kind == OUT_OF_HOURS:
            count(row, OUT_OF_HOURS_CONTACTS, age)
            count_trend(row, OUT_OF_HOURS_TREND, age)
            add_decayed(sums, OUT_OF_HOURS_DECAYED, age)
            ages[urgent] = age
            urgent += 1
    write_share(row, sums, OUT_OF_HOURS_SHARE)
    if urgent > 0:
        keep_least_age(row, DAYS_SINCE_OUT_OF_HOURS, ages[0])
        count_most_within(row, MOST_OUT_OF_HOURS, ages, urgent)
        write_decayed(row, sums, OUT_OF_HOURS_DECAYED)
