"""Sectors: which parts of the welfare state are at work at once, as bits, one set of them per window."""

from benchmarks.kernel.columns import compiled, find_column
from benchmarks.kernel.measures import Integers, Row, count_bits
from benchmarks.kernel.spells import reaches
from benchmarks.kernel.stays import Stays

ACTIVE_SECTORS = find_column("active_sectors")
SOMATIC, PSYCHIATRY, SUBSTANCE, CARE, EMPLOYMENT, SOCIAL = range(6)


@compiled
def note_sector(sectors: Integers, sector: int, start_age: int, end_age: int) -> None:
    for w in range(len(ACTIVE_SECTORS.windows)):
        if reaches(ACTIVE_SECTORS.windows[w], start_age, end_age):
            sectors[w] |= 1 << sector


@compiled
def note_stays(sectors: Integers, stays: Stays) -> None:
    for i in range(stays.found[0]):
        sector = PSYCHIATRY if stays.has_psychiatric[i] else SOMATIC
        note_sector(sectors, sector, stays.start_age[i], stays.end_age[i])


@compiled
def write_sectors(row: Row, sectors: Integers) -> None:
    for w in range(len(ACTIVE_SECTORS.windows)):
        row[ACTIVE_SECTORS.first + w] = count_bits(sectors[w])
        sectors[w] = 0
