"""Arrow: frames of any library as Polars frames."""

from collections import Counter
from collections.abc import Collection
from typing import Any, Protocol

import polars as pl

from somv_risk.errors import InputError


class ArrowFrame(Protocol):
    """A frame that hands its columns over as Arrow: of Polars, pandas, Arrow and others."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the columns over."""


def read_frame(
    name: str,
    frame: Any,  # noqa: ANN401 - any frame that speaks Arrow
    columns: Collection[str] = (),
) -> pl.LazyFrame:
    """Read a Polars, pandas or Arrow frame; `name` is the table it holds.

    Parameters
    ----------
    columns
        Names that an error may show; others may be values of a file without a header.

    Raises
    ------
    InputError
        If it is none, or has a column of mixed types.
    """
    if isinstance(frame, pl.LazyFrame | pl.DataFrame):
        return frame.lazy()
    if hasattr(frame, "__arrow_c_stream__") and not isinstance(frame, pl.Series):
        return _read_arrow(name, frame, columns).lazy()
    raise InputError(f"Table {name} is a {type(frame).__name__}. Give a Polars, pandas or Arrow frame.")


def _read_arrow(name: str, frame: Any, columns: Collection[str]) -> pl.DataFrame:  # noqa: ANN401 - any frame that speaks Arrow
    _check_given_once(name, frame, columns)
    try:
        return pl.DataFrame(frame)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError):
        # The original error may quote a cell.
        raise InputError(
            f"Table {name} has a column of mixed types. Give each column one type, such as text or dates."
        ) from None


def _check_given_once(table: str, frame: Any, columns: Collection[str]) -> None:  # noqa: ANN401 - any frame that speaks Arrow
    """Check that no two columns have one name, which pandas and Arrow allow."""
    names = Counter(str(name) for name in getattr(frame, "column_names", getattr(frame, "columns", ())))
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        shown = f" {twice}" if set(twice) <= set(columns) else ""
        raise InputError(f"Table {table} has column{shown} more than once. Deliver each column once.")
