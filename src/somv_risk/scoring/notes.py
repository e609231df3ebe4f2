"""Notes: what the reader of a score must know about the data behind it, in sentences.

Some hold for every score of a call (`render_warnings`), some for one person only: `count_notes` counts what
these are about. To add a kind of note is to add a count there and its texts in `reasons/warnings.toml`.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from somv_risk.calls.notices import give_notice
from somv_risk.cohort.bounds import END_ASSUMED, count_assumed_ends, list_long_contacts, sum_bounded
from somv_risk.errors import ImplausibleDataWarning
from somv_risk.model.definitions import list_other_definitions
from somv_risk.model.model import RiskModel
from somv_risk.registers import schema as s
from somv_risk.registers.histories import KEPT_WITHOUT, SET_ASIDE, Histories
from somv_risk.registers.soundness import find_known_end, find_silence
from somv_risk.scoring.reasons import render_note, render_warnings

WARNINGS: Final = "warnings"
NOTE: Final = "note"
ROWS_SET_ASIDE: Final = "rows_set_aside"
ROWS_KEPT_WITHOUT: Final = "rows_kept_without"
ENDS_ASSUMED: Final = "ends_assumed"
_COUNT: Final = "count"

_NOBODY: Final = pl.DataFrame(schema={s.PERSON_ID: pl.String()})

Counts = Mapping[str, pl.DataFrame]  # by the name of their texts: `person_id`, `count`


def list_absent(model: RiskModel, histories: Histories) -> list[str]:
    """List the tables the model was trained with that these histories lack."""
    return [table for table in model.tables if table in histories.absent]


def count_notes(model: RiskModel, histories: Histories, rows: pl.DataFrame) -> Counts:
    """Count of each person what a note tells: rows set aside, rows without an attribute, and assumed ends.

    Parameters
    ----------
    rows
        `person_id` and `index_time`; all rows have the same index moment.

    Returns
    -------
    By the name of their texts in warnings.toml: `person_id`, `count`, of those persons who have any.
    """
    broken = histories.quarantine.count_by_person(rows[s.PERSON_ID])
    assumed = _count_assumed_ends(model, histories, rows)
    return {
        ROWS_SET_ASIDE: _keep_counted(broken, SET_ASIDE),
        ROWS_KEPT_WITHOUT: _keep_counted(broken, KEPT_WITHOUT),
        ENDS_ASSUMED: _keep_counted(assumed, END_ASSUMED),
    }


def _count_assumed_ends(model: RiskModel, histories: Histories, rows: pl.DataFrame) -> pl.DataFrame:
    # Few have such contacts, and to look for these first spares a citizen's score a tenth of its time.
    if list_long_contacts(histories, rows[s.INDEX_TIME], model.lags).head(1).collect().is_empty():
        return _NOBODY.with_columns(pl.lit(0).alias(END_ASSUMED))
    return count_assumed_ends(histories, rows.unique(), model.lags).sort(s.PERSON_ID).collect()


def _keep_counted(counts: pl.DataFrame, column: str) -> pl.DataFrame:
    named = counts.select(s.PERSON_ID, pl.col(column).alias(_COUNT))
    return named.filter(pl.col(_COUNT) > 0) if named.height else named


def list_warnings(
    model: RiskModel, histories: Histories, rows: pl.DataFrame, counts: Counts, *, language: str
) -> pl.Series:
    """List the sentences of each row: those that hold for every score of the call, then those of the person.

    Parameters
    ----------
    rows
        `person_id` and `index_time`; all rows have the same index moment.
    counts
        What `count_notes` counted of these rows.

    Returns
    -------
    A list of sentences per row, named `warnings`.
    """
    common = [
        note
        for moment in rows[s.INDEX_TIME].head(1)
        for note in render_warnings(
            list_absent(model, histories),
            moment,
            find_known_end(histories),
            changed=len(list_other_definitions(model)),
            language=language,
            last_event=find_silence(histories, moment),
        )
    ]
    shared = pl.Series(WARNINGS, [common] * rows.height, dtype=pl.List(pl.String))
    notes = [_render_notes(frame, name, language) for name, frame in counts.items() if frame.height]
    if not notes:
        return shared
    own = pl.concat(notes).group_by(s.PERSON_ID, maintain_order=True).agg(NOTE)
    told = rows.select(s.PERSON_ID).join(own, on=s.PERSON_ID, how="left", maintain_order="left")[NOTE]
    return shared.list.concat(told.fill_null([])).alias(WARNINGS)


def _render_notes(counts: pl.DataFrame, name: str, language: str) -> pl.DataFrame:
    """Write the note of each person: `person_id`, `note`."""
    sentences = {count: render_note(name, count, language=language) for count in counts[_COUNT].unique()}
    told = [sentences[count] for count in counts[_COUNT]]
    return counts.select(s.PERSON_ID, pl.Series(NOTE, told, dtype=pl.String))


def list_common(scores: pl.LazyFrame) -> list[str]:
    """List the warnings that hold for every score of a call, in their order."""
    counts = scores.select(pl.col(WARNINGS).list.explode(empty_as_null=False)).group_by(WARNINGS).len()
    rows, first = scores.select(pl.len()).collect().item(), scores.select(WARNINGS).head(1).collect()
    common = counts.filter(pl.col("len") == rows).collect()[WARNINGS]
    return [note for note in first[WARNINGS].explode(empty_as_null=False) if note in common]


def warn_of_assumed_ends(counts: Counts) -> None:
    """Warn once of hospital contacts with an assumed end, of all persons counted."""
    _warn_of_bounds(int(counts[ENDS_ASSUMED][_COUNT].sum()), 0)


def warn_of_bounds(histories: Histories) -> None:
    """Warn once of what outcomes hold within bounds: contacts without an end, and events after a death."""
    _warn_of_bounds(*sum_bounded(histories).collect().row(0))


def _warn_of_bounds(ends_assumed: int, after_death: int) -> None:
    """Warn of what is counted within bounds, if there is any."""
    counted = {
        "hospital contacts have no end and were open for longer than is believed: their end is assumed.": (
            ends_assumed
        ),
        "events start more than a day after the death of their person and are not counted.": after_death,
    }
    facts = [f"{count:,} {words}" for words, count in counted.items() if count]
    if facts:
        cure = "Ask the source for the ends of contacts and the dates of death."
        give_notice(" ".join([*facts, cure]), ImplausibleDataWarning)
