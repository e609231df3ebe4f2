"""The command line: the same verbs as the library."""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from enum import StrEnum
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from somv_risk import errors
from somv_risk.cohort import parse_moment
from somv_risk.console import (
    escape,
    make_console,
    print_frame,
    print_histories,
    print_manifest,
    say,
    show_progress,
)
from somv_risk.histories import Histories
from somv_risk.store import (
    DEFAULT_BUCKETS,
    Delivery,
    append,
    check_is_new,
    is_store,
    scan_store,
    verify_store,
)
from somv_risk.store import ingest as ingest_delivery

if TYPE_CHECKING:
    from somv_risk.batch import BatchResult
    from somv_risk.features import Definition
    from somv_risk.model import RiskModel
    from somv_risk.pipeline import Progress
    from somv_risk.simulate.page import RunFacts
    from somv_risk.simulate.plan import Plan
    from somv_risk.simulate.targets import Target
    from somv_risk.tracking import Decision, Tracked

EXIT_CODES: Final[Mapping[type[errors.SomvRiskError], int]] = MappingProxyType(
    {
        errors.SourceError: 3,
        errors.InputError: 4,
        errors.IdentityError: 5,
        errors.ConfigError: 6,
        errors.ModelError: 7,
        errors.CohortError: 8,
        errors.SystemLibraryError: 9,
        errors.StoreVersionError: 20,
        errors.OtherTablesError: 21,
        errors.EmptyBucketError: 22,
        errors.MisplacedPersonError: 23,
        errors.IndexTimeError: 24,
        errors.FolderInUseError: 25,
        errors.OtherRunError: 26,
    }
)
EXIT_ROWS_SET_ASIDE: Final = 10
EXIT_ALARMS: Final = 11
EXIT_NOT_PROMOTED: Final = 14
EXIT_BUCKETS_FAILED: Final = 27
SHOWN_ROWS: Final = 10
EVALUATION_PAGE: Final = "evaluation.html"
MONITORING_PAGE: Final = "monitoring.html"
REPORT: Final = Path("simulation-check")
SHOWN_GAPS: Final = 5
HOLDS: Final = {True: "yes", False: "NO"}

app = typer.Typer(
    name="somv-risk",
    help="Find the citizens whom the health system keeps losing, and say in plain words why.",
    epilog=(
        "Exit codes: 0 done; 2 wrong call; 3 file or folder; 4 table; 5 CPR-like ids; 6 configuration; "
        "7 model; 8 nobody left; 9 system library; 10 rows set aside (check); "
        "11 something beyond its limit (monitor); 14 not promoted (promote); 20 store of another version; "
        "21 absent tables; 22 empty bucket; 23 person in two buckets; 24 index time outside the data; "
        "25 folder in use; 26 folder of another run; 27 done, without buckets that cannot be read."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Origin(StrEnum):
    """Where a delivery comes from."""

    canonical = "canonical"
    omop = "omop"
    delta = "delta"
    postgres = "postgres"


class Language(StrEnum):
    """Language of the sentences."""

    da = "da"
    en = "en"
    nb = "nb"
    sv = "sv"


class PageLanguage(StrEnum):
    """Language of the evaluation and monitoring pages."""

    en = "en"
    da = "da"


class WhichPersons(StrEnum):
    """By whom a model is judged."""

    test = "test"
    all = "all"


class WhoIsExplained(StrEnum):
    """Who is given reasons."""

    flagged = "flagged"
    all = "all"
    none = "none"


class Allowed(StrEnum):
    """What is refused unless it is allowed."""

    absent_tables = "absent-tables"
    index_time = "index-time"


StoreOption = Annotated[Path, typer.Option("--store", "-s", help="A store, or a folder of canonical tables.")]
ModelOption = Annotated[
    Path, typer.Option("--model", "-m", help="Folder of a trained model, or models:/somv-risk@champion.")
]
IndexOption = Annotated[
    str, typer.Option("--index-time", "-t", help="The moment seen from, like 2026-01-01.")
]
LanguageOption = Annotated[Language, typer.Option("--language", "-l", help="Language of the reasons.")]
PageLanguageOption = Annotated[PageLanguage, typer.Option("--language", "-l", help="Language of the page.")]
PersonsOption = Annotated[int, typer.Option("--persons", "-n", help="How many persons.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Same seed, same region.")]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--pseudonymise-key-file",
        help="File with a secret of at least 16 bytes; ids are replaced by keyed hashes.",
    ),
]
DrawsOption = Annotated[int, typer.Option(help="Draws of persons for the intervals.", min=0)]
SimulatedOption = Annotated[
    bool | None, typer.Option("--simulated/--real", help="Whether the persons are made up.")
]
TrackingOption = Annotated[
    str | None,
    typer.Option(
        help="Where MLflow keeps it; by default MLFLOW_TRACKING_URI, else sqlite:///mlflow.db.",
    ),
]
DataEndOption = Annotated[str | None, typer.Option("--data-end", help="Moment at which the delivery ends.")]


