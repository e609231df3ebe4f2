"""The matrix: features as numbers for the trees, in a fixed order and one precision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.errors import ModelError
from somv_risk.features import Feature

Matrix = npt.NDArray[np.float32]


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
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            raise ModelError(f"Features {missing} are missing. Build the features the model names.")
        numbers = frame.select(self._express(feature) for feature in self.features)
        return np.ascontiguousarray(numbers.to_numpy(), dtype=np.float32)

    def _express(self, feature: Feature) -> pl.Expr:
        column = pl.col(feature.name)
        if feature.is_category:
            values = self.categories[feature.name]
            column = column.replace_strict(
                list(values), range(len(values)), default=None, return_dtype=pl.Int32
            )
        return column.cast(pl.Float32)


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
