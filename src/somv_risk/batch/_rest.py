"""Rest: of whom nothing can have changed since an earlier run, so that their risk is the same to the bit.

Almost everybody's features change every night: days since the last contact, days on a benefit. They do not
change only for those of whom no row is open, or young enough for any window: all their features say that
there was nothing. Whoever was as quiet at the earlier moment, and has the same background (age in years,
sex, municipality), has the same row of the matrix.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from somv_risk.cohort.asof import Lags
from somv_risk.cohort.cohort_rows import KnownRows
from somv_risk.features import BACKGROUND as BACKGROUND_VIEW
from somv_risk.features import VIEWS, Feature, build_features
from somv_risk.model.matrix import Encoding, Matrix
from somv_risk.model.model import RiskModel
from somv_risk.registers import schema as s
from somv_risk.registers.histories import PERSON, Histories

BACKGROUND: Final = "background"
BACKGROUND_TYPE: Final = pl.List(pl.Float32())


def find_resting(model: RiskModel, histories: Histories, index_time: datetime) -> pl.DataFrame:
    """Find the persons of whom no row matters at the index moment, known by then or not (`person_id`)."""
    key = PERSON if histories.numbered else s.PERSON_ID
    tables = histories.numbered or histories.tables
    stirring = [
        tables[table].filter(_stirs(table, days, index_time, model.lags)).select(key)
        for table, days in find_reach(model).items()
        if table in tables
    ]
    persons = tables[s.PERSONS].select(s.PERSON_ID, *([key] if key != s.PERSON_ID else []))
    resting = persons.join(pl.concat(stirring), on=key, how="anti") if stirring else persons
    return resting.select(s.PERSON_ID).collect()


def _stirs(table: str, days: int, index_time: datetime, lags: Lags) -> pl.Expr:
    """Whether a row is open, or has started or ended within so many days, as far as it may be known.

    An open contact whose end is assumed is still open here: its person is scored anew, and noted.
    """
    start, end = pl.col(s.STARTED_AT), pl.col(s.ENDED_AT)
    over = end.fill_null(start) if s.TABLES[table].is_point else end
    spent = (pl.max_horizontal(start, over) < index_time - timedelta(days=days)) & (
        over + lags.of(table) < index_time
    )
    return (start < index_time) & ~spent.fill_null(value=False)


def find_reach(model: RiskModel) -> Mapping[str, int]:
    """Find how many days the model looks back into each event table, 0 where only at what is open."""
    reach = {s.ADMISSIONS: model.main.target.horizon.days}  # who is known is counted so far back
    for feature in model.features:
        view = VIEWS[feature.definition.events]
        days = feature.window.days if feature.window else 0
        for table in {*view.tables, *view.also} - {s.PERSONS}:
            reach[table] = max(reach.get(table, 0), days)
    return reach


def list_backgrounds(model: RiskModel, absent: Collection[str], matrix: Matrix) -> pl.Series:
    """List the background of each row whose features say nothing else, and null for all others."""
    said = [place for place, feature in enumerate(model.features) if not _is_background(feature)]
    nothing = np.array([_say_nothing(model.features[place], absent) for place in said], dtype=np.float32)
    is_quiet = np.ones(len(matrix), dtype=np.bool_)
    for place, value in zip(said, nothing, strict=True):
        column = matrix[:, place]
        is_quiet &= np.isnan(column) if np.isnan(value) else column == value
    return _list_columns(model.encoding, matrix).set(pl.Series(~is_quiet), None)


def _say_nothing(feature: Feature, absent: Collection[str]) -> float:
    """Return what a feature says where there is nothing, NaN for null."""
    nothing = feature.measure.when_none
    is_absent = set(VIEWS[feature.definition.events].tables) & set(absent)
    return float("nan") if is_absent or nothing is None else float(nothing)


def read_backgrounds(model: RiskModel, histories: Histories, rows: pl.DataFrame) -> pl.Series:
    """Read the background of persons as the matrix would have it."""
    chosen = tuple(feature for feature in model.features if _is_background(feature))
    encoding = Encoding(chosen, model.encoding.categories)
    frame = build_features(model.see(histories), KnownRows(rows), chosen, lags=model.lags).collect()
    return _list_columns(encoding, encoding.to_matrix(frame))


def _list_columns(encoding: Encoding, matrix: Matrix) -> pl.Series:
    places = [place for place, feature in enumerate(encoding.features) if _is_background(feature)]
    numbers = pl.DataFrame({str(place): matrix[:, place] for place in places}).fill_nan(None)
    if not places:
        return pl.Series(BACKGROUND, [[]] * len(matrix), dtype=BACKGROUND_TYPE)
    return numbers.select(pl.concat_list(pl.all()).alias(BACKGROUND))[BACKGROUND]


def _is_background(feature: Feature) -> bool:
    return feature.definition.events == BACKGROUND_VIEW