def main() -> None:
    """Run the command line; a known error is one sentence and its own exit code, a warning is a note."""
    warnings.showwarning = _note
    try:
        app()
    except errors.SomvRiskError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]Error:[/] {escape(str(error))}", highlight=False
        )
        sys.exit(EXIT_CODES.get(type(error), 1))


def _note(message: Warning | str, *_: object, **__: object) -> None:
    Console(stderr=True, soft_wrap=True).print(f"Note: {escape(str(message))}", highlight=False)


@app.command()
def simulate(
    store: Annotated[
        Path | None, typer.Option("--store", "-s", help="New folder for the store; not needed to --check.")
    ] = None,
    persons: PersonsOption = 100_000,
    seed: SeedOption = 7,
    start: Annotated[str, typer.Option(help="First day.")] = "2020-01-01",
    end: Annotated[str, typer.Option(help="The day after the last.")] = "2026-01-01",
    municipality: Annotated[
        list[str] | None, typer.Option(help="Code of a municipality to live in; may be given again.")
    ] = None,
    buckets: Annotated[int, typer.Option(help="Number of buckets.", min=1)] = DEFAULT_BUCKETS,
    *,
    dirty: Annotated[
        bool, typer.Option("--dirty", help="Write no store but a delivery (CSV) with planted defects.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Hold the region against published figures.")
    ] = False,
    difficulty: Annotated[
        bool, typer.Option("--difficulty", help="With --check: train and test models too (minutes).")
    ] = False,
    targets: Annotated[
        Path | None, typer.Option(help="With --check: published figures (TOML) in place of the usual ones.")
    ] = None,
    report: Annotated[Path, typer.Option(help="With --check: folder for page, plots and table.")] = REPORT,
) -> None:
    """Make up a region and write it as a store, or as a dirty delivery; hold it against published figures."""
    from somv_risk.simulate.period import Period  # noqa: PLC0415 - only this command needs it
    from somv_risk.simulate.plan import Plan  # noqa: PLC0415

    if (store is None and not check) or (dirty and (check or store is None)) or (difficulty and not check):
        raise typer.BadParameter("Give --store, --check, --store and --check, or --store and --dirty.")
    plan = Plan(persons, seed, Period(_parse_day(start), _parse_day(end)), municipality or None)
    if store is not None:
        check_is_new(store, "delivery" if dirty else "store")
    if dirty and store is not None:
        _write_dirty(plan, store)
        return
    published = _prepare_check(targets, report) if check else ()
    with _keep_or_discard(store) as folder:
        _write_region(plan, folder, buckets)
        say(f"Store: {folder}" if store else "The store is not kept.")
        if check:
            from somv_risk.simulate.page import RunFacts  # noqa: PLC0415 - scikit-learn is slow to import

            _check_region(RunFacts(plan, difficulty=difficulty, targets=targets), folder, published, report)


