"""Measures: every figure as a slow reference counts it, sums that add up, and targets with their laws."""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from math import sqrt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from reference import bound_rows
from somv_risk.errors import ConfigError, InputError, SourceError
from somv_risk.registers import schema
from somv_risk.registers.histories import Histories
from somv_risk.simulate import simulate
from somv_risk.simulate import targets as targets_module
from somv_risk.simulate.measures import (
    FIGURE_NAMES,
    Measurements,
    combine,
    compute_figures,
    compute_lorenz,
    measure,
)
from somv_risk.simulate.targets import compare, find_targets, read_targets

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
YEAR = 365 * DAY
TARGETS = Path(__file__).parents[1] / "configs" / "simulation" / "region_sjaelland.toml"
BANDS = {"0_17": (0, 18), "18_24": (18, 25), "25_44": (25, 45), "45_64": (45, 65), "65_79": (65, 80)} | {
    "80_plus": (80, 999)
}
PLACES = (
    *("253", "259", "265", "269", "306", "316", "320", "326", "329"),
    *("330", "336", "340", "350", "360", "370", "376", "390"),
)
ALCOHOL = (
    *("E244", "F10", "G312", "G621", "G721", "I426", "K292", "K70", "K852", "K860", "R780"),
    *("X45", "X65", "Y15", "T51", "Z502", "Z714", "Z721"),
)
DRUGS = ("F11", "F12", "F13", "F14", "F15", "F16", "F18", "F19", "T40", "T436", "Z503", "Z715", "Z722")
SELF_HARM = ("X6", "X7", "X80", "X81", "X82", "X83", "X84")
CONDITIONS = {
    "diabetes": ("E10", "E11", "E12", "E13", "E14"),
    "copd": ("J43", "J44"),
    "heart_failure": (
        *("I099", "I110", "I130", "I132", "I255", "I420", "I425", "I426", "I427", "I428", "I429"),
        *("I43", "I50", "P290"),
    ),
    "renal": ("I120", "I131", "N18", "N19", "N250", "Z490", "Z491", "Z492", "Z940", "Z992"),
    "liver": (
        *("B18", "I85", "I864", "I982", "K70", "K711", "K713", "K714", "K715", "K717", "K72", "K73", "K74"),
        *("K760", "K762", "K763", "K764", "K765", "K766", "K767", "K768", "K769", "Z944"),
    ),
    "epilepsy": ("G40", "G41"),
    "dementia": ("F00", "F01", "F02", "F03", "F051", "G30", "G311"),
}
DISORDERS = {
    "schizophrenia": ("F2",),
    "personality_disorder": ("F60", "F61"),
    "depression": ("F32", "F33"),
    "bipolar": ("F30", "F31"),
}


@dataclass
class Stay:
    """Contacts merged by hand."""

    contacts: list = field(default_factory=list)
    until: datetime = datetime.min

    def close(self, end):
        first = min(self.contacts, key=lambda c: (c["started_at"], c["admission_type"], c["contact_id"]))
        last = max(
            self.contacts,
            key=lambda c: (c["ended_at"] or end, c["started_at"], c["admission_type"], c["contact_id"]),
        )
        self.start, self.sector, self.code = first["started_at"], first["sector"], first["diagnosis"]
        self.acute = first["admission_type"] == "acute"
        self.open = any(contact["ended_at"] is None for contact in self.contacts)
        self.discharge = None if self.open else last["discharge"]
        self.length = self.until - self.start
        self.somatic = self.sector == "somatic"
        return self


def merge(contacts, end):
    stays = []
    for contact in sorted(contacts, key=lambda c: c["started_at"]):
        if not stays or contact["started_at"] > stays[-1].until + 4 * HOUR:
            stays.append(Stay())
        stays[-1].contacts.append(contact)
        stays[-1].until = max(stays[-1].until, contact["ended_at"] or end)
    return [stay.close(end) for stay in stays]


def starts_with(code, prefixes):
    return code is not None and code.startswith(tuple(prefixes))


def age_at(born, moment):
    return moment.year - born.year - ((moment.month, moment.day) < (born.month, born.day))


