"""Findings: the facts and tables of an evaluation, and how a page looks something up in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.errors import InputError
from somv_risk.registers.schema import INDEX_TIME
from somv_risk.report.small_counts import hide_small_counts

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "attrition": ("index_time", "rule", "rows_before", "rows_after"),
        "cases": ("index_time", "population", "rows", "events", "base_rate", "low", "high", "note"),
        "metrics": ("index_time", "population", "ranking", "metric", "value", "low", "high", "note"),
        "capacity": (
            "index_time",
            "population",
            "ranking",
            "capacity",
            "persons",
            "metric",
            "value",
            "low",
            "high",
            "note",
        ),
        "calibration": (
            "index_time",
            "ranking",
            "grouping",
            "group",
            "rows",
            "events",
            "metric",
            "value",
            "low",
            "high",
            "note",
        ),
        "reliability": (
            "index_time",
            "ranking",
            "grouping",
            "group",
            "bin",
            "rows",
            "events",
            "mean_risk",
            "observed",
            "low",
            "high",
            "note",
        ),
        "decision_curve": ("index_time", "strategy", "threshold", "value", "low", "high", "note"),
        "risk_distribution": (
            "index_time",
            "ranking",
            "outcome",
            "from_risk",
            "to_risk",
            "rows",
            "share",
            "note",
        ),
        "persistence": (
            "index_time",
            "ranking",
            "known_or_new",
            "flagged",
            "rows",
            "events",
            "value",
            "low",
            "high",
            "note",
        ),
        "fairness": (
            "index_time",
            "ranking",
            "grouping",
            "group",
            "metric",
            "count",
            "of",
            "value",
            "low",
            "high",
            "difference",
            "difference_low",
            "difference_high",
            "note",
        ),
        "gaps": (
            "index_time",
            "ranking",
            "grouping",
            "group",
            "metric",
            "difference",
            "low",
            "high",
            "text",
        ),
        "hidden": ("index_time", "ranking", "measure", "value", "low", "high", "note"),
        "turnover": (
            "from_index_time",
            "to_index_time",
            "ranking",
            "capacity",
            "persons",
            "value",
            "note",
        ),
        "rolling_origin": ("test_time", "trained_until", "ranking", "metric", "value", "low", "high", "note"),
        "places_left_out": (
            "municipality",
            "name",
            "rows",
            "events",
            "ranking",
            "metric",
            "value",
            "low",
            "high",
            "note",
        ),
        "list_stability": ("measure", "value", "low", "high", "note"),
        "explanations": ("measure", "value", "low", "high", "note"),
    }
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What an evaluation found: plain facts about the run, and tidy tables without small counts, by name."""

    facts: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]

    def __post_init__(self) -> None:
        for name, frame in self.tables.items():
            missing = [column for column in COLUMNS.get(name, ()) if column not in frame.columns]
            if missing:
                raise InputError(f"`{name}` lacks {', '.join(missing)}. Add them; null is allowed.")
        object.__setattr__(self, "tables", hide_small_counts(self.tables))

    @property
    def latest(self) -> datetime | None:
        """The latest index time that could be judged, which the opening page tells of."""
        judged = self.select("cases").drop_nulls("base_rate")
        return judged[INDEX_TIME].max()  # type: ignore[return-value]  # a moment

    @property
    def working(self) -> dict[str, Any]:
        """Where in `capacity` the list of the working capacity stands."""
        return {INDEX_TIME: self.latest, "capacity": self.facts["working_capacity"]}

    def select(self, table: str, **where: object) -> pl.DataFrame:
        """Return the rows with these values; none if there is no such table."""
        frame = self.tables.get(table)
        if frame is None:
            return pl.DataFrame(schema=dict.fromkeys(COLUMNS[table], pl.String))
        return frame.filter(*(pl.col(column).eq_missing(pl.lit(value)) for column, value in where.items()))

    def find(self, table: str, **where: object) -> dict[str, Any] | None:
        """Return the first row with these values, if there is one."""
        return next(self.select(table, **where).iter_rows(named=True), None)

    def find_value(self, table: str, **where: object) -> float | None:
        """Return the value of the first row with these values, if there is one."""
        row = self.find(table, **where)
        return None if row is None else row["value"]
