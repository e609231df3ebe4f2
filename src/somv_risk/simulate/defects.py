"""Defects: what deliveries get wrong, planted in sound tables at stated rates and written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal
from zlib import crc32

import numpy as np
import polars as pl

from somv_risk.errors import ConfigError
from somv_risk.registers import schema
from somv_risk.simulate.catalogue import read_table
from somv_risk.store import make_folder

MOMENT_TEXT: Final = "%Y-%m-%dT%H:%M:%S%.f"
MARK: Final = "mark"
PLANTED: Final = pl.Schema(
    {
        "table": pl.String,
        schema.ROW: pl.UInt32,
        "defect": pl.String,
        "outcome": pl.String,
        schema.RULE: pl.String,
    }
)


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of defect; `defects.toml` says what each field means."""

    name: str
    tables: Sequence[str]
    columns: Sequence[str]
    rate: float
    act: Literal["rewrite", "lower_case", "move"]
    outcome: Literal["set_aside", "kept_without", "kept"]
    rule: str | None = None
    pattern: str = ""
    value: str = ""
    since: str = ""
    days: int = 0
    adds_row: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float) or not 0 <= self.rate <= 1:
            raise ConfigError(
                f"The rate of the defect {self.name!r} is {self.rate!r}, which is no share of rows. "
                "Give a number from 0 to 1."
            )


@dataclass(frozen=True, slots=True)
class Delivery:
    """Tables as delivered, all text, and what was planted in them.

    `planted` has one row per defect: `table`, `row` (number in the delivered table, from 0, as in the
    quarantine), `defect`, `outcome` (`set_aside`, `kept_without` or `kept`) and `rule` (null if `kept`).
    """

    tables: Mapping[str, pl.DataFrame]
    planted: pl.DataFrame


@dataclass(frozen=True, slots=True)
class _Spot:
    """A defect in one column; `mark` numbers it within its table."""

    mark: int
    defect: Defect
    column: str

    @property
    def rule(self) -> str | None:
        return self.defect.rule and self.defect.rule.format(column=self.column)


def read_defects() -> tuple[Defect, ...]:
    """The kinds of defects, with the rates they have unless others are given.

    Examples
    --------
    >>> [defect.rate for defect in read_defects() if defect.name == "late_registration"]
    [0.02]
    """
    return tuple(Defect(**row) for row in read_table("defects")["defect"])


def plant_defects(
    tables: Mapping[str, pl.DataFrame], seed: int, rates: Mapping[str, float] | None = None
) -> Delivery:
    """Turn sound tables into a delivery with defects, as text like a CSV export.

    Rows keep their order and number; rows that a defect adds come after them. A row carries at most one
    defect, and an event none if its person's row will be set aside: such an event follows its person.
    The same arguments give the same delivery.

    Parameters
    ----------
    tables
        Sound tables with the columns and types of the schema, such as `simulate_tables` makes.
    seed
        Which rows are struck.
    rates
        Shares of rows by name of the defect, in place of those in `defects.toml`.

    Raises
    ------
    ConfigError
        If a defect is unknown, a rate is no share, or the rates of one table add up to more than 1.

    Examples
    --------
    >>> from somv_risk.simulate import simulate_tables
    >>> delivery = plant_defects(simulate_tables(persons=50, seed=1), seed=1, rates={"day_first": 0.1})
    >>> delivery.planted.columns
    ['table', 'row', 'defect', 'outcome', 'rule']
    """
    defects = _replace_rates(read_defects(), rates or {})
    delivered: dict[str, pl.DataFrame] = {}
    planted = [pl.DataFrame(schema=PLANTED)]
    lost = pl.Series([], dtype=pl.String)
    for table in (name for name in schema.TABLES if name in tables):
        spots = _list_spots(table, tables[table].columns, defects)
        marked = _mark_rows(table, tables[table], spots, seed, lost)
        if table == schema.PERSONS:
            lost = _list_lost(marked, spots)
        delivered[table] = _write_text(marked, spots)
        planted.append(_list_planted(table, marked, spots))
    return Delivery(delivered, pl.concat(planted))


def write_delivery(delivery: Delivery, folder: str | Path) -> None:
    """Write one CSV file per table, and `planted.csv`, which `read_histories` passes over.

    The folder appears under its name only when it is complete.

    Raises
    ------
    SourceError
        If the folder exists already or cannot be written.
    """
    files = {**delivery.tables, "planted": delivery.planted}
    with make_folder(Path(folder), "delivery") as unfinished:
        for name, frame in files.items():
            # Polars puts empty text in quotes, which exports of registers do not.
            frame.with_columns(pl.col(pl.String).replace("", None)).write_csv(unfinished / f"{name}.csv")


def _replace_rates(defects: Sequence[Defect], rates: Mapping[str, float]) -> list[Defect]:
    names = [defect.name for defect in defects]
    unknown = sorted(set(rates) - set(names))
    if unknown:
        raise ConfigError(f"There is no defect {unknown}. Known defects are {names}.")
    return [replace(defect, rate=rates.get(defect.name, defect.rate)) for defect in defects]


