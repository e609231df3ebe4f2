"""Looking around: what the features count, and a whole chain to look at."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from somv_risk.cli._console import say, show_progress
from somv_risk.cli._options import Language, LanguageOption, PersonsOption, SeedOption
from somv_risk.cli._output import give
from somv_risk.cli._printing import print_counts, print_features, print_files, print_first, print_metrics


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
    from somv_risk.features import load_definitions
    from somv_risk.report.feature_page import render_feature_page, write_feature_page
    from somv_risk.training.config import read_definitions

    definitions = read_definitions(own) if own else ()
    if out is None:
        print_features([*load_definitions(), *definitions], language)
        return
    options = f" --own {quote(str(own))}" if own else ""
    command = f"somv-risk features{options} --out {quote(str(out))}"
    write_feature_page(out, render_feature_page(load_definitions(), definitions, command=command))
    give(page=out)
    say(f"Page: {out}")


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("demo"),
    persons: PersonsOption = 100_000,
    seed: SeedOption = 7,
    language: LanguageOption = Language.da,
) -> None:
    """Simulate a region, train, score everyone, and write a worklist to look at."""
    from somv_risk.cli._demo_region import run_demo

    with show_progress() as progress:
        made = run_demo(out, persons=persons, seed=seed, language=language, progress=progress)
    print_metrics(made.model.facts["metrics"])
    print_first(made.scores)
    print_counts(made.scores)
    print_files(made.folder)
