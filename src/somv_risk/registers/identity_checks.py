"""Identity checks: whether columns of a delivered table hold civil registration numbers.

A person id of ten digits that begins with a day and a month is refused at once. Other forms, such as nine
digits, are usual ids as well: they are refused if most values of the same shape look like a number, which of
random ones a third at most do.
"""

from collections.abc import Iterator
from typing import Final

import polars as pl

from somv_risk.calls.notices import give_notice
from somv_risk.errors import IdentityError, IdentityWarning
from somv_risk.registers import schema as s
from somv_risk.registers.civil_numbers import (
    DANISH_NUMBER,
    NUMBER,
    SHAPE,
    TEN_DIGITS,
    may_be_number,
    read_numbers,
)

LEAST_SHARE_OF_SHAPE: Final = 0.5
LEAST_SHARE: Final = 0.2  # of random ten digits, 4 % begin with a day and a month
LEAST_VALUES: Final = 20

COLUMN, VALUES, NUMBERS, DANISH, DATES = "column", "values", "numbers", "danish", "dates"
_COUNTS: Final = (VALUES, NUMBERS, DANISH, DATES)
_FOUND: Final = pl.Schema({COLUMN: pl.String(), SHAPE: pl.String(), **dict.fromkeys(_COUNTS, pl.Int64())})
# Production units of companies have ten digits as well: 10, and then often a month.
_DATE: Final = r"^(?:0[1-9]|1[1-9]|2\d|3[01])"
_HAS_PARTS: Final = r"[-+][9A]{3,5}$"


def find_numbers(table: str, delivered: pl.DataFrame, person_ids: pl.Series) -> pl.DataFrame:
    """Count what looks like a civil registration number in the person ids and the other text columns.

    Returns
    -------
    One row per `column` and `shape`, and one without a shape for all values of a column: how many `values`
    there are, look like `numbers`, are `danish` ones of ten digits, and are such with a day up to 31
    (`dates`).
    """
    columns = {s.PERSON_ID: person_ids, **{name: delivered[name] for name in _list_texts(table, delivered)}}
    texts = pl.DataFrame([values.cast(pl.String).alias(name) for name, values in columns.items()])
    looked_at = texts.select(may_be_number(pl.all()).any())
    found = [_count_shapes(name, texts[name]) for name in texts.columns if looked_at[name].item()]
    return pl.concat([_count_values(texts), *found])


def add_found(found: list[pl.DataFrame]) -> pl.DataFrame:
    """Add what was found in the batches of a table."""
    return pl.concat(found).group_by(COLUMN, SHAPE, maintain_order=True).sum()


def check_identity(table: str, found: pl.DataFrame) -> None:
    """Check that no column of a table holds civil registration numbers.

    Raises
    ------
    IdentityError
        If person ids look like such numbers; or if another column holds them, written in their parts or in at
        least 20 % of at least 20 values.

    Warns
    -----
    IdentityWarning
        If fewer values of another column look like one.
    """
    for name in found.filter(pl.col(NUMBERS) > 0)[COLUMN].unique(maintain_order=True):
        column = found.filter(pl.col(COLUMN) == name)
        if name == s.PERSON_ID:
            _check_ids(table, column)
        else:
            _check_column(table, name, column)


def _check_ids(table: str, found: pl.DataFrame) -> None:
    suspicious = found[DANISH].sum() or _count_mostly_alike(found)
    if suspicious:
        raise IdentityError(
            f"In table {table}, {suspicious} person ids look like CPR numbers. "
            "Give pseudonymise_key (a secret of at least 16 bytes) to replace all ids by keyed hashes."
        )


def _check_column(table: str, name: str, found: pl.DataFrame) -> None:
    written = found.filter(pl.col(SHAPE).str.contains(_HAS_PARTS))
    plain = int(found.filter(pl.col(SHAPE) == TEN_DIGITS)[DATES].sum())
    values = int(found.filter(pl.col(SHAPE).is_null())[VALUES].sum())
    certain = _count_mostly_alike(written)
    if values >= LEAST_VALUES and plain >= LEAST_SHARE * values:
        certain += plain
    if certain:
        raise IdentityError(
            f"In table {table}, column {name}, {certain} values look like CPR numbers. A key replaces person "
            "ids only: leave the column out, or put codes in their place before it is delivered."
        )
    if some := int(written[NUMBERS].sum()) + plain:
        give_notice(
            f"In table {table}, column {name}, {some} of {values} values look like CPR numbers, perhaps by "
            "chance. A key replaces person ids only: make sure that the column names nobody.",
            IdentityWarning,
        )


def _count_mostly_alike(found: pl.DataFrame) -> int:
    """Count the look-alikes of those shapes of which most values look like a number."""
    is_most = pl.col(NUMBERS) >= LEAST_SHARE_OF_SHAPE * pl.col(VALUES)
    return int(found.filter(pl.col(SHAPE).is_not_null() & is_most)[NUMBERS].sum())


def _list_texts(table: str, delivered: pl.DataFrame) -> Iterator[str]:
    """List the delivered columns of text but the person id, be it free or of a closed list."""
    for name, target in s.get_columns(table).items():
        is_text = isinstance(target, pl.String | pl.Enum) and name in delivered.columns
        if is_text and name != s.PERSON_ID and _can_be_read(delivered.schema[name]):
            yield name


def _can_be_read(dtype: pl.DataType) -> bool:
    return dtype.is_integer() or isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _count_values(texts: pl.DataFrame) -> pl.DataFrame:
    counts = texts.count().row(0)
    none = [0] * texts.width
    columns = {COLUMN: texts.columns, SHAPE: [None] * texts.width, VALUES: counts}
    return pl.DataFrame({**columns, NUMBERS: none, DANISH: none, DATES: none}, schema=_FOUND)


def _count_shapes(column: str, values: pl.Series) -> pl.DataFrame:
    is_ten = pl.col(SHAPE).str.replace_all("-", "", literal=True) == TEN_DIGITS
    is_danish = is_ten & pl.col(NUMBER).str.contains(DANISH_NUMBER)
    by_shape = (
        read_numbers(values)
        .drop_nulls(SHAPE)
        .group_by(SHAPE)
        .agg(
            pl.len().alias(VALUES),
            pl.col(NUMBER).count().alias(NUMBERS),
            is_danish.sum().alias(DANISH),
            (is_danish & pl.col(NUMBER).str.contains(_DATE)).sum().alias(DATES),
        )
    )
    return by_shape.select(pl.lit(column).alias(COLUMN), SHAPE, pl.col(_COUNTS).cast(pl.Int64))
