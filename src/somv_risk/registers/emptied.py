"""Emptied tables: one error that says why most of a table was set aside, and what it takes instead."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import polars as pl

from somv_risk.calls.nearest import find_near_value
from somv_risk.errors import InputError
from somv_risk.registers import schema as s
from somv_risk.registers.codes import load_translations
from somv_risk.registers.conversion import NO_ICD10, OUT_OF_RANGE, SENTINEL, TYPE, UNKNOWN_VALUE
from somv_risk.registers.histories import Quarantine

FUTURE: Final = "starts_in_the_future"
_MOST_SHOWN: Final = 4
_MOST_READ: Final = 100
_FORMS: Final = {
    pl.Datetime: "moments like 2026-01-31T08:15",
    pl.Date: "dates like 2026-01-31",
    pl.Float64: "numbers like 37.5",
}
# The form of a moment: digits and what parts them. Anything else may be text, of which nothing is shown.
_FORM: Final = r"^[9 TZ:.,/+-]{6,30}$"
_REASONS: Final = {
    "duplicate": "The same id stands there more than once; deliver each row once, under its own id.",
    "person_is_known": "Their persons are not in table persons, or were set aside.",
    "ends_after_it_starts": "They end before they start.",
    FUTURE: "They start after the data end.",
}
_REASONS_OF_COLUMN: Final = {
    "nullability": "Column {column} is empty.",
    SENTINEL: "Column {column} has days that stand for no date.",
    OUT_OF_RANGE: "Column {column} has values beyond what it can hold.",
    NO_ICD10: "Column {column} takes codes of ICD-10.",
}


def check_left(
    quarantine: Quarantine, delivered: Mapping[str, int], *, latest: datetime, data_end: datetime | None
) -> None:
    """Check that most rows of a delivery are left.

    Parameters
    ----------
    delivered
        Rows by table.
    latest, data_end
        The moment from which rows lie in the future, and the one that the delivery says.

    Raises
    ------
    InputError
        If more than half of a required table was set aside; or, where no data end was given, more than half
        of any table because it starts in the future.
    """
    aside = {table: quarantine.list_set_aside(table) for table in delivered}
    for table, rows in aside.items():
        _check_clock(table, rows, delivered[table], latest, data_end)
    for table in s.REQUIRED_TABLES:
        if table in delivered:
            _check_table(table, aside[table], delivered[table])


def _check_clock(
    table: str, aside: pl.DataFrame, delivered: int, latest: datetime, data_end: datetime | None
) -> None:
    future = aside.filter(pl.col(s.RULE) == FUTURE).height
    if data_end is None and 2 * future > delivered:
        raise InputError(
            f"Table {table}: {future} of {delivered} rows start after {latest:%Y-%m-%d %H:%M}, "
            "the present moment by the clock of this machine. Correct the clock, or say with data_end "
            "(--data-end) when the data end."
        )


def _check_table(table: str, aside: pl.DataFrame, delivered: int) -> None:
    rows = aside[s.ROW].n_unique()
    if 2 * rows <= delivered:
        return
    rules = aside[s.RULE].value_counts(sort=True).sort("count", s.RULE, descending=[True, False])
    counts = ", ".join(f"{rule}: {count}" for rule, count in rules.head(_MOST_SHOWN).iter_rows())
    reasons = [_explain(table, aside, rule) for rule in rules[s.RULE].head(_MOST_SHOWN)]
    raise InputError(
        " ".join(
            [
                f"Table {table}: {rows} of {delivered} rows were set aside ({counts}).",
                *(reason for reason in reasons if reason),
                "Correct or translate the delivery.",
            ]
        )
    )


def _explain(table: str, aside: pl.DataFrame, rule: str) -> str:
    """Say what a rule asks for and what was delivered; nothing if the name of the rule says it all."""
    column, _, kind = rule.rpartition("|")
    if kind not in (UNKNOWN_VALUE, TYPE):
        return _REASONS.get(rule, _REASONS_OF_COLUMN.get(kind, "").format(column=column))
    cells = aside.filter(pl.col(s.RULE) == rule)[column].cast(pl.String).str.strip_chars()
    target = s.get_columns(table)[column]
    if isinstance(target, pl.Enum):
        return _explain_values(column, cells, target.categories.to_list())
    return _explain_forms(column, cells, _FORMS[type(target)])


def _explain_values(column: str, cells: pl.Series, values: list[str]) -> str:
    """Name the delivered values whose meaning can be seen; others may be anything, and are only counted."""
    words = load_translations().get(column, {})
    counts = dict(cells.value_counts(sort=True).head(_MOST_READ).iter_rows())
    near = {cell: known for cell in counts if (known := find_near_value(cell, values, words))}
    shown = [cell for cell in near if cell.isprintable()][:_MOST_SHOWN]
    parts = [f"{cell!r} in {counts[cell]} rows (nearest: {near[cell]})" for cell in shown]
    others = len(cells) - sum(counts[cell] for cell in shown)
    parts += [f"values that are none of these in {others} rows"] * bool(others)
    return f"Column {column} takes {', '.join(values)}; it has {', '.join(parts)}."


def _explain_forms(column: str, cells: pl.Series, expected: str) -> str:
    """Name the form that the cells mostly have, with a 9 for each digit; of text nothing is shown."""
    forms = cells.str.replace_all("[0-9]", "9")
    likely = forms.filter(forms.str.contains(_FORM)).mode().sort().head(1).to_list()
    return f"Column {column} takes {expected}; it has " + (
        f"forms like {likely[0]}." if likely else "text that is none."
    )