@app.command()
def ingest(
    origin: Annotated[
        str,
        typer.Option("--input", "-i", help="Folder with the delivery, or the database as postgresql://..."),
    ],
    store: Annotated[
        Path, typer.Option("--store", "-s", help="New folder for the store; with --append, the store.")
    ],
    source: Annotated[Origin, typer.Option("--source", help="Form of the delivery.")] = Origin.canonical,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Mapping of the source (TOML); omop, postgres.")
    ] = None,
    data_end: DataEndOption = None,
    key_file: KeyOption = None,
    buckets: Annotated[int, typer.Option(help="Number of buckets.", min=1)] = DEFAULT_BUCKETS,
    *,
    as_of: Annotated[
        str | None, typer.Option(help="With --source delta: the tables as they were at this moment.")
    ] = None,
    schema: Annotated[str, typer.Option(help="With --source postgres: schema of the tables.")] = "public",
    delivered_at: Annotated[
        str | None, typer.Option(help="With --append: the moment at which the delivery was made.")
    ] = None,
    later: Annotated[
        bool, typer.Option("--append", help="Put a later delivery into a store; needs --delivered-at.")
    ] = False,
) -> None:
    """Read a delivery, check every row, and write it as a store or put it into one."""
    if later != (delivered_at is not None):
        raise typer.BadParameter("Give --append and --delivered-at together.")
    if as_of is not None and source is not Origin.delta:
        raise typer.BadParameter("Give --as-of with --source delta only.")
    if not later:
        check_is_new(store, "store")
    delivery = _scan(source, origin, config, data_end, key_file, as_of, schema)
    if delivered_at is None:
        ingest_delivery(delivery, store, buckets=buckets)
    else:
        changes = append(delivery, store, delivered_at=parse_moment(delivered_at))
        print_frame("Changes", changes) if changes.height else say("The delivery changes nothing.")
    print_histories(scan_store(store))
    say(f"Store: {store}")


@app.command()
def check(
    store: Annotated[Path, typer.Argument(help="A store, or a folder of canonical tables.")],
    data_end: DataEndOption = None,
    key_file: KeyOption = None,
) -> None:
    """Check a delivery or a store and tell what was set aside (exit code 10) or is damaged (3)."""
    if is_store(store):
        _verify(store)
    histories = _read(Origin.canonical, store, None, data_end, key_file)
    print_histories(histories)
    if histories.quarantine.count():
        raise typer.Exit(EXIT_ROWS_SET_ASIDE)


@app.command()
def train(
    store: StoreOption,
    model: Annotated[Path, typer.Option("--model", "-m", help="Folder for the model.")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Training configuration (TOML).")
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
    from somv_risk.pipeline import train as train_model  # noqa: PLC0415 - LightGBM is slow to import

    if track:
        from somv_risk.tracking import check_store  # noqa: PLC0415

        check_store(tracking_uri)
    histories = _read(Origin.canonical, store, None, None, None)
    with show_progress() as progress:
        fitted = train_model(histories, config, progress=progress)
        fitted.save(model)
        tracked = (
            _track(fitted, histories, tracking_uri, draws, progress, simulated=simulated) if track else None
        )
    _print_metrics(fitted.facts["metrics"])
    say(f"Model: {model}  (card: {model / 'CARD.md'})")
    if tracked is not None:
        say(f"Tracked: {tracked.uri}, run {tracked.run_id}, version {tracked.version}, now the challenger.")


@app.command()
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
) -> None:
    """Judge a model: one page for managers and evaluators, all tables, checklists and a card."""
    from somv_risk.assessment import evaluate as evaluate_model  # noqa: PLC0415 - LightGBM is slow to import
    from somv_risk.evaluation import CAPACITIES  # noqa: PLC0415
    from somv_risk.model import load_model  # noqa: PLC0415
    from somv_risk.refits import Refits  # noqa: PLC0415

    refits = Refits(seeds, years, "all" if place == ["all"] else tuple(place or ()))
    fitted, histories = load_model(model), _read(Origin.canonical, store, None, None, None)
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
            progress=progress,
        )
    report.to_html(out / EVALUATION_PAGE, language=language)
    report.write_card(fitted, out / "CARD.md")
    print_frame("Separation", report.metrics.filter(pl.col("metric").is_in(["auroc", "average_precision"])))
    say(f"Page: {out / EVALUATION_PAGE}")
    if track:
        from somv_risk.tracking import track_evaluation  # noqa: PLC0415

        tracked = track_evaluation(fitted, report)
        say(f"Tracked: {tracked.uri}, run {tracked.run_id}.")


