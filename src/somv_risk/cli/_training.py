"""Training: a model is fitted, its trees are tuned, and it is judged."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import polars as pl
import typer

from somv_risk.calls.extras import check_installed
from somv_risk.cli._console import print_frame, say, show_progress
from somv_risk.cli._options import (
    AllowOption,
    DrawsOption,
    ModelOption,
    PageLanguage,
    PageLanguageOption,
    SimulatedOption,
    StoreOption,
    TrackingOption,
    WhichPersons,
    list_allowed,
)
from somv_risk.cli._output import give
from somv_risk.cli._printing import SHOWN_ROWS, print_metrics, say_tracked
from somv_risk.registers.histories import Histories
from somv_risk.sources import read_histories

if TYPE_CHECKING:
    from somv_risk.calls.progress import Progress
    from somv_risk.model.model import RiskModel
    from somv_risk.tracking import Tracked

EVALUATION_PAGE: Final = "evaluation.html"


def train(
    store: StoreOption,
    model: Annotated[Path, typer.Option("--model", "-m", help="Folder for the model.")],
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Training configuration (TOML); `default` is the packaged one."),
    ] = None,
    tables: Annotated[
        list[str] | None,
        typer.Option(help="A table to learn from, where not all that are there; may be given again."),
    ] = None,
    *,
    track: Annotated[
        bool, typer.Option("--track", help="Judge it too, and log all in MLflow; it becomes the challenger.")
    ] = False,
    tracking_uri: TrackingOption = None,
    draws: DrawsOption = 200,
    simulated: SimulatedOption = None,
) -> None:
    """Train a model, measure it beside its references, and save it."""
    from somv_risk.training.train import train as train_model

    if track:
        from somv_risk.tracking import check_store

        check_installed("matplotlib", "the pictures that are logged")
        check_store(tracking_uri)
    histories = read_histories(store)
    with show_progress() as progress:
        fitted = train_model(histories, config, tables=tables or None, progress=progress)
        fitted.save(model)
        tracked = (
            _track(fitted, histories, tracking_uri, draws, progress, simulated=simulated) if track else None
        )
    give(model=model, tracked=tracked)
    print_metrics(fitted.facts["metrics"])
    say(f"Model: {model}  (card: {model / 'CARD.md'})")
    if tracked is not None:
        say(f"Tracked: {tracked.uri}, run {tracked.run_id}, version {tracked.version}, now the challenger.")


def _track(
    model: "RiskModel",
    histories: Histories,
    uri: str | None,
    draws: int,
    progress: "Progress",
    *,
    simulated: bool | None,
) -> "Tracked":
    from somv_risk.evaluation.evaluate import evaluate as evaluate_model
    from somv_risk.tracking import track_training

    report = evaluate_model(
        model,
        histories,
        index_times=model.facts["index_times"]["test"],
        persons="all" if model.is_cross_validated else "test",
        draws=draws,
        simulated=simulated,
        progress=progress,
    )
    progress("tracking", 0, 1)
    tracked = track_training(model, histories, report, uri=uri)
    progress("tracking", 1, 1)
    return tracked


def evaluate(
    store: StoreOption,
    model: ModelOption,
    index_time: Annotated[
        list[str], typer.Option("--index-time", "-t", help="A moment to judge at; may be given again.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for page, tables, checklists and card.")],
    *,
    target: Annotated[str | None, typer.Option(help="Which target; the model's first by default.")] = None,
    persons: Annotated[
        WhichPersons, typer.Option(help="test: those who neither grew nor calibrated the model; or all.")
    ] = WhichPersons.test,
    capacity: Annotated[
        list[str] | None, typer.Option(help="Length of a list, like 100 or '1 %'; may be given again.")
    ] = None,
    working_capacity: Annotated[
        str, typer.Option(help="Length of the list by which fairness is judged.")
    ] = "1 %",
    draws: DrawsOption = 200,
    explained: Annotated[
        int, typer.Option(help="Persons on whom the quality of explanations is measured.", min=0)
    ] = 0,
    seeds: Annotated[int, typer.Option(help="Train again on so many draws of persons.", min=0)] = 0,
    years: Annotated[int, typer.Option(help="Train and test again for so many years.", min=0)] = 0,
    place: Annotated[
        list[str] | None, typer.Option(help="Train without a municipality, test on it; may be given again.")
    ] = None,
    language: PageLanguageOption = PageLanguage.en,
    simulated: SimulatedOption = None,
    track: Annotated[
        bool, typer.Option("--track", help="Log the evaluation in MLflow too (MLFLOW_TRACKING_URI).")
    ] = False,
    allow: AllowOption = None,
) -> None:
    """Judge a model: one page for managers and evaluators, all tables, checklists and a card."""
    from somv_risk.evaluation.evaluate import evaluate as evaluate_model
    from somv_risk.evaluation.refits import Refits
    from somv_risk.metrics import CAPACITIES
    from somv_risk.model.model import load_model

    check_installed("matplotlib", "the pictures of the page")
    refits = Refits(seeds, years, "all" if place == ["all"] else tuple(place or ()))
    fitted, histories = load_model(model), read_histories(store)
    with show_progress() as progress:
        report = evaluate_model(
            fitted,
            histories,
            index_times=index_time,
            target=target,
            persons=persons.value,
            capacities=capacity or CAPACITIES,
            working_capacity=working_capacity,
            draws=draws,
            refits=None if refits.is_empty else refits,
            explained=explained,
            simulated=simulated,
            allow=list_allowed(allow),
            progress=progress,
        )
    report.to_html(out / EVALUATION_PAGE, language=language)
    report.write_card(fitted, out / "CARD.md")
    give(page=out / EVALUATION_PAGE, tables=sorted(report.tables), metrics=report.metrics)
    print_frame("Separation", report.metrics.filter(pl.col("metric").is_in(["auroc", "average_precision"])))
    say(f"Page: {out / EVALUATION_PAGE}")
    if track:
        from somv_risk.tracking import track_evaluation

        say_tracked(track_evaluation(fitted, report))


def tune(
    store: StoreOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Training configuration to write (TOML).")],
    trials: Annotated[int | None, typer.Option(help="How many trials the study is to have.", min=1)] = None,
    minutes: Annotated[float | None, typer.Option(help="How long to go on.", min=0)] = None,
    study: Annotated[
        Path, typer.Option(help="File of what was tried; the same call goes on from there.")
    ] = Path("tuning.db"),
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Training configuration to start from (TOML).")
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="What to try (TOML) in place of the usual; `tuning` is the packaged file."),
    ] = None,
) -> None:
    """Search for tree parameters within a budget, and write a configuration for train."""
    from somv_risk.training.config import write_config
    from somv_risk.training.tuning import SPACE
    from somv_risk.training.tuning import tune as tune_trees

    with show_progress() as progress:
        tuned = tune_trees(
            read_histories(store),
            config,
            trials=trials,
            minutes=minutes,
            storage=study,
            space=space or SPACE,
            progress=progress,
        )
    write_config(tuned.config, out)
    print_frame("The best trials", tuned.trials.sort("log_loss", "trial").head(SHOWN_ROWS))
    losses: list[float] = tuned.trials["log_loss"].to_list()
    give(config=out, study=study, trials=len(losses), log_loss=min(losses), log_loss_at_start=losses[0])
    say(f"Log loss: {losses[0]:.5f} at the start, {min(losses):.5f} at best of {len(losses)} trials.")
    say(f"Study: {study}")
    say(f"Configuration: {out}")
