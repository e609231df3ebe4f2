"""Scoring: everyone is scored, one person's risk is explained, and a scoring period is watched."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Final

import typer

from somv_risk.calls.extras import check_installed
from somv_risk.cli._console import say, say_warning, show_progress
from somv_risk.cli._exit_codes import EXIT_ALARMS, EXIT_BUCKETS_FAILED
from somv_risk.cli._options import (
    AllowOption,
    GroupReadableOption,
    IndexOption,
    Language,
    LanguageOption,
    ModelOption,
    PageLanguage,
    PageLanguageOption,
    SimulatedOption,
    StoreOption,
    WhoIsExplained,
    list_allowed,
)
from somv_risk.cli._output import give
from somv_risk.cli._printing import print_batch, say_tracked
from somv_risk.sources import read_histories

MONITORING_PAGE: Final = "monitoring.html"


def score(
    store: StoreOption,
    model: ModelOption,
    index_time: IndexOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for scores, worklist and page.")],
    capacity: Annotated[int | None, typer.Option(help="Flag this many persons.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Flag persons from this risk up.")] = None,
    *,
    reasons: Annotated[int, typer.Option(help="Reasons per person explained.")] = 3,
    language: LanguageOption = Language.da,
    explain: Annotated[WhoIsExplained, typer.Option(help="Who is given reasons.")] = WhoIsExplained.flagged,
    workers: Annotated[
        int, typer.Option("--workers", "-w", help="Processes at work; each needs memory for a bucket.", min=1)
    ] = 1,
    since: Annotated[
        Path | None, typer.Option(help="Folder of an earlier run: what cannot have changed is taken over.")
    ] = None,
    allow: AllowOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier run left there.")] = False,
    group_readable: GroupReadableOption = False,
) -> None:
    """Score everyone at an index moment and write the worklist; called again, goes on where it was ended."""
    from somv_risk.batch import Options, run_batch

    options = Options(capacity, threshold, reasons, language.value, explain.value)
    with show_progress() as progress:
        result = run_batch(
            model,
            store,
            out,
            index_time=index_time,
            options=options,
            workers=workers,
            since=since,
            allow=list_allowed(allow),
            fresh=fresh,
            group_readable=group_readable,
            progress=progress,
        )
    print_batch(result)
    if result.failed:
        raise typer.Exit(EXIT_BUCKETS_FAILED)


def explain(
    store: StoreOption,
    model: ModelOption,
    index_time: IndexOption,
    person: Annotated[str, typer.Option("--person", "-p", help="Pseudonym of the person.")],
    language: LanguageOption = Language.da,
    since: Annotated[
        str | None, typer.Option(help="Explain what has moved the risk since this earlier moment.")
    ] = None,
    allow: AllowOption = None,
) -> None:
    """Explain one person's risk, or what has moved it since, with the events behind every reason."""
    from somv_risk.model.model import load_model
    from somv_risk.scoring.change import Change, explain_change
    from somv_risk.scoring.explain_person import Explanation, explain_person

    histories, fitted = read_histories(store), load_model(model)
    allowed = list_allowed(allow)
    told: Explanation | Change
    if since is None:
        told = explain_person(fitted, histories, person, index_time, language=language, allow=allowed)
    else:
        told = explain_change(fitted, histories, person, since, index_time, language=language, allow=allowed)
    give(**{part.name: getattr(told, part.name) for part in fields(told)})
    say(str(told))


def monitor(
    store: StoreOption,
    model: ModelOption,
    index_time: IndexOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for page and tables.")],
    earlier: Annotated[
        list[str] | None,
        typer.Option(help="Moment of an earlier scoring, for turnover and outcomes; may be given again."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Limits (TOML), or `monitoring`, the packaged ones."),
    ] = None,
    language: PageLanguageOption = PageLanguage.en,
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="Where MLflow tracks, with --track.")
    ] = None,
    *,
    track: Annotated[bool, typer.Option("--track", help="Log numbers, tables and page in MLflow.")] = False,
    simulated: SimulatedOption = None,
) -> None:
    """Compare a scoring period with the training; exit code 11 if anything is beyond its limit."""
    from somv_risk.model.model import load_model
    from somv_risk.monitoring import monitor as monitor_model

    check_installed("matplotlib", "the pictures of the page")
    fitted, histories = load_model(model), read_histories(store)
    with show_progress() as progress:
        report = monitor_model(
            fitted,
            histories,
            index_time,
            earlier=earlier,
            limits=config,
            simulated=simulated,
            progress=progress,
        )
    report.to_html(out / MONITORING_PAGE, language=language)
    give(alarms=[alarm.say() for alarm in report.alarms], page=out / MONITORING_PAGE)
    for alarm in report.alarms:
        say_warning(f"Alarm: {alarm.say()}")
    say(f"{len(report.alarms)} beyond the limits. Page: {out / MONITORING_PAGE}")
    if track:
        from somv_risk.tracking import track_monitoring

        say_tracked(track_monitoring(report, uri=tracking_uri))
    if report.alarms:
        raise typer.Exit(EXIT_ALARMS)