@app.command()
def promote(
    store: StoreOption,
    challenger: Annotated[str, typer.Option(help="Version or alias in the registry.")] = "challenger",
    gates: Annotated[Path | None, typer.Option(help="What must hold (TOML), in place of the usual.")] = None,
    index_time: Annotated[
        str | None,
        typer.Option("--index-time", "-t", help="The moment to judge at; by default the latest test."),
    ] = None,
    draws: DrawsOption = 200,
    override: Annotated[
        str | None, typer.Option(help="A reason to promote although a gate does not hold; it is recorded.")
    ] = None,
    tracking_uri: TrackingOption = None,
) -> None:
    """Compare the challenger with the champion; it takes its place if all gates hold. Exit code 14 if not."""
    from somv_risk.tracking import promote as promote_model  # noqa: PLC0415 - LightGBM is slow to import

    decision = promote_model(
        _read(Origin.canonical, store, None, None, None),
        challenger=challenger,
        gates=gates,
        index_time=index_time,
        draws=draws,
        override=override,
        uri=tracking_uri,
    )
    _print_decision(decision)
    if not decision.is_promoted:
        raise typer.Exit(EXIT_NOT_PROMOTED)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    tracking_uri: TrackingOption = None,
) -> None:
    """Make the champion before the present one the champion again."""
    from somv_risk.tracking import roll_back  # noqa: PLC0415 - LightGBM is slow to import

    gone, back = roll_back(reason, uri=tracking_uri)
    say(f"Version {back} is the champion again, in place of version {gone}.")


@app.command()
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
        Path | None, typer.Option(help="What to try (TOML), in place of the usual; see configs/tuning.toml.")
    ] = None,
) -> None:
    """Search for tree parameters within a budget, and write a configuration for train."""
    from somv_risk.config import write_config  # noqa: PLC0415 - LightGBM is slow to import
    from somv_risk.tuning import SPACE  # noqa: PLC0415
    from somv_risk.tuning import tune as tune_trees  # noqa: PLC0415

    with show_progress() as progress:
        tuned = tune_trees(
            _read(Origin.canonical, store, None, None, None),
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
    say(f"Log loss: {losses[0]:.5f} at the start, {min(losses):.5f} at best of {len(losses)} trials.")
    say(f"Study: {study}")
    say(f"Configuration: {out}")


@app.command()
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
        Path | None, typer.Option("--config", "-c", help="Limits (TOML), where not the usual ones.")
    ] = None,
    language: PageLanguageOption = PageLanguage.en,
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="Where MLflow tracks, with --track.")
    ] = None,
    *,
    track: Annotated[bool, typer.Option("--track", help="Log numbers, tables and page in MLflow.")] = False,
    simulated: Annotated[
        bool | None, typer.Option("--simulated/--real", help="Whether the persons are made up.")
    ] = None,
) -> None:
    """Compare a scoring period with the training; exit code 11 if anything is beyond its limit."""
    from somv_risk.model import load_model  # noqa: PLC0415 - LightGBM is slow to import
    from somv_risk.monitoring import monitor as monitor_model  # noqa: PLC0415

    fitted, histories = load_model(model), _read(Origin.canonical, store, None, None, None)
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
    for alarm in report.alarms:
        say(f"Alarm: {alarm.say()}")
    say(f"{len(report.alarms)} beyond the limits. Page: {out / MONITORING_PAGE}")
    if track:
        from somv_risk.tracking import track_monitoring  # noqa: PLC0415 - MLflow is slow to import

        tracked = track_monitoring(report, uri=tracking_uri)
        say(f"Tracked: {tracked.uri}, run {tracked.run_id}.")
    if report.alarms:
        raise typer.Exit(EXIT_ALARMS)


