"""Subgroups: to which groups persons belonged at the index moment, as far as was known then."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import polars as pl

from somv_risk.cohort.asof import KEY, NO_LAGS, Lags
from somv_risk.cohort.cohort import compute_age_years
from somv_risk.errors import ConfigError
from somv_risk.features import Feature, build_features, list_features, load_definitions, parse_definitions
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.toml import load_packaged

AGE_BAND: Final = "age_band"
FROM_PERSONS: Final = (s.SEX, AGE_BAND, s.MUNICIPALITY)


@cache
def _load() -> dict[str, Any]:
    return load_packaged("somv_risk.evaluation", "groupings.toml")


def list_groupings() -> tuple[str, ...]:
    """List the names of the groupings.

    Examples
    --------
    >>> list_groupings()[:3]
    ('sex', 'age_band', 'municipality')
    """
    return (*FROM_PERSONS, *_load()["groupings"])


def build_groups(histories: Histories, cohort: pl.DataFrame, lags: Lags = NO_LAGS) -> pl.DataFrame:
    """Build the groups of persons as known before the index: one row per cohort row, in the same order.

    Returns
    -------
    One column of texts per grouping (`list_groupings`); null is unknown, as where a table was not delivered.
    """
    rules: Mapping[str, Any] = _load()["groupings"]
    frame = build_features(histories, cohort, _list_features(rules), lags=lags).collect()
    grouped = frame.select(_choose_group(rule).alias(name) for name, rule in rules.items())
    return pl.concat([_describe_persons(histories, cohort), grouped], how="horizontal")


def _describe_persons(histories: Histories, cohort: pl.DataFrame) -> pl.DataFrame:
    rows = cohort.lazy().select(KEY)
    told = rows.join(histories.persons, on=s.PERSON_ID, how="left", maintain_order="left")
    age = _name_band(compute_age_years(), _load()["age_bands"])
    return told.select(pl.col(s.SEX).cast(pl.String), age.alias(AGE_BAND), pl.col(s.MUNICIPALITY)).collect()


def _name_band(age: pl.Expr, starts: list[int]) -> pl.Expr:
    """Name the band of an age, such as "18-29"; the last has no end."""
    name: pl.Expr = pl.lit(f"under {starts[0]}")
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        band = f"{start} and over" if end is None else f"{start}-{end - 1}"
        name = pl.when(age >= start).then(pl.lit(band)).otherwise(name)
    return pl.when(age.is_not_null()).then(name)


def _list_features(rules: Mapping[str, Any]) -> tuple[Feature, ...]:
    """List the features that the groupings ask for: their own, and those of the catalogue."""
    own = {definition.id: definition for definition in parse_definitions(_load()["features"])}
    known = {definition.id: definition for definition in load_definitions()} | own
    asked = [identity for rule in rules.values() for listed in rule["groups"].values() for identity in listed]
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise ConfigError(
            f"Groupings name the unknown features {', '.join(unknown)}. Name ids of the catalogue."
        )
    return list_features(known[identity] for identity in dict.fromkeys(asked))


def _choose_group(rule: Mapping[str, Any]) -> pl.Expr:
    """Choose the first group any of whose features is more than 0."""
    names = {feature.definition.id: feature.name for feature in _list_features({"one": rule})}
    columns = {group: [pl.col(names[one]) for one in listed] for group, listed in rule["groups"].items()}
    everything = [column for listed in columns.values() for column in listed]
    is_known = pl.any_horizontal(column.is_not_null() for column in everything)
    chosen: pl.Expr = pl.when(is_known).then(pl.lit(rule["otherwise"]))
    for group, listed in reversed(columns.items()):
        is_in = pl.any_horizontal((column > 0).fill_null(value=False) for column in listed)
        chosen = pl.when(is_in).then(pl.lit(group)).otherwise(chosen)
    return chosen
