"""Simulation: a region is made up, written down, and held against published figures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import polars as pl
import typer

from somv_risk.calls.extras import check_installed
from somv_risk.cli._console import print_frame, print_histories, say, show_progress
from somv_risk.cli._options import BucketsOption, PersonsOption, SeedOption
from somv_risk.cli._output import give
from somv_risk.errors import ConfigError
from somv_risk.sources import read_histories
from somv_risk.store import DEFAULT_BUCKETS, check_is_new

if TYPE_CHECKING:
    from somv_risk.simulate.page import RunFacts
    from somv_risk.simulate.plan import Plan
    from somv_risk.simulate.targets import Target

REPORT: Final = Path("simulation-check")


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
    buckets: BucketsOption = DEFAULT_BUCKETS,
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
    from somv_risk.simulate.period import Period
    from somv_risk.simulate.plan import Plan

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
        give(store=store)
        say(f"Store: {folder}" if store else "The store is not kept.")
        if check:
            from somv_risk.simulate.page import RunFacts

            _check_region(RunFacts(plan, difficulty=difficulty, targets=targets), folder, published, report)


def _parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not a day. Write it like 2026-01-31, without a time.") from None


def _write_dirty(plan: "Plan", folder: Path) -> None:
    from somv_risk.simulate.defects import plant_defects, write_delivery
    from somv_risk.simulate.tables import build_tables

    delivery = plant_defects(build_tables(plan), plan.seed)
    write_delivery(delivery, folder)
    planted = delivery.planted.group_by("defect", "outcome").len("rows").sort("defect")
    give(delivery=folder, planted=planted)
    print_frame("Planted", planted)
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
    from somv_risk.simulate.region import write_region

    with show_progress() as progress:
        write_region(plan, folder, buckets=buckets, progress=progress)
    print_histories(read_histories(folder))


def _prepare_check(file: Path | None, report: Path) -> "Sequence[Target]":
    """Read the targets and make the folder of the report, so that neither fails after a long simulation."""
    from somv_risk.simulate.page import make_report_folder
    from somv_risk.simulate.targets import find_targets, read_targets

    check_installed("matplotlib", "the pictures of the page")
    targets = read_targets(file or find_targets())
    make_report_folder(report)
    return targets


def _check_region(facts: "RunFacts", folder: Path, targets: "Sequence[Target]", report: Path) -> None:
    from somv_risk.simulate.check import check_store
    from somv_risk.simulate.difficulty import measure_difficulty
    from somv_risk.simulate.page import write_report
    from somv_risk.simulate.targets import VERDICTS

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
    give(page=page, verdicts={verdict: found.count(verdict) for verdict in VERDICTS})
    say(", ".join(f"{found.count(verdict)} {verdict}" for verdict in VERDICTS) + ".")
    say(f"Page: {page}")