@app.command()
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
    allow: Annotated[
        list[Allowed] | None, typer.Option(help="Go on in spite of this; may be given again.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier run left there.")] = False,
) -> None:
    """Score everyone at an index moment and write the worklist; called again, goes on where it was ended."""
    from somv_risk.batch import Options, run_batch  # noqa: PLC0415 - LightGBM is slow to import

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
            allow=[each.value for each in allow or ()],
            fresh=fresh,
            progress=progress,
        )
    _print_batch(result)
    if result.failed:
        raise typer.Exit(EXIT_BUCKETS_FAILED)


@app.command()
def explain(
    store: StoreOption,
    model: ModelOption,
    index_time: IndexOption,
    person: Annotated[str, typer.Option("--person", "-p", help="Pseudonym of the person.")],
    language: LanguageOption = Language.da,
    since: Annotated[
        str | None, typer.Option(help="Explain what has moved the risk since this earlier moment.")
    ] = None,
) -> None:
    """Explain one person's risk, or what has moved it since, with the events behind every reason."""
    from somv_risk.change import explain_change  # noqa: PLC0415 - LightGBM is slow to import
    from somv_risk.explanation import explain_person  # noqa: PLC0415
    from somv_risk.model import load_model  # noqa: PLC0415

    histories, fitted = _read(Origin.canonical, store, None, None, None), load_model(model)
    if since is None:
        say(str(explain_person(fitted, histories, person, index_time, language=language)))
    else:
        say(str(explain_change(fitted, histories, person, since, index_time, language=language)))


@app.command()
def features(
    own: Annotated[
        Path | None, typer.Option(help="Features of your own (TOML), checked and shown among the others.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write their page (Markdown) and print nothing.")
    ] = None,
    language: LanguageOption = Language.da,
) -> None:
    """List the features, or write the page that says of each what it counts."""
    from somv_risk.config import read_definitions  # noqa: PLC0415 - LightGBM is slow to import
    from somv_risk.features import load_definitions  # noqa: PLC0415
    from somv_risk.report.feature_page import render_feature_page, write_feature_page  # noqa: PLC0415

    definitions = read_definitions(own) if own else ()
    if out is None:
        _print_features([*load_definitions(), *definitions], language)
        return
    options = f" --own {quote(str(own))}" if own else ""
    command = f"somv-risk features{options} --out {quote(str(out))}"
    write_feature_page(out, render_feature_page(load_definitions(), definitions, command=command))
    say(f"Page: {out}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("demo"),
    persons: PersonsOption = 100_000,
    seed: SeedOption = 7,
    language: LanguageOption = Language.da,
) -> None:
    """Simulate a region, train, score everyone, and write a worklist to look at."""
    from somv_risk.demo import run_demo  # noqa: PLC0415 - LightGBM is slow to import

    with show_progress() as progress:
        made = run_demo(out, persons=persons, seed=seed, language=language, progress=progress)
    _print_metrics(made.model.facts["metrics"])
    _print_first(made.scores)
    _print_counts(made.scores)
    _print_files(made.folder)


def _write_dirty(plan: "Plan", folder: Path) -> None:
    from somv_risk.simulate.defects import plant_defects, write_delivery  # noqa: PLC0415 - rarely needed
    from somv_risk.simulate.tables import build_tables  # noqa: PLC0415

    delivery = plant_defects(build_tables(plan), plan.seed)
    write_delivery(delivery, folder)
    print_frame("Planted", delivery.planted.group_by("defect", "outcome").len("rows").sort("defect"))
    say(f"Delivery: {folder}, and what was planted: {folder / 'planted.csv'}")


@contextmanager
def _keep_or_discard(store: Path | None) -> Iterator[Path]:
    """Give the folder of a store; without a name it goes when it has been looked at."""
    if store is not None:
        yield store
        return
    with TemporaryDirectory() as folder:
        yield Path(folder) / "store"


def _write_region(plan: "Plan", folder: Path, buckets: int) -> None:
    from somv_risk.simulate.region import write_region  # noqa: PLC0415 - only simulating needs it
    from somv_risk.sources import read_histories  # noqa: PLC0415

    with show_progress() as progress:
        write_region(plan, folder, buckets=buckets, progress=progress)
    print_histories(read_histories(folder))


