"""Gates: what must hold before a challenger becomes the champion, declared in TOML."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from somv_risk.disclosure import FEW
from somv_risk.errors import ConfigError
from somv_risk.files.packaged import find_config, find_packaged_config
from somv_risk.toml import read_toml

GATES_FILE: Final = "gates.toml"
PAIRED: Final = ("champion", "difference", "low", "high")
NO_CHAMPION: Final = "There is no champion, so nothing to compare with."
NOTHING_KNOWN: Final = "It cannot be said from these persons."
LOST: Final = "So few of this group are left on the challenger's list that it cannot be judged."


class Gate(BaseModel):
    """One gate: which numbers of a comparison it looks at, and between which limits each must be.

    `number` is the column looked at: "challenger", or "difference", "low" or "high" of the difference to the
    champion. A gate about the difference is open where there is no champion yet, and closed where nothing is
    known, or a group is known on the champion's side only. It looks at numbers that small counts hide too,
    and does not tell them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    says: str
    metric: str
    number: Literal["challenger", "difference", "low", "high"]
    population: str | None = None
    capacity: str | None = None
    grouping: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _check_limits(self) -> "Gate":
        if self.at_least is None and self.at_most is None:
            raise ValueError("it has neither at_least nor at_most")
        return self

    def select(self, table: pl.DataFrame) -> pl.DataFrame:
        """Select the numbers of a comparison that the gate is about."""
        chosen = table.filter(pl.col("metric") == self.metric)
        for column in ("population", "capacity", "grouping"):
            wanted = getattr(self, column)
            if wanted is not None:
                chosen = chosen.filter(pl.col(column) == wanted)
        return chosen

    def judge(self, table: pl.DataFrame, *, has_champion: bool) -> dict[str, Any]:
        """Judge a comparison: whether the gate holds, and the number nearest to breaking it, or beyond."""
        verdict = {"gate": self.name, "says": self.says, "limits": self.limits, "number": self.number}
        if self.number in PAIRED and not has_champion:
            return verdict | {"value": None, "where": None, "holds": True, "note": NO_CHAMPION}
        chosen = self.select(table)
        known, lost = chosen.drop_nulls(self.number), _find_lost(chosen)
        if known.is_empty() or lost:
            where, note = (_name_place(lost[0]), LOST) if lost else (None, NOTHING_KNOWN)
            return verdict | {"value": None, "where": where, "holds": False, "note": note}
        worst = min(known.iter_rows(named=True), key=lambda row: self._measure_room(row[self.number]))
        holds = self._measure_room(worst[self.number]) >= 0
        shown = (
            {"value": None, "note": FEW} if worst["hidden"] else {"value": worst[self.number], "note": None}
        )
        return verdict | shown | {"where": _name_place(worst), "holds": holds}

    @property
    def limits(self) -> str:
        """The limits in words."""
        parts = {"at least": self.at_least, "at most": self.at_most}
        return ", ".join(f"{name} {limit:g}" for name, limit in parts.items() if limit is not None)

    def _measure_room(self, value: float) -> float:
        """Measure how far a number is inside the limits; below 0 outside them."""
        above = float("inf") if self.at_least is None else value - self.at_least
        below = float("inf") if self.at_most is None else self.at_most - value
        return min(above, below)


def _find_lost(chosen: pl.DataFrame) -> list[dict[str, Any]]:
    """Find groups that show on the champion's side and not on the challenger's: it may list none of them."""
    return chosen.filter(pl.col("challenger").is_null(), pl.col("champion").is_not_null()).to_dicts()


def _name_place(row: Mapping[str, Any]) -> str:
    named = [row[name] for name in ("population", "capacity", "grouping", "group") if row[name]]
    return " ".join(named) or "all"


class Gates(BaseModel):
    """All gates, and what must be compared for them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    working_capacity: str = "1 %"
    gates: tuple[Gate, ...]

    @property
    def capacities(self) -> list[str]:
        """The lengths of lists that the gates name, and the working capacity."""
        named = [gate.capacity for gate in self.gates if gate.capacity is not None]
        return list(dict.fromkeys([self.working_capacity, *named]))

    def judge(self, table: pl.DataFrame, *, has_champion: bool) -> pl.DataFrame:
        """Judge a comparison by every gate, one row each."""
        rows = [gate.judge(table, has_champion=has_champion) for gate in self.gates]
        return pl.DataFrame(rows, schema=_VERDICT)


_VERDICT: Final = {
    "gate": pl.String,
    "says": pl.String,
    "number": pl.String,
    "limits": pl.String,
    "value": pl.Float64,
    "where": pl.String,
    "holds": pl.Boolean,
    "note": pl.String,
}


def find_gates() -> Path:
    """Find the gates that come with the library: packaged in a wheel, else in the project's folder.

    Examples
    --------
    >>> find_gates().name
    'gates.toml'
    """
    return find_packaged_config(GATES_FILE)


def read_gates(path: str | Path | None = None) -> Gates:
    """Read gates from a TOML file, one table `[gates.name]` each; those of the library by default.

    Raises
    ------
    SourceError
        If the file is missing or unreadable.
    ConfigError
        If it is not TOML, holds no gate, or one breaks a rule.
    """
    file = find_gates() if path is None else find_config("gates", path, GATES_FILE)
    return parse_gates(read_toml("Table of gates", file), str(file))


def parse_gates(data: dict[str, Any], file: str = "gates") -> Gates:
    """Parse gates from plain data."""
    gates = data.get("gates")
    if not isinstance(gates, dict) or not gates:
        raise ConfigError(f"{file} holds no gate. Declare at least one table [gates.name].")
    rows = [{"name": name, **gate} if isinstance(gate, dict) else gate for name, gate in gates.items()]
    try:
        return Gates.model_validate(data | {"gates": rows})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(_name_entry(list(gates), first["loc"]))
        raise ConfigError(f"{file}, {place}: {first['msg']}. Correct that entry.") from None


def _name_entry(names: Sequence[str], location: Sequence[str | int]) -> list[str]:
    return [names[part] if isinstance(part, int) else part for part in location]
