"""Matrices on disk: what each way has built, to be compared column by column."""

from pathlib import Path

import numpy as np
import polars as pl

from somv_risk.features import load_catalogue
from somv_risk.model.matrix import Matrix
from somv_risk.registers import schema as s

# Powers, logarithms and roots may differ in the last digit from one mathematical library to the next.
ROUNDED = ("decayed", "entropy", "burstiness")
RELATIVE, ABSOLUTE = 1e-6, 1e-9


def write_matrix(folder: Path, name: str, person_ids: pl.Series, matrix: Matrix) -> None:
    """Write a matrix and whose its rows are, as the peer in SQL does."""
    np.save(folder / f"{name}.npy", matrix)
    person_ids.alias(s.PERSON_ID).to_frame().write_parquet(folder / f"{name}.parquet")


def check_same_matrix(folder: Path, found: str, expected: str, *, is_exact: bool) -> dict[str, str]:
    """Check that two matrices are equal in every cell once their persons stand in the same order.

    Where `is_exact`, only the rounded measures may differ at all; else every cell may, by one millionth.
    """
    (order, ours), (other_order, theirs) = _read_matrix(folder, expected), _read_matrix(folder, found)
    if not order[s.PERSON_ID].equals(other_order[s.PERSON_ID]):
        raise AssertionError(f"The persons of {found} and {expected} differ.")
    rows, other_rows = order["row"].to_numpy(), other_order["row"].to_numpy()
    near = 0
    for place, feature in enumerate(load_catalogue()):
        one, other = ours[rows, place], theirs[other_rows, place]
        different = ~((one == other) | (np.isnan(one) & np.isnan(other)))
        may_round = not is_exact or feature.definition.measure in ROUNDED
        if np.any(different) and not (may_round and _are_near(one[different], other[different])):
            raise AssertionError(f"{found} and {expected} differ in {feature.name}.")
        near += int(different.sum())
    return {"sentence": _tell(found, expected, theirs.shape, near)}


def _read_matrix(folder: Path, name: str) -> tuple[pl.DataFrame, Matrix]:
    ids = pl.read_parquet(folder / f"{name}.parquet").with_row_index("row").sort(s.PERSON_ID)
    return ids, np.load(folder / f"{name}.npy")


def _are_near(one: Matrix, other: Matrix) -> bool:
    return bool(np.isclose(one, other, rtol=RELATIVE, atol=ABSOLUTE).all())


def _tell(found: str, expected: str, shape: tuple[int, ...], near: int) -> str:
    kind = f"{near:,} differ by less than a millionth" if near else "bit for bit"
    return f"All {shape[0]:,} x {shape[1]} numbers by {found} equal those by {expected} ({kind})."