class Reference:
    """Counts y and x of every figure, person by person, in plain Python."""

    def __init__(self, histories):
        self.rows = {
            name: histories.table(name).collect().rows_by_key("person_id", named=True, include_key=True)
            for name in histories.tables
        }
        self.end = histories.data_end
        people = [rows[0] for rows in self.rows["persons"].values()]
        first = min(person["observed_from"] or person["birth_date"] for person in people)
        self.years = (self.end - datetime(first.year, first.month, first.day)) // YEAR
        self.start = self.end - self.years * YEAR
        self.bed_hours = []
        self.counts = [self.count(person) for person in people]

    def figures(self):
        sums = defaultdict(lambda: [0, 0, 0, 0, 0])
        for counts in self.counts:
            for name, (y, x) in counts.items():
                for place, value in enumerate((y, x, y * y, x * y, x * x)):
                    sums[name][place] += value
        return {name: self.ratio(*each) for name, each in sums.items()} | self.tops()

    @staticmethod
    def ratio(y, x, yy, xy, xx):
        if not x:
            return None, None
        return y / x, sqrt(max(0, yy - 2 * y / x * xy + (y / x) ** 2 * xx)) / x

    def tops(self):
        hours, total = sorted(self.bed_hours, reverse=True), sum(self.bed_hours)
        result = {}
        for percent in (1, 10):
            places = percent / 100 * len(hours)
            edge = hours[int(places)] if hours else 0
            found = sum(hours[: int(places)]) + (places - int(places)) * edge
            result[f"bed_day_share_of_top_{percent}_percent"] = (found / total if total else None, ...)
        return result

    def count(self, person):
        own = {name: rows.get(person["person_id"], []) for name, rows in self.rows.items()}
        since = self.midnight(person["observed_from"] or person["birth_date"])
        leaves = [self.midnight(person["observed_until"])] if person["observed_until"] else []
        dies = [self.midnight(person["death_date"]) + DAY] if person["death_date"] else []
        until = min([*leaves, *dies, datetime.max])
        contacts = bound_rows(own["admissions"], "admissions", self.end, dies[0] if dies else None)
        stays = merge(contacts, self.end)
        admissions = [stay for stay in stays if stay.length >= 12 * HOUR]
        year_starts = {k: self.end - (k + 1) * YEAR for k in range(self.years)}
        resident = {k: start for k, start in year_starts.items() if since <= start < until}
        counts = {}
        counts |= self.count_population(person, since, until, resident, admissions)
        counts |= self.count_hospital(person, since, until, stays, admissions)
        counts |= self.count_frequent(person, resident, admissions)
        counts |= self.count_services(person, own, resident)
        counts |= self.count_benefits(person, own, since, until)
        counts |= self.count_history(person, own, resident, admissions)
        counts |= self.count_target_group(person, own, resident, admissions)
        return counts

    @staticmethod
    def midnight(day):
        return datetime(day.year, day.month, day.day)

    def of_year(self, stays, k):
        start = self.end - (k + 1) * YEAR
        return [stay for stay in stays if start <= stay.start < start + YEAR]

    def days(self, since, until):
        return max(0, (min(until, self.end) - max(since, self.start)).days)

    def count_population(self, person, since, until, resident, admissions):
        died = person["death_date"] and self.start <= self.midnight(person["death_date"]) < self.end
        years, sex = len(resident), person["sex"]
        counts = {
            "deaths_per_1000_person_years": (bool(died) * 365_000, self.days(since, until)),
            "male_share": (years * (sex == "male"), years),
        }
        for code in PLACES:
            counts[f"population_share_{code}"] = (years * (person["municipality"] == code), years)
        for band, (low, high) in BANDS.items():
            inside = [k for k, start in resident.items() if low <= age_at(person["birth_date"], start) < high]
            acute = sum(stay.acute for k in inside for stay in self.of_year(admissions, k))
            counts[f"age_{band}_share"] = (len(inside), years)
            for each in ("female", "male"):
                counts[f"age_{band}_{each}_share"] = (len(inside) * (sex == each), years)
                counts[f"acute_per_1000_{each}_{band}"] = (
                    1000 * acute * (sex == each),
                    len(inside) * (sex == each),
                )
        return counts

    def count_hospital(self, person, since, until, stays, admissions):
        def returns(stay, wanted):
            soon = [s for s in admissions if timedelta(0) < s.start - stay.until < 30 * DAY]
            return any(wanted(s) for s in soon)

        def share(chosen, wanted):
            return sum(map(wanted, chosen)), len(chosen)

        def total_days(chosen):
            return sum(int(stay.length / timedelta(minutes=1)) for stay in chosen) / 1440, len(chosen)

        inside = [stay for stay in admissions if self.start <= stay.start < self.end]
        visits = [s for s in stays if s not in admissions and s.acute and self.start <= s.start < self.end]
        acute = [stay for stay in inside if stay.acute]
        closed = [stay for stay in inside if not stay.open]
        watched = [s for s in closed if s.discharge != "died" and s.until + 30 * DAY <= self.end]
        somatic, psychiatric = ([s for s in closed if s.somatic is is_so] for is_so in (True, False))
        substance = [s for s in closed if starts_with(s.code, (*ALCOHOL, *DRUGS))]
        left = [stay for stay in inside if stay.discharge == "left_early"]

        def is_left(stay):
            return stay.discharge == "left_early"

        def left_before(stay):
            return any(is_left(other) and other.start < stay.start for other in admissions)

        return {
            "admissions_per_1000_person_years": (365_000 * len(inside), self.days(since, until)),
            "acute_share_of_admissions": (len(acute), len(inside)),
            "female_share_of_admissions": (len(inside) * (person["sex"] == "female"), len(inside)),
            "acute_visits_per_acute_admission": (len(visits), len(acute)),
            "somatic_stay_mean_days": total_days(somatic),
            "psychiatric_stay_mean_days": total_days(psychiatric),
            "somatic_stays_under_1_3_days_share": share(
                somatic, lambda s: s.length < 1872 * timedelta(minutes=1)
            ),
            "somatic_stays_over_7_days_share": share(somatic, lambda s: s.length > 7 * DAY),
            "acute_somatic_readmission_30_days_share": share(
                [s for s in watched if s.somatic], lambda s: returns(s, lambda o: o.acute and o.somatic)
            ),
            "psychiatric_readmission_30_days_share": share(
                [s for s in watched if not s.somatic], lambda s: returns(s, lambda o: not o.somatic)
            ),
            "unfinished_share": share(closed, is_left),
            "unfinished_somatic_share": share(somatic, is_left),
            "unfinished_psychiatric_share": share(psychiatric, is_left),
            "unfinished_alcohol_drug_share": share(substance, is_left),
            "acute_return_30_days_after_unfinished_share": share(
                [s for s in watched if is_left(s)], lambda s: returns(s, lambda o: o.acute)
            ),
            "acute_return_30_days_after_finished_share": share(
                [s for s in watched if not is_left(s)], lambda s: returns(s, lambda o: o.acute)
            ),
            "unfinished_with_unfinished_before_share": share(left, left_before),
        }

    def count_frequent(self, person, resident, admissions):
        own = {k: self.of_year(admissions, k) for k in resident}
        acute = {k: sum(s.acute for s in each) for k, each in own.items()}
        somatic = {k: sum(s.acute and s.somatic for s in each) for k, each in own.items()}
        psychiatric = {k: sum(not s.somatic for s in each) for k, each in own.items()}
        working = {k: n for k, n in acute.items() if 18 <= age_at(person["birth_date"], resident[k]) <= 64}

        def at_least(counts, least):
            return sum(count >= least for count in counts.values())

        years = len(resident)
        counts = {
            "residents_admitted_share": (sum(bool(each) for each in own.values()), years),
            "residents_3_or_more_acute_share": (at_least(acute, 3), years),
            "residents_3_or_more_acute_to_acute_somatic_ratio": (at_least(acute, 3), at_least(somatic, 3)),
            "psychiatric_inpatients_share": (at_least(psychiatric, 1), years),
        }
        for n in (1, 2, 3, 4, 5, 8, 10, 15, 20):
            counts[f"residents_{n}_or_more_acute_somatic_share"] = (at_least(somatic, n), years)
        for n in (2, 3, 5, 10):
            counts[f"admitted_{n}_or_more_acute_somatic_share"] = at_least(somatic, n), at_least(somatic, 1)
            counts[f"psychiatric_inpatients_{n}_or_more_share"] = (
                at_least(psychiatric, n),
                at_least(psychiatric, 1),
            )
        for n in (3, 5):
            counts[f"working_age_{n}_or_more_acute_share"] = (at_least(working, n), len(working))
        for lag in (1, 2, 3, 4, 5):
            starts = [k for k in acute if acute[k] >= 3 and k - 1 in resident and k >= lag]
            again = sum(acute.get(k - lag, 0) >= 3 for k in starts)
            counts[f"frequent_again_after_{lag}_years_share"] = (again, len(starts))
        return counts

    def count_services(self, person, own, resident):
        def overlap(row, start, end):
            return row["started_at"] < end and (row["ended_at"] or datetime.max) > start

        def years_with(rows):
            return sum(any(overlap(r, start, start + YEAR) for r in rows) for start in resident.values())

        def attended_in(start):
            contacts = [r for r in own["psychiatric_contacts"] if r["attendance"] in ("attended", "unknown")]
            wards = [r for r in own["admissions"] if r["sector"] == "psychiatric"]
            seen = any(start <= r["started_at"] < start + YEAR for r in contacts)
            return seen or any(overlap(r, start, start + YEAR) for r in wards)

        years, male = len(resident), person["sex"] == "male"
        alcohol = years_with([r for r in own["substance_abuse"] if r["substance"] == "alcohol"])
        drugs = years_with([r for r in own["substance_abuse"] if r["substance"] != "alcohol"])
        shelters = [r for r in own["social_services"] if r["service"] == "shelter"]
        pairs = [
            (r, start) for start in resident.values() for r in shelters if overlap(r, start, start + YEAR)
        ]
        inside = (
            min(r["ended_at"] or datetime.max, start + YEAR) - max(r["started_at"], start)
            for r, start in pairs
        )
        minutes = sum(inside, timedelta(0)) // timedelta(minutes=1)
        weeks = sum(
            any(overlap(r, start + 35 * DAY, start + 42 * DAY) for r in shelters)
            for start in resident.values()
        )
        users = len({start for _, start in pairs})
        psychiatric = sum(map(attended_in, resident.values()))
        codes = self.codes(own, hospital_only=False)
        uses = bool(own["substance_abuse"]) or any(starts_with(c, (*ALCOHOL, *DRUGS)) for _, c in codes)
        counts = {
            "alcohol_treatment_per_1000_a_year": (1000 * alcohol, years),
            "alcohol_treatment_male_share": (alcohol * male, alcohol),
            "drug_treatment_per_1000_a_year": (1000 * drugs, years),
            "shelter_residents_in_count_week_per_1000": (1000 * weeks, years),
            "shelter_users_per_1000_a_year": (1000 * users, years),
            "shelter_users_male_share": (users * male, users),
            "shelter_stays_per_user_a_year": (len(pairs), users),
            "shelter_nights_per_user_a_year": (minutes / 1440, users),
            "psychiatric_treated_share": (psychiatric, years),
            "psychiatric_treated_with_substance_use_share": (psychiatric * uses, psychiatric),
        }
        for disorder, prefixes in DISORDERS.items():
            has = any(starts_with(code, prefixes) for _, code in codes)
            counts[f"{disorder}_with_substance_use_share"] = (has and uses, has)
        return counts

    @staticmethod
    def codes(own, *, hospital_only):
        codes = [(r["started_at"], r["diagnosis"]) for r in own["admissions"]]
        codes += [(r["started_at"], r["code"]) for r in own["diagnoses"]]
        if not hospital_only:
            codes += [(r["started_at"], r["diagnosis"]) for r in own["psychiatric_contacts"]]
        return codes

    def count_benefits(self, person, own, since, until):
        moment = self.end - (self.years * 365 // 2) * DAY
        is_there = since <= moment < until and 18 <= age_at(person["birth_date"], moment) <= 64
        running = {
            r["benefit"]
            for r in own["social_benefits"]
            if r["started_at"] <= moment < (r["ended_at"] or datetime.max)
        }
        supported = is_there and bool(running - {"self_support", "education"})
        counts = {"on_benefits_share": (supported, is_there)}
        for code in PLACES:
            lives = person["municipality"] == code
            counts[f"on_benefits_share_{code}"] = (supported and lives, is_there and lives)
        for name in ("early_retirement", "flex_job", "sickness", "unemployment"):
            counts[f"{name}_share_of_benefits"] = (is_there and name in running, supported)
        return counts

    def count_history(self, person, own, resident, admissions):
        is_there = 0 in resident and self.years >= 4
        index = self.end - YEAR
        if 0 in resident:
            self.bed_hours.append(self.hours_after(admissions, index))
        died = person["death_date"] and self.midnight(person["death_date"]) < self.end
        event = is_there and (bool(died) or any(s.acute and s.somatic for s in self.of_year(admissions, 0)))
        before = [s for s in admissions if index - 3 * YEAR <= s.start < index]
        coded = self.codes(own, hospital_only=True)

        def has_code(stay, prefixes):
            return any(stay.start <= at <= stay.until and starts_with(code, prefixes) for at, code in coded)

        contacts = [
            r
            for r in own["psychiatric_contacts"]
            if r["attendance"] in ("attended", "unknown")
            and r["contact_type"] == "outpatient"
            and index - 3 * YEAR <= r["started_at"] < index
        ]
        found = {
            "emergency_admission": any(s.acute and s.somatic for s in before),
            "elective_admission": any(not s.acute and s.somatic for s in before),
            "alcohol_drug_admission": any(has_code(s, (*ALCOHOL, *DRUGS)) for s in before),
            "alcohol_admission": any(has_code(s, ALCOHOL) for s in before),
            "self_harm_admission": any(s.acute and has_code(s, SELF_HARM) for s in before),
            "psychiatric_admission": any(not s.somatic for s in before),
            "psychiatric_outpatient": bool(contacts),
        }
        for condition, prefixes in CONDITIONS.items():
            found[condition] = any(at < index and starts_with(code, prefixes) for at, code in coded)
        counts = {"admission_or_death_share": (event, is_there)}
        for name, is_so in found.items():
            counts[f"before_{name}_share"] = (is_there and is_so, is_there)
            counts[f"event_after_{name}_share"] = (event and is_so, is_there and is_so)
        return counts

    def count_target_group(self, person, own, resident, admissions):
        begin = self.end - YEAR
        is_adult = 0 in resident and age_at(person["birth_date"], begin) >= 18
        is_frequent = sum(s.acute for s in self.of_year(admissions, 0)) >= 3
        codes = [code for _, code in self.codes(own, hospital_only=False) if code]
        is_burdened = bool(own["substance_abuse"]) or any(
            (code[0] == "F" and code[1] != "0") or starts_with(code, (*ALCOHOL, *DRUGS)) for code in codes
        )
        is_supported = any(
            r["started_at"] <= begin < (r["ended_at"] or datetime.max)
            and r["benefit"] not in ("self_support", "education", "pension")
            for r in own["social_benefits"]
        )
        is_like = is_adult and is_frequent and is_burdened and is_supported
        return {"adults_like_those_of_somv_share": (is_like, is_adult)}

    def hours_after(self, admissions, index):
        time = sum((s.until - max(s.start, index) for s in admissions if s.until > index), timedelta(0))
        return time // HOUR


END = datetime(2026, 1, 1)
CODES = (
    "I500",
    "G409",
    "F100",
    "F200",
    "F320",
    "F603",
    "F310",
    "T400",
    "X610",
    "E119",
    "K703",
    "N185",
    "F001",
    "J449",
    None,
)


def draw_moment(rng, *, before=END):
    """A moment within a day of something that matters: a year's start, the count week, 30 days before it."""
    year = END - rng.randrange(6) * YEAR
    anchor = year + rng.choice([0, 0, 0, 7, 30, 35, 42, 335]) * DAY
    moment = anchor + rng.choice([-25, -24, -13, -12, -5, -4, -1, 0, 0, 1, 4, 11, 12, 13, 24]) * HOUR
    return moment if moment < before else before - HOUR


def draw_span(rng, lengths):
    start = draw_moment(rng)
    end = start + rng.choice(lengths) * HOUR
    return {"started_at": start, "ended_at": end if end < END else None}


def draw_life(rng, number):
    since = (END - rng.choice([6, 6, 6, 3, 2, 1]) * YEAR - rng.choice([0, 0, -1, 1, 40]) * DAY).date()
    until = rng.choice([None, None, None, draw_moment(rng).date()])
    death = rng.choice([None, None, None, draw_moment(rng).date()])
    born = date(2026 - rng.choice([2, 18, 19, 25, 45, 65, 66, 80, 90]), 1, rng.choice([1, 2, 3]))
    return {
        "person_id": f"p{number:03d}",
        "birth_date": min(born, since),
        "sex": rng.choice(schema.SEXES),
        "municipality": rng.choice([*PLACES[:3], None]),
        "death_date": death and max(death, since),
        "observed_from": since,
        "observed_until": until and max(until, since),
    }


def draw_events(rng, table, person, number):
    """One event of a table; its values are drawn from the closed sets."""
    lengths = {"admissions": [1, 3, 7, 8, 12, 13, 24, 31, 32, 168], "social_benefits": [24, 8760, 20000]}
    values = {
        "contact_id": f"c{number:05d}",
        "episode_id": f"e{number:05d}",
        "sector": rng.choice(schema.SECTORS),
        "admission_type": rng.choice(schema.ADMISSION_TYPES),
        "diagnosis": rng.choice(CODES),
        "code": rng.choice(CODES[:-1]),
        "kind": "primary",
        "contact_type": rng.choice(schema.CONTACT_TYPES),
        "attendance": rng.choice(schema.ATTENDANCES),
        "substance": rng.choice(schema.SUBSTANCES),
        "benefit": rng.choice(schema.BENEFITS),
        "service": rng.choice(["shelter", "shelter", "support"]),
    }
    span = draw_span(rng, lengths.get(table, [1, 24, 100, 1000, 9000]))
    if table == "admissions":
        values["discharge"] = span["ended_at"] and rng.choice(["completed", "left_early", "died", "unknown"])
    return {"person_id": person} | values | span


def draw_small_world(seed, persons=60):
    """Persons whose events lie at the edges of years, weeks and hours."""
    rng = random.Random(seed)
    lives = [draw_life(rng, number) for number in range(persons)]
    tables = {"persons": lives}
    for table in (name for name in schema.EVENT_TABLES if name != "primary_care"):
        events = (0, 2, 6, 120) if table == "admissions" else (0, 1, 3)
        owners = [life["person_id"] for life in lives for _ in range(rng.choice(events))]
        tables[table] = [draw_events(rng, table, owner, number) for number, owner in enumerate(owners)]
    copied = [row | {"code": "F101", "kind": "primary"} for row in tables["admissions"][::7]]
    tables["diagnoses"] += copied
    frames = {
        name: pl.LazyFrame(
            [{column: row.get(column) for column in schema.get_columns(name)} for row in rows],
            schema=schema.get_columns(name),
        )
        for name, rows in tables.items()
    }
    return Histories(frames, data_end=END)


@pytest.fixture(scope="module")
def region():
    return simulate(persons=4_000, seed=5)


@pytest.fixture(scope="module")
def measured(region):
    return measure(region)


@pytest.fixture(scope="module")
def targets():
    return read_targets(TARGETS)


def hold_against_reference(histories):
    expected = Reference(histories).figures()
    figures = compute_figures(measure(histories))
    assert set(figures["figure"]) == set(expected) == set(FIGURE_NAMES)
    for name, observed, error in figures.select("figure", "observed", "standard_error").iter_rows():
        value, spread = expected[name]
        assert observed == (value if value is None else pytest.approx(value, rel=1e-9)), name
        if spread is not ...:
            # A spread of nothing is the root of a rounding error.
            nothing = 1e-7 * (value or 1)
            assert error == (spread if spread is None else pytest.approx(spread, rel=1e-6, abs=nothing)), name


def test_every_figure_of_a_made_up_region_is_as_the_reference_counts_it(region):
    hold_against_reference(region)


@pytest.mark.parametrize("seed", range(8))
def test_every_figure_is_as_the_reference_counts_it_at_the_edges_of_years_and_hours(seed):
    hold_against_reference(draw_small_world(seed))


def test_the_small_worlds_reach_almost_every_figure():
    parts = (measure(draw_small_world(seed)) for seed in range(8))
    figures = compute_figures(combine(parts))
    empty = set(figures.filter(pl.col("observed").is_null() | (pl.col("observed") == 0))["figure"])
    rare = (
        *("population_share_", "on_benefits_share_", "residents_", "psychiatric_inpatients_10"),
        *("admitted_5", "admitted_10", "frequent_again_after_5"),
    )
    assert not {name for name in empty if not name.startswith(rare)}


def test_parts_by_person_add_up_to_the_whole(region, measured):
    numbered = region.persons.select("person_id").with_row_index()
    halves = [measure(region.keep_persons(numbered.filter(pl.col("index") % 2 == rest))) for rest in (0, 1)]
    whole = combine(halves)
    assert_frame_equal(whole.sums, measured.sums, check_exact=True)
    order = ["distribution", "group", "value"]
    assert_frame_equal(whole.distributions.sort(order), measured.distributions.sort(order))
    assert_frame_equal(compute_figures(whole), compute_figures(measured), check_exact=True)


@pytest.mark.parametrize("figure", ["admissions_per_1000_person_years", "frequent_again_after_1_years_share"])
def test_the_standard_error_is_that_of_a_bootstrap_over_persons(region, measured, figure):
    counts = [each[figure] for each in Reference(region).counts]
    y, x = np.array(counts, dtype=float).T
    draws = np.random.default_rng(1).multinomial(len(y), np.full(len(y), 1 / len(y)), size=2_000)
    bootstrap = np.std(draws @ y / (draws @ x))
    assert get_row(measured, figure)["standard_error"] == pytest.approx(bootstrap, rel=0.1)


def test_the_standard_error_of_a_top_share_is_that_of_a_bootstrap_with_the_edge_given(region, measured):
    hours = np.sort(np.array(Reference(region).bed_hours, dtype=float))[::-1]
    places = 0.01 * len(hours)
    taken = np.clip(places - np.arange(len(hours)), 0, 1)
    draws = np.random.default_rng(2).multinomial(len(hours), np.full(len(hours), 1 / len(hours)), size=2_000)
    bootstrap = np.std(draws @ (hours * taken) / (draws @ hours))
    error = get_row(measured, "bed_day_share_of_top_1_percent")["standard_error"]
    assert error == pytest.approx(bootstrap, rel=0.1)


def test_the_lorenz_curve_ends_with_everybody_and_all_bed_days(measured):
    last = compute_lorenz(measured.distributions).row(-1, named=True)
    assert last["value"] == 0
    assert last["person_share"] == pytest.approx(1)
    assert last["bed_day_share"] == pytest.approx(1)


def test_a_short_period_leaves_figures_unmeasured_instead_of_wrong():
    figures = compute_figures(measure(simulate(persons=300, seed=1, end=date(2021, 6, 1))))
    observed = dict(figures.select("figure", "observed").iter_rows())
    assert observed["admission_or_death_share"] is None
    assert observed["frequent_again_after_1_years_share"] is None
    assert observed["admissions_per_1000_person_years"] > 0


def test_a_part_that_arrived_late_is_measured_over_the_region_s_years(region, measured):
    late = region.persons.filter(pl.col("observed_from") > date(2022, 1, 1))
    early = region.persons.filter(pl.col("observed_from") <= date(2022, 1, 1))
    start = datetime(2020, 1, 1)
    parts = [measure(region.keep_persons(ids), data_start=start) for ids in (early, late)]
    assert_frame_equal(combine(parts).sums, measured.sums, check_exact=True)


def test_measurements_of_nobody_and_of_other_columns_are_refused(region, measured):
    nobody = region.keep_persons(region.persons.head(0).select("person_id"))
    with pytest.raises(InputError, match="need a start and an end"):
        measure(nobody)
    with pytest.raises(ConfigError, match="no measurements to combine"):
        combine([])
    with pytest.raises(ConfigError, match="other columns than declared"):
        Measurements(measured.sums.drop("yy"), measured.distributions)


def get_row(measurements, figure):
    return compute_figures(measurements).row(by_predicate=pl.col("figure") == figure, named=True)


TARGET = {
    "figure": '"male_share"',
    "subject": '"population"',
    "title": '"Men"',
    "unit": '"share"',
    "value": "0.5",
    "low": "0.4",
    "high": "0.6",
    "status": '"assumed"',
    "source": '"somebody"',
}


def write_target(folder, **changes):
    lines = [f"{key} = {value}" for key, value in (TARGET | changes).items() if value]
    file = folder / "targets.toml"
    file.write_text("[[target]]\n" + "\n".join(lines), encoding="utf-8")
    return file


def test_the_delivered_targets_are_lawful_and_of_every_status(targets):
    assert {target.status for target in targets} == {"sourced", "derived", "assumed"}
    assert len(targets) > 100


@pytest.mark.parametrize(
    ("observed", "verdict"),
    [(0.4, "within"), (0.6, "within"), (0.3999, "off"), (0.6001, "off"), (None, "not measured")],
)
def test_both_ends_of_a_band_are_inside(tmp_path, observed, verdict):
    figures = pl.DataFrame(
        {"figure": ["male_share"], "observed": [observed], "standard_error": [1e-5], "denominator": [1e3]},
        schema_overrides={"observed": pl.Float64},
    )
    compared = compare(read_targets(write_target(tmp_path)), figures)
    assert compared["verdict"].to_list() == [verdict]


@pytest.mark.parametrize(
    ("observed", "verdict"),
    [(0.64, "off"), (0.63, "uncertain"), (0.37, "uncertain"), (0.36, "off"), (0.5, "within")],
)
def test_a_miss_within_the_sampling_error_is_uncertain(tmp_path, observed, verdict):
    figures = pl.DataFrame(
        {"figure": ["male_share"], "observed": [observed], "standard_error": [0.0154], "denominator": [1e3]}
    )
    compared = compare(read_targets(write_target(tmp_path)), figures)
    assert compared["verdict"].to_list() == [verdict]


@pytest.mark.parametrize("error", [0.0, None])
@pytest.mark.parametrize(
    ("observed", "verdict"), [(0.0, "uncertain"), (1.0, "uncertain"), (0.5, "within"), (None, "not measured")]
)
def test_what_happened_to_nobody_or_to_everybody_is_not_off(tmp_path, observed, error, verdict):
    figures = pl.DataFrame(
        {"figure": ["male_share"], "observed": [observed], "standard_error": [error], "denominator": [3.0]},
        schema_overrides={"observed": pl.Float64, "standard_error": pl.Float64},
    )
    compared = compare(read_targets(write_target(tmp_path)), figures)
    assert compared["verdict"].to_list() == [verdict]


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_off_in_a_region_of_one_person(targets, seed):
    compared = compare(targets, compute_figures(measure(simulate(persons=1, seed=seed))))
    assert "off" not in set(compared["verdict"])


def test_the_usual_targets_are_those_of_the_project_wherever_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_targets() == TARGETS.resolve()


def test_targets_packaged_beside_the_module_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(targets_module, "__file__", str(tmp_path / "targets.py"))
    packaged = tmp_path / "region_sjaelland.toml"
    packaged.write_text("", encoding="utf-8")
    assert find_targets() == packaged


def test_a_comparison_has_a_row_per_target_in_the_given_order(targets, measured):
    compared = compare(targets, compute_figures(measured))
    assert compared["figure"].to_list() == [target.figure for target in targets]
    assert {"within", "uncertain", "not measured"} <= set(compared["verdict"])
    assert compare(targets, compute_figures(measured).head(0))["verdict"].unique().to_list() == [
        "not measured"
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"figure": '"happiness"'}, "no figure that is measured"),
        ({"status": '"guessed"'}, "has status 'guessed'. Use sourced, derived, assumed"),
        ({"low": "0.55"}, "value outside its band. Keep low <= value <= high"),
        ({"high": "0.45"}, "value outside its band"),
        ({"value": '"half"'}, "no number. Write numbers"),
        ({"high": "nan"}, "no number"),
        ({"low": "true"}, "no number"),
        ({"title": '" "'}, "has no title. Write it as text"),
        ({"source": "3"}, "has no source"),
        ({"note": "3"}, "a note that is no text"),
        ({"unit": ""}, "Target 1 has a missing or unknown key"),
        ({"colour": '"red"'}, "Target 1 has a missing or unknown key"),
    ],
)
def test_a_faulty_target_is_refused_with_a_sentence(tmp_path, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_targets(write_target(tmp_path, **changes))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[target]", "is not TOML"),
        ("", "Targets must be a list"),
        ("target = 3", "Targets must be a list"),
        ("target = [3]", "Target 1 has a missing or unknown key"),
    ],
)
def test_a_faulty_file_is_refused_with_a_sentence(tmp_path, text, sentence):
    file = tmp_path / "targets.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=sentence):
        read_targets(file)


def test_a_figure_with_two_targets_is_refused(tmp_path):
    file = write_target(tmp_path)
    file.write_text(2 * (file.read_text(encoding="utf-8") + "\n"), encoding="utf-8")
    with pytest.raises(ConfigError, match="more than one target: male_share"):
        read_targets(file)


def test_a_missing_file_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(SourceError, match="Give the path of a TOML file"):
        read_targets(tmp_path / "none.toml")
