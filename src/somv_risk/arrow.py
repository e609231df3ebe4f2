"""Arrow: frames of any library as Polars frames."""

from typing import Any, Protocol

import polars as pl

from somv_risk.errors import InputError


class ArrowFrame(Protocol):
    """A frame that hands its columns over as Arrow: of Polars, pandas, Arrow and others."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the columns over."""


def read_frame(name: str, frame: Any) -> pl.LazyFrame:  # noqa: ANN401 - any frame that speaks Arrow
    """Read a Polars, pandas or Arrow frame; `name` is the table it holds.

    Raises
    ------
    InputError
        If it is none, or has a column of mixed types.
    """
    if isinstance(frame, pl.LazyFrame | pl.DataFrame):
        return frame.lazy()
    if hasattr(frame, "__arrow_c_stream__") and not isinstance(frame, pl.Series):
        return _read_arrow(name, frame).lazy()
    raise InputError(f"Table {name} is a {type(frame).__name__}. Give a Polars, pandas or Arrow frame.")


def _read_arrow(name: str, frame: Any) -> pl.DataFrame:  # noqa: ANN401 - any frame that speaks Arrow
    try:
        return pl.DataFrame(frame)
    except (pl.exceptions.PolarsError, TypeError, ValueError):
        # The original error may quote a cell.
        raise InputError(
            f"Table {name} has a column of mixed types. Give each column one type, such as text or dates."
        ) from None
