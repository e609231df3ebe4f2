"""Printing: what a command says of its result, once it has one."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
from rich.table import Table

from somv_risk.cli._console import make_console, print_frame, print_manifest, say, say_warning
from somv_risk.cli._output import give

if TYPE_CHECKING:
    from somv_risk.batch import BatchResult
    from somv_risk.features import Definition
    from somv_risk.tracking import Decision, Tracked

SHOWN_ROWS: Final = 10
SHOWN_GAPS: Final = 5
SHOWN_METRICS: Final = ("events", "auroc", "average_precision", "precision_top_1.0%")
HOLDS: Final = {True: "yes", False: "NO"}


def print_metrics(metrics: list[dict[str, object]]) -> None:
    """Print how well each ranking did in the test, a row per target and ranking."""
    give(metrics=metrics)
    events, *rates = SHOWN_METRICS
    wide = (
        pl.DataFrame(metrics)
        .filter(pl.col("metric").is_in(SHOWN_METRICS))
        .pivot(on="metric", index=["target", "ranking"], values="value")
        .with_columns(pl.col(events).cast(pl.Int64), pl.col(rates).round(3))
    )
    print_frame("Measured on persons and a period that did not train it", wide)


def say_tracked(tracked: "Tracked") -> None:
    """Say where MLflow keeps it."""
    give(tracked=tracked)
    say(f"Tracked: {tracked.uri}, run {tracked.run_id}.")


def print_decision(decision: "Decision") -> None:
    """Print how challenger and champion compare, which gates hold, and what was decided."""
    give(verdict=decision.verdict, challenger=decision.challenger, champion_before=decision.champion)
    give(comparison=decision.comparison.table, gates=decision.gates, run=decision.run_id)
    _print_comparison(decision.comparison.table)
    gates = decision.gates.drop("gate").with_columns(pl.col("holds").replace_strict(HOLDS))
    print_frame("Gates", _put_in_words(gates, "value"))
    facts = decision.comparison.facts
    judged = f"{facts['persons']:,} persons, {facts['events']:,} of them with the outcome"
    say(f"Judged at {facts['index_time']} by {judged}.")
    say(f"Version {decision.challenger}: {decision.verdict}. Champion before: {decision.champion or 'none'}.")


def _print_comparison(table: pl.DataFrame) -> None:
    numbers = ("challenger", "champion", "difference", "low", "high")
    is_group = pl.col("group").is_not_null()
    whole = table.filter(~is_group).drop("grouping", "group")
    print_frame("Challenger and champion", _put_in_words(whole, *numbers))
    groups = table.filter(is_group).drop_nulls("difference").drop("population", "capacity", "note")
    if groups.height:
        widest = groups.sort("difference", descending=True).head(SHOWN_GAPS)
        print_frame("Groups whose gap to everybody else grows most", _put_in_words(widest, *numbers))


def _put_in_words(frame: pl.DataFrame, *numbers: str) -> pl.DataFrame:
    """Round the numbers and make every cell a text; what is not known is left empty."""
    return frame.with_columns(pl.col(numbers).round(4)).select(pl.all().cast(pl.String).fill_null(""))


def print_batch(result: "BatchResult") -> None:
    """Print what a run came to. A nightly job's output ends in a log, so no person is shown here."""
    print_manifest(result.delivery)
    counts = result.counts
    _say_counts(counts.scored, counts.flagged, counts.flagged_new)
    _say_notes((*counts.warnings, *(f"Bucket {bucket} has no persons." for bucket in result.empty)))
    if counts.noted:
        say(f"Note: {counts.noted:,} persons have a warning of their own.")
    give(noted=counts.noted, failed=result.failed, empty_buckets=result.empty)
    for failed in result.failed:
        say_warning(f"Bucket {failed.bucket} is left out. {failed.reason}")
    print_files(result.folder)


def print_counts(scores: pl.DataFrame) -> None:
    """Print how many were scored and flagged, and what the scores warn of."""
    from somv_risk.scoring.notes import list_common

    flagged = scores.filter("flagged")
    _say_counts(scores.height, flagged.height, flagged.filter(pl.col("known_or_new") == "new").height)
    _say_notes(list_common(scores.lazy()))


def _say_counts(scored: int, flagged: int, new: int) -> None:
    give(scored=scored, flagged=flagged, flagged_new=new)
    say(f"Scored: {scored:,}. Flagged: {flagged:,}, of them new: {new:,}.")


def _say_notes(notes: Iterable[str]) -> None:
    said = list(notes)
    give(notes=said)
    for note in said:
        say_warning(f"Note: {note}")


def print_first(scores: pl.DataFrame) -> None:
    """Print the first on the list with their reasons; only for made-up persons."""
    table = Table(
        *("rank", "person", "risk", "", "reasons"),
        title="The first on the list",
        title_justify="left",
        show_lines=True,
    )
    for row in scores.head(SHOWN_ROWS).iter_rows(named=True):
        reasons = "\n".join(reason["text"] for reason in row["reasons"])
        table.add_row(str(row["rank"]), row["person_id"], f"{row['risk']:.0%}", row["known_or_new"], reasons)
    make_console().print(table)


def print_features(definitions: "Sequence[Definition]", language: str) -> None:
    """Print the features, a row per definition."""
    rows = [
        {
            "id": definition.id,
            "windows": ", ".join(map(str, definition.windows)),
            "title": definition.title_in(language),
            "theme": definition.theme,
        }
        for definition in definitions
    ]
    give(features=rows)
    print_frame("Features", pl.DataFrame(rows))


def print_files(folder: Path) -> None:
    """Print the files of a folder, without the hidden ones."""
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    give(files=files)
    for file in files:
        say(f"{file}")
