"""Notes: what the reader of a score must know about the data behind it, in sentences.

Some hold for every score of a call (`render_warnings`), some for one person only. Those of a person are found
by `FINDERS`: to add a kind of note is to add a function there and its texts in `reasons/warnings.toml`.
"""

from collections.abc import Callable
from typing import Final

import polars as pl

from somv_risk import schema as s
from somv_risk.bounds import END_ASSUMED, count_assumed_ends, sum_bounded
from somv_risk.definitions import list_other_definitions
from somv_risk.errors import ImplausibleDataWarning
from somv_risk.histories import KEPT_WITHOUT, SET_ASIDE, Histories
from somv_risk.model import RiskModel
from somv_risk.notices import give_notice
from somv_risk.reasons import render_note, render_warnings
from somv_risk.soundness import find_known_end, find_silence

WARNINGS: Final = "warnings"
NOTE: Final = "note"
NOTES: Final = pl.Schema({s.PERSON_ID: pl.String(), NOTE: pl.String()})

Finder = Callable[[RiskModel, Histories, pl.DataFrame, str], pl.DataFrame]


def list_absent(model: RiskModel, histories: Histories) -> list[str]:
    """List the tables the model was trained with that these histories lack."""
    return [table for table in model.tables if table in histories.absent]


def list_warnings(model: RiskModel, histories: Histories, rows: pl.DataFrame, *, language: str) -> pl.Series:
    """List the sentences of each row: those that hold for every score of the call, then those of the person.

    Parameters
    ----------
    rows
        `person_id` and `index_time`; all rows have the same index moment.

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
    own = find_notes(model, histories, rows, language).group_by(s.PERSON_ID, maintain_order=True).agg(NOTE)
    told = rows.select(s.PERSON_ID).join(own, on=s.PERSON_ID, how="left", maintain_order="left")[NOTE]
    shared = pl.Series(WARNINGS, [common] * rows.height, dtype=pl.List(pl.String))
    return shared.list.concat(told.fill_null([])).alias(WARNINGS)


def list_common(scores: pl.LazyFrame) -> list[str]:
    """List the warnings that hold for every score of a call, in their order."""
    counts = scores.select(pl.col(WARNINGS).list.explode(empty_as_null=False)).group_by(WARNINGS).len()
    rows, first = scores.select(pl.len()).collect().item(), scores.select(WARNINGS).head(1).collect()
    common = counts.filter(pl.col("len") == rows).collect()[WARNINGS]
    return [note for note in first[WARNINGS].explode(empty_as_null=False) if note in common]


def find_notes(model: RiskModel, histories: Histories, rows: pl.DataFrame, language: str) -> pl.DataFrame:
    """Find the notes that hold for single persons among the rows.

    Returns
    -------
    One row per person and sentence (`person_id`, `note`), a person's sentences in the order of `FINDERS`.
    """
    return pl.concat([NOTES.to_frame(), *(find(model, histories, rows, language) for find in FINDERS)])


def note_rows_set_aside(
    model: RiskModel,  # noqa: ARG001 - every finder is asked in the same way
    histories: Histories,
    rows: pl.DataFrame,
    language: str,
) -> pl.DataFrame:
    """Note of each person how many delivered rows were set aside, and how many lost an attribute."""
    counts = histories.quarantine.count_by_person(rows[s.PERSON_ID])
    notes = [
        render_notes(counts.filter(pl.col(column) > 0), column, f"rows_{column}", language)
        for column in (SET_ASIDE, KEPT_WITHOUT)
    ]
    return pl.concat(notes)


def note_assumed_ends(
    model: RiskModel, histories: Histories, rows: pl.DataFrame, language: str
) -> pl.DataFrame:
    """Note of each person how many hospital contacts have an end that is assumed."""
    counts = count_assumed_ends(histories, rows.unique(), model.lags).sort(s.PERSON_ID).collect()
    return render_notes(counts, END_ASSUMED, "ends_assumed", language)


def warn_of_assumed_ends(model: RiskModel, histories: Histories, rows: pl.DataFrame) -> None:
    """Warn once of hospital contacts with an assumed end among the rows of a score."""
    counts = count_assumed_ends(histories, rows, model.lags).select(pl.col(END_ASSUMED).sum())
    _warn_of_bounds(int(counts.collect().item()), 0)


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


def render_notes(counts: pl.DataFrame, column: str, name: str, language: str) -> pl.DataFrame:
    """Write a note of each row of counts by its count in `column`, with the texts `name` of warnings.toml.

    Returns
    -------
    Rows of `NOTES`.
    """
    sentences = {count: render_note(name, count, language=language) for count in counts[column].unique()}
    told = [sentences[count] for count in counts[column]]
    return counts.select(s.PERSON_ID, pl.Series(NOTE, told, dtype=pl.String))


FINDERS: Final[tuple[Finder, ...]] = (note_rows_set_aside, note_assumed_ends)
