"""Hospital contacts: the ward contacts that make up each stay, with their places and diagnoses."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from somv_risk.registers import schema
from somv_risk.simulate.catalogue import (
    PSYCHIATRY,
    read_causes,
    read_hospitals,
    read_municipalities,
    read_secondary_codes,
    read_table,
)
from somv_risk.simulate.draws import Flags, Floats, Ints, Seed, number_within, spread_out
from somv_risk.simulate.occasions import ACUTE, PLANNED, VISIT
from somv_risk.simulate.population import Population

EMERGENCY: Final = "emergency"
HOURS_BETWEEN_WARDS: Final = 2 / 24
DRIVERS_WITH_PSYCHIATRIC_PART: Final = ("alcohol", "drugs", "personality")


def draw_contacts(people: Population, stays: pl.DataFrame, seed: Seed) -> pl.DataFrame:
    """One row per ward contact, with everything that the tables of admissions and diagnoses need."""
    rng = seed.open_stream("contacts")
    settings = read_table("stays")["wards"]
    stays = stays.with_columns(
        pl.Series("code", _draw_codes(rng, stays["cause"].to_numpy())),
        pl.Series("place", _draw_places(rng, people, stays, settings)),
        **_draw_transfers(rng, stays.height),
    )
    counts = _draw_ward_counts(rng, stays, settings)
    row, number = spread_out(counts), number_within(counts)
    contacts = stays[row].with_columns(
        pl.Series("number", number),
        pl.Series("is_last", number == counts[row] - 1),
        pl.Series("parts", counts[row]),
    )
    contacts = people.keep_seen(_add_times(rng, contacts))
    return _add_department(rng, contacts, settings).with_columns(
        discharge=_tell_discharge(rng, contacts),
        admission_type=pl.when(pl.col("mode") == PLANNED).then(pl.lit("planned")).otherwise(pl.lit("acute")),
        diagnosis=pl.when(pl.col("until") < people.period.days).then("code"),
    )


def _draw_codes(rng: np.random.Generator, causes: Ints) -> pl.Series:
    codes = [code for cause in read_causes() for code in cause.codes]
    counts = np.array([len(cause.codes) for cause in read_causes()])
    first = np.cumsum(counts) - counts
    # Earlier codes of a cause are the commoner ones.
    number = np.floor(rng.random(causes.size) ** 1.6 * counts[causes]).astype(np.int64)
    return pl.Series(codes).gather(first[causes] + number)


def _draw_places(
    rng: np.random.Generator, people: Population, stays: pl.DataFrame, settings: Mapping[str, Any]
) -> Ints:
    """The hospital: mostly the one of the municipality, in unrest more often another."""
    hospitals = read_hospitals()
    homes = np.array([hospitals.index(place.hospital) for place in read_municipalities()])
    home = homes[people.places[stays["person"].to_numpy()]]
    unrest = stays["unrest"].to_numpy() > 0
    away = rng.random(home.size) < np.where(unrest, settings["elsewhere_in_unrest"], settings["elsewhere"])
    return np.asarray(np.where(away, rng.integers(0, len(hospitals), home.size), home))


def _draw_ward_counts(rng: np.random.Generator, stays: pl.DataFrame, settings: Mapping[str, Any]) -> Ints:
    mark = rng.random(stays.height)
    counts = 1 + (mark < settings["chance_of_two"] + settings["chance_of_three"])
    counts += mark < settings["chance_of_three"]
    long = (stays["until"] - stays["day"]).to_numpy() >= settings["from_days"]
    return np.where(long & (stays["mode"].to_numpy() == ACUTE), counts, 1)


def _draw_transfers(rng: np.random.Generator, size: int) -> dict[str, Floats]:
    """When, as shares of a stay, its first and second transfer come, if there are any: mostly early."""
    first = rng.beta(1.3, 4.0, size)
    return {"first_transfer": first, "second_transfer": first + (1 - first) * rng.beta(2.0, 2.0, size)}


def _add_times(rng: np.random.Generator, contacts: pl.DataFrame) -> pl.DataFrame:
    """Cuts a stay into its contacts, up to two hours apart."""
    cuts = contacts.select("first_transfer", "second_transfer").to_numpy()
    number, is_last = contacts["number"].to_numpy(), contacts["is_last"].to_numpy()
    rows = np.arange(number.size)
    begins, length = contacts["day"].to_numpy(), (contacts["until"] - contacts["day"]).to_numpy()
    from_share = np.where(number == 0, 0.0, cuts[rows, np.maximum(number - 1, 0)])
    until_share = np.where(is_last, 1.0, cuts[rows, np.minimum(number, 1)])
    pause = np.minimum(rng.random(rows.size) * HOURS_BETWEEN_WARDS, 0.5 * (until_share - from_share) * length)
    return contacts.with_columns(
        pl.Series("day", begins + from_share * length + pause * (number > 0)),
        pl.Series("until", begins + until_share * length),
    )


def _add_department(
    rng: np.random.Generator, contacts: pl.DataFrame, settings: Mapping[str, Any]
) -> pl.DataFrame:
    causes = read_table("causes")
    kinds = list(causes["departments"])
    kind = np.array([kinds.index(cause.department) for cause in read_causes()])[contacts["cause"].to_numpy()]
    psychiatric = (kind == kinds.index(PSYCHIATRY)) | _draw_psychiatric_parts(rng, contacts, settings)
    at_the_door = _draw_emergency_wards(rng, contacts, settings)
    ward = np.where(at_the_door, kinds.index(EMERGENCY), kind)
    ward = np.where(psychiatric, kinds.index(PSYCHIATRY), ward)
    hospital = pl.Series(read_hospitals()).gather(contacts["place"])
    elsewhere = hospital.replace_strict(causes["psychiatric_hospitals"])
    return contacts.with_columns(
        pl.Series(schema.SECTOR, schema.SECTORS).gather(psychiatric.astype(np.int64)),
        elsewhere.zip_with(pl.Series(psychiatric), hospital).alias(schema.HOSPITAL),
        pl.Series(schema.DEPARTMENT, list(causes["departments"].values())).gather(ward),
    )


def _draw_psychiatric_parts(
    rng: np.random.Generator, contacts: pl.DataFrame, settings: Mapping[str, Any]
) -> Flags:
    """Last contacts in psychiatry of stays that began elsewhere."""
    open_to_it = np.array([cause.driver in DRIVERS_WITH_PSYCHIATRIC_PART for cause in read_causes()])
    last_of_many = (contacts["is_last"] & (contacts["parts"] > 1)).to_numpy()
    chosen = rng.random(contacts.height) < settings["psychiatric_part"]
    return np.asarray(open_to_it[contacts["cause"].to_numpy()] & last_of_many & chosen)


def _draw_emergency_wards(
    rng: np.random.Generator, contacts: pl.DataFrame, settings: Mapping[str, Any]
) -> Flags:
    mode = contacts["mode"].to_numpy()
    first = (contacts["number"] == 0).to_numpy()
    chosen = (contacts["parts"] > 1).to_numpy() | (rng.random(mode.size) < settings["emergency_first"])
    return np.asarray((mode == VISIT) | ((mode == ACUTE) & first & chosen))


def _tell_discharge(rng: np.random.Generator, contacts: pl.DataFrame) -> pl.Expr:
    unknown = pl.Series(rng.random(contacts.height) < 0.004)
    return (
        pl.when(~pl.col("is_last"))
        .then(pl.lit("transferred"))
        .when("died")
        .then(pl.lit("died"))
        .when("left")
        .then(pl.lit("left_early"))
        .when(unknown)
        .then(pl.lit("unknown"))
        .otherwise(pl.lit("completed"))
    )


def draw_diagnoses(people: Population, contacts: pl.DataFrame, seed: Seed) -> pl.DataFrame:
    """One row per diagnosis of a closed contact; `contacts` carry their id."""
    rng = seed.open_stream("diagnoses")
    closed = contacts.filter(pl.col("diagnosis").is_not_null())
    wanted = ["person", "day", "until", "known", "contact_id", "code", "kind"]
    rows = [closed.with_columns(code="diagnosis", kind=pl.lit("primary")), _draw_self_harm(rng, closed)]
    rows += [
        closed.filter(
            rng.random(closed.height) < second.chance * _feels(people, closed, second.driver)
        ).with_columns(code=pl.lit(second.code), kind=pl.lit("secondary"))
        for second in read_secondary_codes()
    ]
    found = pl.concat([frame.select(wanted) for frame in rows])
    return found.unique(["contact_id", "code"], keep="first", maintain_order=True)


def _draw_self_harm(rng: np.random.Generator, closed: pl.DataFrame) -> pl.DataFrame:
    """Codes that say how an injury came about, for the causes that have them."""
    codes = {number: cause.secondary for number, cause in enumerate(read_causes()) if cause.secondary}
    frames = [
        closed.filter(pl.col("cause") == number).with_columns(kind=pl.lit("secondary")) for number in codes
    ]
    return pl.concat(
        [
            frame.with_columns(
                code=pl.Series(list(some), dtype=pl.String).gather(rng.integers(0, len(some), frame.height))
            )
            for frame, some in zip(frames, codes.values(), strict=True)
        ]
    )


def _feels(people: Population, contacts: pl.DataFrame, driver: str) -> Flags:
    return people.feels(driver, contacts["person"].to_numpy(), contacts["day"].to_numpy())
