"""Targets: published figures with the band in which a made-up region should lie."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal, get_args

import polars as pl

from somv_risk.errors import ConfigError
from somv_risk.files.packaged import find_config, find_packaged_config
from somv_risk.simulate.difficulty import DIFFICULTY_NAMES
from somv_risk.simulate.measures import FIGURE_NAMES, TWO_SIDED_95
from somv_risk.toml import read_toml

Status = Literal["sourced", "derived", "assumed"]
Verdict = Literal["within", "off", "uncertain", "not measured"]

NO_SPREAD: Final = 1e-6  # of the figure: a smaller standard error is 0 but for rounding
TARGETS_FILE: Final = "simulation/region_sjaelland.toml"
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
COMPARISON_COLUMNS: Final = (
    *("subject", "figure", "title", "unit", "target", "low", "high"),
    *("observed", "standard_error", "verdict", "status", "source", "note"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A published figure and its band.

    Parameters
    ----------
    figure
        One of the figures that `measures` computes.
    subject, title, unit
        Under what heading, and how, it is shown.
    value
        What is published, or derived from it.
    low, high
        The band; both ends are inside.
    status
        ``sourced`` (a Danish figure), ``derived`` (worked out, or another country's shape) or ``assumed``.
    source
        Where the value comes from.
    note
        Why what is compared is not quite the same thing; null if it is.

    Raises
    ------
    ConfigError
        If the figure is not measured, the value is outside the band, or a text is missing.
    """

    figure: str
    subject: str
    title: str
    unit: str
    value: float
    low: float
    high: float
    status: Status
    source: str
    note: str | None = None

    def __post_init__(self) -> None:
        if self.figure not in (*FIGURE_NAMES, *DIFFICULTY_NAMES):
            raise ConfigError(
                f"Target {self.figure!r} is no figure that is measured. "
                "Use a name from FIGURE_NAMES or DIFFICULTY_NAMES."
            )
        _check_texts(self)
        _check_band(self)


def find_targets() -> Path:
    """Find the published figures for Region Sjælland: packaged in a wheel, else in the project's folder.

    Examples
    --------
    >>> find_targets().name
    'region_sjaelland.toml'
    """
    return find_packaged_config(TARGETS_FILE)


def read_targets(path: str | Path) -> tuple[Target, ...]:
    """Read the targets from a TOML file, one ``[[target]]`` each.

    Raises
    ------
    SourceError
        If the file is missing or unreadable.
    ConfigError
        If it is not TOML, holds no target, or one breaks a rule or comes twice.
    """
    return _parse_targets(read_toml("Table of targets", find_config("targets", path, TARGETS_FILE)))


def compare(targets: Sequence[Target], figures: pl.DataFrame) -> pl.DataFrame:
    """Compare measured figures with their targets.

    Parameters
    ----------
    targets
        What to hold them against.
    figures
        As `compute_figures` returns them.

    Returns
    -------
    One row per target, in the given order: `subject`, `figure`, `title`, `unit`, `target`, `low`, `high`,
    `observed`, `standard_error`, `verdict`, `status`, `source`, `note`. The verdict is ``within``;
    ``uncertain`` outside the band by no more than 1.96 standard errors, as in small regions; ``off``; or
    ``not measured`` where the figure is absent or its denominator is 0. Outside the band without a standard
    error, or with one of 0, is ``uncertain`` too: nobody differs from the others, as when something happened
    to nobody or to everybody, so the sample cannot tell how far off it may be.
    """
    schema = {
        field.name: pl.Float64 if field.name in ("value", "low", "high") else pl.String
        for field in fields(Target)
    }
    wanted = pl.DataFrame([asdict(target) for target in targets], schema=schema).rename({"value": "target"})
    observed = figures.select("figure", "observed", "standard_error")
    return (
        wanted.join(observed, on="figure", how="left", maintain_order="left")
        .with_columns(_judge().alias("verdict"))
        .select(COMPARISON_COLUMNS)
    )


def _judge() -> pl.Expr:
    observed, error = pl.col("observed"), pl.col("standard_error")
    low, high, margin = pl.col("low"), pl.col("high"), TWO_SIDED_95 * error
    has_no_spread = error.is_null() | (error <= NO_SPREAD * observed.abs())
    return (
        pl.when(observed.is_null())
        .then(pl.lit("not measured"))
        .when(observed.is_between(low, high))
        .then(pl.lit("within"))
        .when(has_no_spread | observed.is_between(low - margin, high + margin))
        .then(pl.lit("uncertain"))
        .otherwise(pl.lit("off"))
    )


def _parse_targets(content: Mapping[str, Any]) -> tuple[Target, ...]:
    rows = content.get("target")
    if not isinstance(rows, list) or not rows or set(content) != {"target"}:
        raise ConfigError("Targets must be a list. Write one [[target]] for each, and nothing else.")
    targets = tuple(_build_target(row, number) for number, row in enumerate(rows, start=1))
    names = [target.figure for target in targets]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"Figures have more than one target: {', '.join(repeated)}. Keep one of each.")
    return targets


def _build_target(row: Any, number: int) -> Target:  # noqa: ANN401 - TOML may hold anything
    try:
        return Target(**row)
    except TypeError:
        required = ", ".join(field.name for field in fields(Target) if field.name != "note")
        raise ConfigError(
            f"Target {number} has a missing or unknown key. Give {required}, and a note if needed."
        ) from None


def _check_texts(target: Target) -> None:
    texts = {name: getattr(target, name) for name in ("subject", "title", "unit", "source")}
    if empty := [name for name, text in texts.items() if not isinstance(text, str) or not text.strip()]:
        raise ConfigError(f"Target {target.figure!r} has no {', '.join(empty)}. Write it as text.")
    if target.note is not None and not isinstance(target.note, str):
        raise ConfigError(f"Target {target.figure!r} has a note that is no text. Write it as text.")
    if target.status not in get_args(Status):
        raise ConfigError(
            f"Target {target.figure!r} has status {target.status!r}. Use {', '.join(get_args(Status))}."
        )


def _check_band(target: Target) -> None:
    numbers = (target.low, target.value, target.high)
    are_numbers = all(isinstance(n, int | float) and not isinstance(n, bool) and isfinite(n) for n in numbers)
    if not are_numbers:
        raise ConfigError(
            f"Target {target.figure!r} has a value, low or high that is no number. Write numbers."
        )
    if not target.low <= target.value <= target.high:
        raise ConfigError(
            f"Target {target.figure!r} has a value outside its band. Keep low <= value <= high."
        )
