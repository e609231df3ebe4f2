"""The registry: a challenger becomes the champion, and the way back."""

from pathlib import Path
from typing import Annotated

import typer

from somv_risk.cli._console import say
from somv_risk.cli._exit_codes import EXIT_NOT_PROMOTED
from somv_risk.cli._options import DrawsOption, StoreOption, TrackingOption
from somv_risk.cli._output import give
from somv_risk.cli._printing import print_decision
from somv_risk.sources import read_histories


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
    from somv_risk.tracking import promote as promote_model

    decision = promote_model(
        read_histories(store),
        challenger=challenger,
        gates=gates,
        index_time=index_time,
        draws=draws,
        override=override,
        uri=tracking_uri,
    )
    print_decision(decision)
    if not decision.is_promoted:
        raise typer.Exit(EXIT_NOT_PROMOTED)


def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    tracking_uri: TrackingOption = None,
) -> None:
    """Make the champion before the present one the champion again."""
    from somv_risk.tracking import roll_back

    gone, back = roll_back(reason, uri=tracking_uri)
    give(champion=back, champion_before=gone)
    say(f"Version {back} is the champion again, in place of version {gone}.")