def _list_spots(table: str, columns: Sequence[str], defects: Sequence[Defect]) -> list[_Spot]:
    here = [defect for defect in defects if table in defect.tables]
    pairs = [(defect, column) for defect in here for column in defect.columns if column in columns]
    total = sum(defect.rate for defect, _ in pairs)
    if total > 1:
        raise ConfigError(
            f"The rates of defects in table {table} add up to {total:.3g}, column by column, but a row "
            "carries one at most. Give rates that add up to 1 or less."
        )
    return [_Spot(mark, defect, column) for mark, (defect, column) in enumerate(pairs)]


def _mark_rows(
    table: str, frame: pl.DataFrame, spots: Sequence[_Spot], seed: int, lost: pl.Series
) -> pl.DataFrame:
    """Add the mark of the defect that each row is to carry; null for none, and for rows of lost persons."""
    rng = np.random.default_rng([seed, crc32(table.encode())])
    # Each spot has its own stretch of [0, 1), as long as its rate, so that no two can strike one row.
    bounds = np.cumsum([spot.defect.rate for spot in spots])
    drawn = pl.Series(MARK, np.searchsorted(bounds, rng.random(frame.height), side="right"))
    fits = [pl.when(pl.col(MARK) == spot.mark).then(_can_carry(spot, frame.schema)) for spot in spots]
    is_struck = pl.coalesce(*fits, False) & ~pl.col(schema.PERSON_ID).is_in(lost.implode())
    return frame.with_columns(drawn).with_columns(pl.when(is_struck).then(MARK))


def _list_lost(marked: pl.DataFrame, spots: Sequence[_Spot]) -> pl.Series:
    """Ids of the persons whose only row will be set aside."""
    marks = [s.mark for s in spots if s.defect.outcome == "set_aside" and not s.defect.adds_row]
    return marked.filter(pl.col(MARK).is_in(marks)).get_column(schema.PERSON_ID)


def _write_text(marked: pl.DataFrame, spots: Sequence[_Spot]) -> pl.DataFrame:
    """All rows with their defects, then those that defects add."""
    adding = [spot for spot in spots if spot.defect.adds_row]
    changing = [spot for spot in spots if not spot.defect.adds_row]
    copied = marked.filter(pl.col(MARK).is_in([spot.mark for spot in adding]))
    return pl.concat([_write_cells(marked, changing), _write_cells(copied, adding)])


def _write_cells(marked: pl.DataFrame, spots: Sequence[_Spot]) -> pl.DataFrame:
    dtypes = marked.drop(MARK).schema
    cells = {column: [_to_text(pl.col(column), dtype)] for column, dtype in dtypes.items()}
    for spot in spots:
        cells[spot.column].insert(0, pl.when(pl.col(MARK) == spot.mark).then(_write_defect(spot, dtypes)))
    return marked.select(pl.coalesce(*choices).alias(column) for column, choices in cells.items())


def _list_planted(table: str, marked: pl.DataFrame, spots: Sequence[_Spot]) -> pl.DataFrame:
    """One row per defect, in the order of the delivered rows."""
    known = pl.DataFrame(
        [(spot.mark, table, spot.defect.name, spot.defect.outcome, spot.rule) for spot in spots],
        schema=[MARK, "table", "defect", "outcome", schema.RULE],
        orient="row",
    )
    adds_row = pl.col(MARK).is_in([spot.mark for spot in spots if spot.defect.adds_row])
    struck = marked.select(MARK).with_row_index(schema.ROW).drop_nulls(MARK)
    added = struck.filter(adds_row).drop(schema.ROW).with_row_index(schema.ROW, offset=marked.height)
    listed = pl.concat([struck.filter(~adds_row), added])
    named = listed.join(known, on=MARK, how="left", maintain_order="left")
    return named.select(PLANTED.names()).cast(PLANTED)


def _can_carry(spot: _Spot, dtypes: pl.Schema) -> pl.Expr:
    defect = spot.defect
    if defect.act == "move":
        return _move(defect) <= pl.col(defect.since).max()
    return _to_text(pl.col(spot.column), dtypes[spot.column]).str.contains(defect.pattern)


def _write_defect(spot: _Spot, dtypes: pl.Schema) -> pl.Expr:
    defect = spot.defect
    text = _to_text(pl.col(spot.column), dtypes[spot.column])
    match defect.act:
        case "rewrite":
            return text.str.replace(defect.pattern, defect.value)
        case "lower_case":
            return text.str.to_lowercase()
        case "move":
            return _to_text(_move(defect), dtypes[defect.since])


def _move(defect: Defect) -> pl.Expr:
    return pl.col(defect.since) + pl.duration(days=defect.days)


def _to_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return value.dt.strftime(MOMENT_TEXT) if dtype == pl.Datetime else value.cast(pl.String)
