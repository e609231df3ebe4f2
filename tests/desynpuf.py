"""DE-SynPUF, synthetic claims of 10,000 persons: read in plain Python, and put into the library's words.

A claim has one or two rows (segments); one claim is one contact, from its first day to its last. Its dates
are days. A contact starts at 00:00 of the day of admission and ends at 12:00 of the day of discharge. So

* a stay of one day lasts 12 hours and is an admission, which with both ends at midnight would be lost;
* a claim that begins on the day on which another ends joins it (a transfer), and one that begins on the day
  after is a stay of its own;
* an admission on the day of the index belongs to the outcome.

Claims have no word for acute or for how a stay ended: all contacts are called acute, and no discharge is
given. Diagnoses are ICD-9, which is not guessed into ICD-10, and are left out.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path

import polars as pl

import somv_risk as sr
from independent_data import read_rows
from somv_risk.registers.histories import Histories

YEARS = (2008, 2009, 2010)
DATA_END = datetime(2011, 1, 1)
SEXES = {"1": "male", "2": "female"}
CLAIMS = "DE1_0_2008_to_2010_Inpatient_Claims_Sample_1.csv"


@dataclass(frozen=True)
class Claim:
    person_id: str
    claim_id: str
    first_day: date
    last_day: date


def read_day(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").date()


def read_claims(folder: Path) -> list[Claim]:
    """One claim each, whatever its number of segments."""
    segments = sorted(read_rows(folder / CLAIMS), key=lambda row: row["CLM_ID"])
    return [_join_segments(list(rows)) for _, rows in groupby(segments, key=lambda row: row["CLM_ID"])]


def _join_segments(rows: list[dict[str, str]]) -> Claim:
    return Claim(
        rows[0]["DESYNPUF_ID"],
        rows[0]["CLM_ID"],
        min(read_day(row["CLM_ADMSN_DT"]) for row in rows),
        max(read_day(row["NCH_BENE_DSCHRG_DT"]) for row in rows),
    )


def read_summaries(folder: Path) -> dict[str, dict[int, dict[str, str]]]:
    """Summaries by person and year; who is dead at the end of a year has none in the next."""
    summaries: dict[str, dict[int, dict[str, str]]] = defaultdict(dict)
    for year in YEARS:
        for row in read_rows(folder / f"DE1_0_{year}_Beneficiary_Summary_File_Sample_1.csv"):
            summaries[row["DESYNPUF_ID"]][year] = row
    return dict(summaries)


def read_persons(folder: Path) -> Iterator[dict[str, object]]:
    for person_id, years in read_summaries(folder).items():
        last = years[max(years)]
        yield {
            "person_id": person_id,
            "birth_date": read_day(last["BENE_BIRTH_DT"]),
            "sex": SEXES[last["BENE_SEX_IDENT_CD"]],
            "death_date": read_day(last["BENE_DEATH_DT"]) if last["BENE_DEATH_DT"] else None,
            "observed_from": date(min(years), 1, 1),
            "observed_until": date(max(years) + 1, 1, 1),
        }


def read_admissions(claims: list[Claim]) -> Iterator[dict[str, object]]:
    for claim in claims:
        yield {
            "person_id": claim.person_id,
            "contact_id": claim.claim_id,
            "started_at": datetime.combine(claim.first_day, time(0)),
            "ended_at": datetime.combine(claim.last_day, time(12)),
            "sector": "somatic",
            "admission_type": "acute",
        }


def read_desynpuf(folder: Path) -> Histories:
    return sr.from_frames(
        persons=pl.DataFrame(list(read_persons(folder)), infer_schema_length=None),
        admissions=pl.DataFrame(list(read_admissions(read_claims(folder)))),
        data_end=DATA_END,
    )


def count_stays(claims: list[Claim], since: date, days: int) -> dict[str, int]:
    """Stays that start in the days from `since`, by person: claims that share a day are one stay."""
    counts: dict[str, int] = defaultdict(int)
    ordered = sorted(claims, key=lambda claim: (claim.person_id, claim.first_day))
    for person_id, own in groupby(ordered, key=lambda claim: claim.person_id):
        last_day = date.min
        for claim in own:
            is_in_window = since <= claim.first_day < since + timedelta(days=days)
            counts[person_id] += claim.first_day > last_day and is_in_window
            last_day = max(last_day, claim.last_day)
    return dict(counts)
