"""The outputs of a scoring run: scores, the flat worklist, and the page front-line staff read."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from somv_risk.cohort.outcomes import Target
from somv_risk.errors import SourceError
from somv_risk.files.parquet import write_parquet
from somv_risk.files.private_files import make_private_file, make_private_folder
from somv_risk.model.model import RiskModel
from somv_risk.registers import schema as s
from somv_risk.registers.codes import load_municipalities
from somv_risk.registers.histories import Histories
from somv_risk.report.worklist_page import render_worklist
from somv_risk.scoring.reasons import load_texts
from somv_risk.scoring.score import FLAGGED
from somv_risk.scoring.worklist import build_timeline_events, build_worklist, describe_persons
from somv_risk.toml import load_packaged

SCORES_FILE = "scores.parquet"
WORKLIST_FILE = "worklist.csv"
PAGE_FILE = "worklist.html"


def write_outputs(
    model: RiskModel,
    histories: Histories,
    scores: pl.DataFrame,
    folder: Path,
    *,
    language: str,
    notes: tuple[str, ...] = (),
) -> None:
    """Write `scores.parquet` (everyone), `worklist.csv` and `worklist.html` (the flagged).

    Only this user can read them.

    Raises
    ------
    SourceError
        If the folder cannot be written.
    """
    try:
        make_private_folder(folder)
        write_parquet(scores, make_private_file(folder / SCORES_FILE))
        worklist = make_private_file(folder / WORKLIST_FILE).absolute()
        build_worklist(scores).write_csv(worklist)
        page = render_page(model, histories, scores, language=language, notes=notes)
        make_private_file(folder / PAGE_FILE).write_text(page, encoding="utf-8")
    except OSError as error:
        raise SourceError(
            f"Results cannot be written to {folder} ({error.strerror}). Choose another folder."
        ) from None


def render_page(
    model: RiskModel,
    histories: Histories,
    scores: pl.DataFrame,
    *,
    language: str,
    notes: tuple[str, ...] = (),
) -> str:
    """Render the page of the flagged persons with their timelines."""
    flagged = scores.filter(FLAGGED)
    events = build_timeline_events(histories, flagged, model.lags)
    persons = describe_persons(histories, flagged)
    return render_flagged(model, flagged, events, persons, language=language, notes=notes)


def render_flagged(
    model: RiskModel,
    flagged: pl.DataFrame,
    events: pl.DataFrame,
    persons: pl.DataFrame,
    *,
    language: str,
    notes: tuple[str, ...] = (),
) -> str:
    """Render the page of the flagged persons, with their timeline events and descriptions."""
    texts = _load_texts()[language]
    names = load_municipalities()
    named = pl.col(s.MUNICIPALITY).replace(list(names), list(names.values()))
    return render_worklist(
        flagged,
        events,
        persons.with_columns(named),
        title=texts["title"],
        risk_meaning=_tell_risk(texts["risk"], model.main.target, language),
        language=language,
        notes=notes,
    )


def _tell_risk(texts: Mapping[str, Mapping[str, str]], target: Target, language: str) -> str:
    forms, days = texts[target.counts], load_texts(language).numbers.format_days(target.horizon.days)
    return forms["one" if target.min_count == 1 else "other"].format(count=target.min_count, days=days)


def render_simulation_note(language: str) -> str:
    """Write the sentence that every page with simulated persons carries."""
    note: str = _load_texts()[language]["simulated"]
    return note


@cache
def _load_texts() -> dict[str, Any]:
    return load_packaged("somv_risk.report", "outputs.toml")