def _parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise errors.ConfigError(
            f"{text!r} is not a day. Write it like 2026-01-31, without a time."
        ) from None


def _prepare_check(file: Path | None, report: Path) -> "Sequence[Target]":
    """Read the targets and make the folder of the report, so that neither fails after a long simulation."""
    from somv_risk.simulate.page import make_report_folder  # noqa: PLC0415 - scikit-learn is slow to import
    from somv_risk.simulate.targets import find_targets, read_targets  # noqa: PLC0415

    targets = read_targets(file or find_targets())
    make_report_folder(report)
    return targets


def _check_region(facts: "RunFacts", folder: Path, targets: "Sequence[Target]", report: Path) -> None:
    from somv_risk.simulate.check import check_store  # noqa: PLC0415 - scikit-learn is slow to import
    from somv_risk.simulate.difficulty import measure_difficulty  # noqa: PLC0415
    from somv_risk.simulate.page import write_report  # noqa: PLC0415
    from somv_risk.simulate.targets import VERDICTS  # noqa: PLC0415

    start = facts.plan.period.start
    with show_progress() as progress:
        hard = measure_difficulty(facts.plan, progress=progress) if facts.difficulty else None
        check = check_store(folder, targets, start=start, difficulty=hard, progress=progress)
    page = write_report(report, check.comparison, check.measurements, facts)
    shown = check.comparison.select(
        "title", "unit", "target", "low", "high", pl.col("observed").round_sig_figs(3), "verdict", "status"
    )
    print_frame("Published and made up", shown)
    found = check.comparison["verdict"].to_list()
    say(", ".join(f"{found.count(verdict)} {verdict}" for verdict in VERDICTS) + ".")
    say(f"Page: {page}")


def _verify(store: Path) -> None:
    found = verify_store(store)
    if found.is_empty():
        return
    print_frame("Damaged", found)
    names = ", ".join(found["finding"].unique(maintain_order=True))
    raise errors.SourceError(
        f"Store {store} is damaged in {found['file'].n_unique()} files ({names}). Ingest again."
    )


def _scan(
    source: Origin,
    origin: str,
    config: Path | None,
    data_end: str | None,
    key_file: Path | None,
    as_of: str | None,
    schema: str,
) -> Delivery:
    from somv_risk import sources  # noqa: PLC0415 - keeps --help fast

    end = None if data_end is None else parse_moment(data_end)
    key = None if key_file is None else _read_key(key_file)
    match source:
        case Origin.omop:
            return sources.deliver_omop(origin, config, data_end=end, pseudonymise_key=key)
        case Origin.delta:
            moment = None if as_of is None else parse_moment(as_of)
            return sources.scan_delta(origin, version=moment, data_end=end, pseudonymise_key=key)
        case Origin.postgres:
            return sources.scan_postgres(
                origin, schema=schema, config=config, data_end=end, pseudonymise_key=key
            )
    return sources.scan_folder(origin, data_end=end, pseudonymise_key=key)


def _read(
    source: Origin, folder: Path, config: Path | None, data_end: str | None, key_file: Path | None
) -> Histories:
    from somv_risk.sources import from_omop, read_histories  # noqa: PLC0415 - keeps --help fast

    end = None if data_end is None else parse_moment(data_end)
    key = None if key_file is None else _read_key(key_file)
    if source is Origin.omop:
        return from_omop(folder, config, data_end=end, pseudonymise_key=key)
    return read_histories(folder, data_end=end, pseudonymise_key=key)


def _read_key(file: Path) -> bytes:
    try:
        return file.read_bytes().strip()
    except OSError as error:
        raise errors.SourceError(
            f"Key file {file} cannot be read ({error.strerror}). Give its path."
        ) from None


def _track(
    model: "RiskModel",
    histories: Histories,
    uri: str | None,
    draws: int,
    progress: "Progress",
    *,
    simulated: bool | None,
) -> "Tracked":
    from somv_risk.assessment import evaluate as evaluate_model  # noqa: PLC0415 - LightGBM is slow to import
    from somv_risk.tracking import track_training  # noqa: PLC0415

    report = evaluate_model(
        model,
        histories,
        index_times=model.facts["index_times"]["test"],
        draws=draws,
        simulated=simulated,
        progress=progress,
    )
    progress("tracking", 0, 1)
    tracked = track_training(model, histories, report, uri=uri)
    progress("tracking", 1, 1)
    return tracked


