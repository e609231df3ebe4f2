"""Rows: what trees are asked about, as numbers: arrays by place, frames by their columns' names."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.arrow import read_frame
from somv_risk.errors import ModelError

if TYPE_CHECKING:
    from lightgbm import Booster

Floats = npt.NDArray[np.float64]
AnyMatrix = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]

NUMBERS: Final = "fiub"
DIMENSIONS: Final = 2
# What LightGBM calls the columns of an array.
UNNAMED: Final = re.compile(r"Column_\d+")


def take_rows(rows: Any, booster: "Booster") -> AnyMatrix:  # noqa: ANN401 - an array, or a frame of any kind
    """Take rows as numbers, with NaN for what is missing.

    Of an array the columns stand in the model's order; other numbers than floats become floats of 32 bits, as
    in LightGBM. Of a frame (pandas, Polars, Arrow) the columns are found by the model's names, in any order,
    and categories become the numbers that the model has for them, whatever numbers the frame has.

    Raises
    ------
    ModelError
        If columns are missing, unknown or hold no numbers, or if the model has other categories.
    """
    if hasattr(rows, "iloc") and hasattr(rows, "columns"):
        return _put_together([_PandasColumn(rows.iloc[:, place]) for place in range(rows.shape[1])], booster)
    if hasattr(rows, "__arrow_c_stream__"):
        return _put_together(
            [_PolarsColumn(column) for column in read_frame("rows", rows).collect()], booster
        )
    return _take_array(np.asarray(rows), int(booster.num_feature()))


def _take_array(rows: AnyMatrix, width: int) -> AnyMatrix:
    if rows.ndim != DIMENSIONS:
        raise ModelError(f"The rows have {rows.ndim} dimensions. Give a table of rows and columns.")
    if rows.shape[1] != width:
        raise ModelError(f"The rows have {rows.shape[1]} features, the model {width}. Give those it names.")
    if rows.dtype.kind not in NUMBERS:
        raise ModelError(f"The rows are of type {rows.dtype}. Give numbers.")
    return rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float32)


class _PandasColumn:
    """A column of a pandas frame."""

    def __init__(self, series: Any) -> None:  # noqa: ANN401 - pandas is not imported here
        self.name, self._series = str(series.name), series
        self.type = str(series.dtype)
        self.is_number = series.dtype.kind in NUMBERS
        self.has_categories = hasattr(series.dtype, "categories")

    def list_categories(self) -> list[Any]:
        return list(self._series.dtype.categories)

    def read_codes(self) -> npt.NDArray[np.int64]:
        return np.asarray(self._series.cat.codes, dtype=np.int64)

    def read_numbers(self) -> Floats:
        return np.asarray(self._series.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


class _PolarsColumn:
    """A column of a Polars frame, or of what Polars reads."""

    def __init__(self, series: pl.Series) -> None:
        self.name, self._series = series.name, series
        self.type = str(series.dtype)
        self.is_number = series.dtype.is_numeric() or series.dtype == pl.Boolean
        self.has_categories = isinstance(series.dtype, pl.Categorical | pl.Enum)

    def list_categories(self) -> list[Any]:
        return self._texts.unique(maintain_order=True).drop_nulls().to_list()

    def read_codes(self) -> npt.NDArray[np.int64]:
        places = {text: place for place, text in enumerate(self.list_categories())}
        return np.array([places.get(text, -1) for text in self._texts.to_list()], dtype=np.int64)

    def read_numbers(self) -> Floats:
        return self._series.cast(pl.Float64).fill_null(float("nan")).to_numpy()

    @property
    def _texts(self) -> pl.Series:
        return self._series.cast(pl.String)


_Column = _PandasColumn | _PolarsColumn


def _put_together(columns: Sequence[_Column], booster: "Booster") -> AnyMatrix:
    """Put the columns of a frame into the order of the model, as numbers."""
    in_order = _order(columns, booster.feature_name())
    known = _match_categories(in_order, booster.pandas_categorical or [])
    return np.column_stack([_read(column, known.get(column.name)) for column in in_order])


def _order(columns: Sequence[_Column], names: Sequence[str]) -> list[_Column]:
    """Put columns into the order of the names; a model of an array has none, and takes them by place."""
    if all(UNNAMED.fullmatch(name) for name in names) and len(columns) == len(names):
        return [*columns]
    by_name = {_write_name(column.name): column for column in columns}
    missing = [name for name in names if name not in by_name]
    unknown = [column.name for column in columns if _write_name(column.name) not in names]
    if missing or unknown or len(by_name) < len(columns):
        raise ModelError(
            f"The frame lacks {_list(missing)}, has {_list(unknown)} besides"
            f"{'' if len(by_name) == len(columns) else ', or has a column twice'}. "
            "Give the columns that the model names, each once."
        )
    return [by_name[name] for name in names]


def _write_name(name: str) -> str:
    """Write a name as LightGBM does, which takes no blanks."""
    return name.replace(" ", "_")


def _list(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}" if names else "nothing"


def _match_categories(columns: Iterable[_Column], known: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Match the columns of categories with those that the model was trained on, in their order."""
    given = [column.name for column in columns if column.has_categories]
    if len(given) != len(known):
        raise ModelError(
            f"The frame has {len(given)} columns of categories ({_list(given)}), the model was trained on "
            f"{len(known)}. Give the same columns as categories as in training."
        )
    return dict(zip(given, known, strict=True))


def _read(column: _Column, known: Sequence[Any] | None) -> Floats:
    if known is not None:
        places = {category: float(place) for place, category in enumerate(known)}
        numbers = [places.get(category, np.nan) for category in column.list_categories()]
        return np.array([*numbers, np.nan])[column.read_codes()]  # the last is that of none
    if not column.is_number:
        raise ModelError(f"Column {column.name} of the frame is of type {column.type}. Give numbers.")
    return column.read_numbers()
