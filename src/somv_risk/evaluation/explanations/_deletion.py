"""Deletion: whether a risk falls where the events behind its first reason had never been."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort.asof import KEY
from somv_risk.evaluation.explanations._sources import CODE, ROW, TABLE, find_sources, see_tables
from somv_risk.features import list_evidence
from somv_risk.model.model import RiskModel
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.reasons import build_reasons
from somv_risk.scoring.score import collect_features
from somv_risk.trees.contributions import Contributions

Floats = npt.NDArray[np.float64]
CODE_COLUMNS: Final = {s.ADMISSIONS: s.DIAGNOSIS, s.PSYCHIATRIC_CONTACTS: s.DIAGNOSIS}
_GIVEN, _LOT = "given", "lot"


@dataclass(frozen=True, slots=True)
class Deletion:
    """By how much the risks of persons fall without some events.

    `falls` are those without the events behind the first raising reason, `control` those without as many rows
    drawn from the same tables; a person has a control only where any other rows were known. `asked` persons
    were looked at, and `without_events` of them have a first reason that no event is behind.
    """

    falls: Floats
    control: Floats
    asked: int


def check_deletion(
    model: RiskModel,
    histories: Histories,
    rows: pl.DataFrame,
    frame: pl.DataFrame,
    told: Contributions,
    *,
    seed: int,
) -> Deletion:
    """Delete the events behind each person's first raising reason, and as many others, and score again.

    Parameters
    ----------
    rows, frame, told
        Persons at one index moment, their features, and the contributions that are being tried.
    """
    own = _collect(histories, rows)
    telling = _find_telling(model, own, frame, told)
    seen = see_tables(own, rows.select(KEY), model.lags)
    behind = _list_behind(model, own, rows, telling, seen)
    others = _draw_others(seen, behind, seed)
    before = _predict(model, own, rows)
    places = {person: place for place, person in enumerate(rows[s.PERSON_ID])}

    def find_falls(deleted: pl.DataFrame) -> Floats:
        after = _predict(model, delete_rows(own, deleted), rows)
        touched = [places[person] for person in deleted[s.PERSON_ID].unique(maintain_order=True)]
        return np.asarray((before - after)[touched], dtype=np.float64)

    return Deletion(find_falls(behind), find_falls(others), rows.height)


def _collect(histories: Histories, rows: pl.DataFrame) -> Histories:
    """Hold the tables of some persons in memory, in one order, so that their rows keep their places."""
    own = histories.keep_persons(rows.lazy())
    held = {name: table.collect() for name, table in own.tables.items()}
    return replace(own, tables={name: rows.sort(rows.columns).lazy() for name, rows in held.items()})


def _predict(model: RiskModel, histories: Histories, rows: pl.DataFrame) -> Floats:
    matrix = model.encoding.to_matrix(collect_features(model, histories, rows))
    return model.main.predict_risk(matrix)


def _find_telling(
    model: RiskModel, own: Histories, frame: pl.DataFrame, told: Contributions
) -> list[str | None]:
    """Find the telling feature of each person's first raising reason; none if nothing raises the score."""
    values = np.column_stack([told.values, np.full(len(told.values), told.base)])
    listed = build_reasons(
        model.features, frame, values, count=len(model.features), language="en", absent=own.absent
    )
    raising = [[reason for reason in reasons if reason.contribution > 0] for reasons in listed]
    first = [max(reasons, key=lambda reason: reason.contribution, default=None) for reasons in raising]
    return [reason.feature if reason else None for reason in first]


def _list_behind(
    model: RiskModel,
    own: Histories,
    rows: pl.DataFrame,
    telling: Sequence[str | None],
    seen: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    """List the rows of the tables behind each person's telling feature."""
    features = [feature for feature in model.features if feature.name in telling]
    told = pl.Series(telling, dtype=pl.String)
    listed = [
        find_sources(
            seen,
            list_evidence(model.see(own), rows.filter(told == feature.name), feature, model.lags),
            feature,
        )
        for feature in features
        if feature.definition.view.sources
    ]
    return pl.concat([_NOTHING, *listed])


_NOTHING: Final = pl.DataFrame(
    schema={
        s.PERSON_ID: pl.String,
        s.INDEX_TIME: pl.Datetime("us"),
        TABLE: pl.String,
        ROW: pl.UInt32,
        CODE: pl.Boolean,
    }
)


def _draw_others(seen: Mapping[str, pl.DataFrame], behind: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Draw of each person as many other known rows of the same tables, or all there are."""
    asked = behind.group_by(s.PERSON_ID, TABLE, CODE).len(_GIVEN)
    rng, drawn = np.random.default_rng(seed), [_NOTHING]
    for (table, is_code), part in sorted(asked.partition_by(TABLE, CODE, as_dict=True).items()):
        others = (
            _keep_coded(seen[table], table, is_code=is_code)
            .join(behind.filter(pl.col(TABLE) == table), on=[s.PERSON_ID, ROW], how="anti")
            .join(part, on=s.PERSON_ID)
            .sort(ROW)
        )
        lots = others.with_columns(pl.Series(_LOT, rng.permutation(others.height)))
        is_drawn = pl.col(_LOT).rank("ordinal").over(s.PERSON_ID) <= pl.col(_GIVEN)
        drawn.append(lots.filter(is_drawn).select(_NOTHING.columns))
    return pl.concat(drawn)


def _keep_coded(rows: pl.DataFrame, table: str, *, is_code: bool) -> pl.DataFrame:
    """Keep the rows that have a diagnosis, where that is what is drawn."""
    column = CODE_COLUMNS.get(table)
    return rows.filter(pl.col(column).is_not_null()) if is_code and column else rows


def delete_rows(histories: Histories, deleted: pl.DataFrame) -> Histories:
    """Delete rows of tables, and the diagnoses of contacts that go; of others only the diagnosis goes.

    Parameters
    ----------
    deleted
        Columns `table`, `table_row` and `is_code`, as `find_sources` gives them.
    """
    tables = {
        name: _delete(frame, deleted.filter(pl.col(TABLE) == name), name) if name in s.EVENT_TABLES else frame
        for name, frame in histories.tables.items()
    }
    if s.DIAGNOSES in tables:
        gone = histories.admissions.join(tables[s.ADMISSIONS], on=_CONTACT, how="anti")
        tables[s.DIAGNOSES] = tables[s.DIAGNOSES].join(gone, on=_CONTACT, how="anti")
    return replace(histories, tables=tables)


_CONTACT: Final = [s.PERSON_ID, s.CONTACT_ID]


def _delete(frame: pl.LazyFrame, deleted: pl.DataFrame, table: str) -> pl.LazyFrame:
    column = CODE_COLUMNS.get(table)
    is_blanked = pl.col(CODE) & (column is not None)
    row, blanked, removed = (
        pl.col(ROW),
        deleted.filter(is_blanked)[ROW].to_list(),
        deleted.filter(~is_blanked)[ROW].to_list(),
    )
    kept = frame.with_row_index(ROW).filter(~row.is_in(removed))
    if column:
        kept = kept.with_columns(pl.when(~row.is_in(blanked)).then(column).alias(column))
    return kept.drop(ROW)