def _print_decision(decision: "Decision") -> None:
    table = decision.comparison.table
    is_group, words = pl.col("group").is_not_null(), pl.all().cast(pl.String).fill_null("")
    numbers = pl.col("challenger", "champion", "difference", "low", "high").round(4)
    whole, groups = table.filter(~is_group), table.filter(is_group).drop_nulls("difference")
    widest = groups.sort("difference", descending=True).head(SHOWN_GAPS)
    print_frame(
        "Challenger and champion", whole.drop("grouping", "group").with_columns(numbers).select(words)
    )
    if widest.height:
        shown = widest.drop("population", "capacity", "note").with_columns(numbers).select(words)
        print_frame("Groups whose gap to everybody else grows most", shown)
    holds = pl.col("holds").replace_strict(HOLDS)
    print_frame(
        "Gates", decision.gates.drop("gate").with_columns(pl.col("value").round(4), holds).select(words)
    )
    facts = decision.comparison.facts
    judged = f"{facts['persons']:,} persons, {facts['events']:,} of them with the outcome"
    say(f"Judged at {facts['index_time']} by {judged}.")
    say(f"Version {decision.challenger}: {decision.verdict}. Champion before: {decision.champion or 'none'}.")


def _print_metrics(metrics: list[dict[str, object]]) -> None:
    shown = ("events", "auroc", "average_precision", "precision_top_1.0%")
    frame = pl.DataFrame(metrics).filter(pl.col("metric").is_in(shown))
    wide = frame.pivot(on="metric", index=["target", "ranking"], values="value").with_columns(
        pl.col("events").cast(pl.Int64), pl.col(shown[1:]).round(3)
    )
    print_frame("Measured on persons and a period that did not train it", wide)


def _print_first(scores: pl.DataFrame) -> None:
    table = Table(
        "rank",
        "person",
        "risk",
        "",
        "reasons",
        title="The first on the list",
        title_justify="left",
        show_lines=True,
    )
    for row in scores.head(SHOWN_ROWS).iter_rows(named=True):
        reasons = "\n".join(reason["text"] for reason in row["reasons"])
        table.add_row(str(row["rank"]), row["person_id"], f"{row['risk']:.0%}", row["known_or_new"], reasons)
    make_console().print(table)


def _print_features(definitions: "Sequence[Definition]", language: Language) -> None:
    rows = [
        {
            "id": definition.id,
            "windows": ", ".join(map(str, definition.windows)),
            "title": definition.title_in(language),
            "theme": definition.theme,
        }
        for definition in definitions
    ]
    print_frame("Features", pl.DataFrame(rows))


def _print_counts(scores: pl.DataFrame) -> None:
    new = scores.filter(pl.col("flagged"), pl.col("known_or_new") == "new").height
    say(f"Scored: {scores.height:,}. Flagged: {scores['flagged'].sum():,}, of them new: {new:,}.")
    for warning in scores["warnings"].explode(empty_as_null=False).unique(maintain_order=True):
        say(f"Note: {warning}")


def _print_batch(result: "BatchResult") -> None:
    """Print what a run came to. A nightly job's output ends in a log, so no person is shown here."""
    print_manifest(result.delivery)
    counts = result.counts
    say(f"Scored: {counts.scored:,}. Flagged: {counts.flagged:,}, of them new: {counts.flagged_new:,}.")
    for note in (*counts.warnings, *(f"Bucket {bucket} has no persons." for bucket in result.empty)):
        say(f"Note: {note}")
    for failed in result.failed:
        say(f"Bucket {failed.bucket} is left out. {failed.reason}")
    _print_files(result.folder)


def _print_files(folder: Path) -> None:
    for file in sorted(folder.iterdir()):
        if not file.name.startswith("."):
            say(f"{file}")
