"""Artificial hospital episodes (HES, admitted patient care): read in plain Python, and put into our words.

An episode is one contact. Its dates are days, taken as those of DE-SynPUF (`desynpuf`): from 00:00 of the
first to 12:00 of the last; but a day case (CLASSPAT 2 or 3) of one day lasts 8 hours and is no admission. A
birth is a month, taken as its first day. A method of admission that is not known (99) is left empty and not
guessed.
"""

import re
from collections import defaultdict
from datetime import date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path

import polars as pl

import somv_risk as sr
from independent_data import read_rows
from somv_risk.registers.histories import Histories

FILE = "apc_0102_truncated.csv"
DATA_END = datetime(2002, 4, 1)
SEXES = {"1": "male", "2": "female", "0": "unknown", "9": "unknown"}
ACUTE = ("21", "22", "23", "24", "28")
NOT_KNOWN = "99"
DISCHARGES = {"1": "completed", "2": "left_early", "3": "completed", "4": "died", "5": "died"}
DAY_CASES = ("2", "3")
CODE = r"[A-Z][0-9][0-9A-Z]{1,5}"

Row = dict[str, str]


def read_episodes(folder: Path) -> list[Row]:
    return read_rows(folder / FILE)


def make_histories(episodes: list[Row]) -> Histories:
    first = {row["PSEUDO_HESID"]: row for row in reversed(episodes)}
    return sr.from_frames(
        persons=pl.DataFrame([make_person(row) for row in first.values()]),
        admissions=pl.DataFrame([make_contact(row) for row in episodes]),
        data_end=DATA_END,
    )


def make_person(row: Row) -> dict[str, str]:
    month, year = row["MYDOB"][:2], row["MYDOB"][2:]
    return {
        "person_id": row["PSEUDO_HESID"],
        "birth_date": f"{year}-{month}-01",
        "sex": SEXES[row["SEX"]],
    }


def make_contact(row: Row) -> dict[str, object]:
    return {
        "person_id": row["PSEUDO_HESID"],
        "contact_id": row["EPIKEY"],
        "started_at": start_of(row),
        "ended_at": end_of(row),
        "sector": "somatic",
        "admission_type": kind_of(row),
        "department": row["MAINSPEF"],
        "hospital": row["PROCODE3"],
        "diagnosis": row["DIAG_4_01"],
        "discharge": DISCHARGES.get(row["DISMETH"], "unknown"),
    }


def kind_of(row: Row) -> str | None:
    if row["ADMIMETH"] == NOT_KNOWN:
        return None
    return "acute" if row["ADMIMETH"] in ACUTE else "planned"


def has_no_icd10(row: Row) -> bool:
    return row["DIAG_4_01"] != "" and not re.fullmatch(CODE, row["DIAG_4_01"])


def start_of(row: Row) -> datetime:
    return datetime.combine(date.fromisoformat(row["EPISTART"]), time(0))


def end_of(row: Row) -> datetime:
    is_short = row["CLASSPAT"] in DAY_CASES and row["EPIEND"] == row["EPISTART"]
    return datetime.combine(date.fromisoformat(row["EPIEND"]), time(8 if is_short else 12))


def find_faults(row: Row, born_too_early: set[str]) -> set[str]:
    """Rules that an episode breaks, by what its fields say; 1801-01-01 stands for no day."""
    faults = {
        "ends_after_it_starts": row["EPIEND"] < row["EPISTART"],
        "started_at|min": row["EPISTART"] == "1801-01-01",
        "ended_at|min": row["EPIEND"] == "1801-01-01",
        "admission_type|nullability": row["ADMIMETH"] == NOT_KNOWN,
        "person_is_known": row["PSEUDO_HESID"] in born_too_early,
    }
    return {rule for rule, is_broken in faults.items() if is_broken}


def find_born_too_early(episodes: list[Row]) -> set[str]:
    first = {row["PSEUDO_HESID"]: row for row in reversed(episodes)}
    return {name for name, row in first.items() if row["MYDOB"].endswith("1801")}


def list_stays(episodes: list[Row]) -> dict[str, list[list[Row]]]:
    """Episodes of a person that share a day are one stay."""
    stays: dict[str, list[list[Row]]] = defaultdict(list)
    ordered = sorted(episodes, key=lambda row: (row["PSEUDO_HESID"], row["EPISTART"]))
    for person_id, own in groupby(ordered, key=lambda row: row["PSEUDO_HESID"]):
        last_day = ""
        for row in own:
            if row["EPISTART"] > last_day:
                stays[person_id].append([])
            stays[person_id][-1].append(row)
            last_day = max(last_day, row["EPIEND"])
    return dict(stays)


def is_acute_admission(stay: list[Row]) -> bool:
    first_day = stay[0]["EPISTART"]
    length = max(end_of(row) for row in stay) - start_of(stay[0])
    begins_acute = any(kind_of(row) == "acute" for row in stay if row["EPISTART"] == first_day)
    return begins_acute and length >= timedelta(hours=12)


def left_early(stay: list[Row]) -> bool:
    """Whether the episode that ended last ended so; of several that did, the one that comes last."""
    kinds = {None: 0, "acute": 0, "planned": 1}
    last = max(stay, key=lambda row: (end_of(row), start_of(row), kinds[kind_of(row)], row["EPIKEY"]))
    return last["DISMETH"] == "2"
