"""The matrix: features as numbers for the trees, in a fixed order and one precision."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort.asof import KEY, NO_LAGS, Lags
from somv_risk.errors import ModelError
from somv_risk.features import Coded, Column, Feature, compute_features
from somv_risk.registers.histories import Histories

Matrix = npt.NDArray[np.float32]
Places = npt.NDArray[np.integer]
FEW_ROWS: Final = 16


@dataclass(frozen=True, slots=True)
class Rows:
    """The matrix of some rows of a cohort, and the places at which these stand there."""

    keys: pl.DataFrame
    places: Places
    matrix: Matrix

    @property
    def cohort(self) -> pl.DataFrame:
        """The rows themselves: `person_id`, `index_time`."""
        return self.keys[self.places]

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True, slots=True)
class Encoding:
    """Feature order and, for each category feature, its values; a value's number is its place."""

    features: tuple[Feature, ...]
    categories: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> list[str]:
        """Column names in matrix order."""
        return [feature.name for feature in self.features]

    @property
    def category_columns(self) -> list[int]:
        """Places of the category features."""
        return [place for place, feature in enumerate(self.features) if feature.is_category]

    def to_matrix(self, frame: pl.DataFrame) -> Matrix:
        """Convert features to float32 of shape (rows, features); null and unseen categories are NaN.

        The precision is the same in training and scoring, for one row and for a region, because the
        trees compare against thresholds.
        """
        given = set(frame.columns)
        missing = [name for name in self.names if name not in given]
        if missing:
            raise ModelError(f"Features {missing} are missing. Build the features the model names.")
        if frame.height <= FEW_ROWS:
            return self._convert_rows(frame)
        categories = [self._number(feature) for feature in self.features if feature.is_category]
        numbers = frame[self.names].with_columns(categories).cast(pl.Float32)
        return np.ascontiguousarray(numbers.to_numpy())

    def _convert_rows(self, frame: pl.DataFrame) -> Matrix:
        """Convert row by row: for few of them, a query of all columns takes twenty times as long."""
        places = {name: place for place, name in enumerate(frame.columns)}
        asked = [places[name] for name in self.names]
        numbers = {
            place: {value: number for number, value in enumerate(self.categories[self.names[place]])}
            for place in self.category_columns
        }
        matrix = np.empty((frame.height, len(asked)), dtype=np.float32)
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite, as in a query
            for converted, row in zip(matrix, frame.iter_rows(), strict=True):
                values = [row[place] for place in asked]
                for place, of_value in numbers.items():
                    values[place] = of_value.get(values[place])
                converted[:] = values
        return matrix

    def _number(self, feature: Feature) -> pl.Expr:
        """Replace a category by its number."""
        values = self.categories[feature.name]
        return pl.col(feature.name).replace_strict(
            list(values), range(len(values)), default=None, return_dtype=pl.Int32
        )

    def fill(self, matrix: Matrix, columns: Iterable[tuple[Feature, Column]]) -> None:
        """Fill a matrix with computed columns; the numbers are those of `to_matrix`."""
        for place, (feature, column) in enumerate(columns):
            matrix[:, place] = column if isinstance(column, np.ndarray) else self._encode(column, feature)

    def _encode(self, column: Coded, feature: Feature) -> Matrix:
        """Number texts by their places among the feature's values; the last number is that of no text."""
        places = {value: place for place, value in enumerate(self.categories[feature.name])}
        numbers = np.array([*(places.get(name, np.nan) for name in column.names), np.nan], dtype=np.float32)
        return numbers[column.codes]


def learn_encoding(features: Sequence[Feature], frames: Sequence[pl.DataFrame]) -> Encoding:
    """Learn the category values that occur in the training frames."""
    categories = {
        feature.name: tuple(
            sorted({value for frame in frames for value in frame[feature.name].drop_nulls().unique()})
        )
        for feature in features
        if feature.is_category
    }
    return Encoding(tuple(features), MappingProxyType(categories))


def build_matrix(
    histories: Histories, cohort: pl.DataFrame, encoding: Encoding, *, lags: Lags = NO_LAGS
) -> Rows:
    """Build the matrix of all cohort rows: the numbers of the features' frame in a fraction of its memory.

    Returns
    -------
    The cohort rows in the order in which they were worked out (by part of the histories, else as they
    stood), and their matrix of shape (rows, features), stored by column.
    """
    matrix = _make_matrix(cohort.height, encoding)

    def keep(rows: slice, columns: Iterable[tuple[Feature, Column]]) -> None:
        encoding.fill(matrix[rows], columns)

    computed = compute_features(histories, cohort, encoding.features, lags, keep)
    places = np.concatenate([np.empty(0, dtype=np.int64), *(chunk for chunk, _ in computed)])
    return Rows(cohort.select(KEY), places, matrix)


def build_matrices(
    histories: Histories, cohort: pl.DataFrame, encoding: Encoding, *, lags: Lags = NO_LAGS
) -> Iterator[Rows]:
    """Build the same matrix piece by piece, for what does not fit into memory at once.

    A piece holds some thousand rows of one part of the histories, in the order of the cohort.
    """
    keys = cohort.select(KEY)

    def keep(rows: slice, columns: Iterable[tuple[Feature, Column]]) -> Matrix:
        matrix = _make_matrix(rows.stop - rows.start, encoding)
        encoding.fill(matrix, columns)
        return matrix

    for places, matrix in compute_features(histories, cohort, encoding.features, lags, keep):
        yield Rows(keys, places, matrix)


def _make_matrix(rows: int, encoding: Encoding) -> Matrix:
    return np.empty((rows, len(encoding.features)), dtype=np.float32, order="F")
