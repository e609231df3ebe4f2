"""The app: all commands in the order of the help, and how an error and a warning are told."""

import os
import sys
import warnings
from contextlib import suppress
from importlib.metadata import version
from traceback import format_tb
from typing import Annotated, Final

import typer

from somv_risk.cli._console import escape, prepare_output, print_to_stderr, say
from somv_risk.cli._deliveries import check, ingest
from somv_risk.cli._exit_codes import EXIT_CODES_HELP, find_exit_code
from somv_risk.cli._looking import demo, features
from somv_risk.cli._messages import messages
from somv_risk.cli._models import models
from somv_risk.cli._output import add_output_options, get_output, open_output, print_result
from somv_risk.cli._registry import promote, rollback
from somv_risk.cli._scoring import explain, monitor, score
from somv_risk.cli._signals import end_on_signals
from somv_risk.cli._simulation import simulate
from somv_risk.cli._training import evaluate, train, tune
from somv_risk.errors import SomvRiskError, SourceError

COMMANDS: Final = (
    *(simulate, ingest, check),
    *(train, evaluate, promote, rollback, tune),
    *(monitor, score, explain),
    *(features, models, messages, demo),
)

app = typer.Typer(
    name="somv-risk",
    help="Find the citizens whom the health system keeps losing, and say in plain words why.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _say_version(asked: bool) -> None:  # noqa: FBT001 - typer's form
    if asked:
        say(f"somv-risk {version('somv-risk')}")
        raise typer.Exit


@app.callback()
def _start(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is."),
    ] = False,
) -> None:
    pass


for _command in COMMANDS:
    app.command()(add_output_options(_command))


def main() -> None:
    """Run the command line; a known error is one sentence and its own exit code, a warning is a note."""
    prepare_output()
    warnings.showwarning = _note
    with end_on_signals(), open_output():
        _run()


def _run() -> None:
    try:
        _run_whole()
    except SomvRiskError as error:
        _print_error(error)
        sys.exit(find_exit_code(type(error)))


def _print_error(error: SomvRiskError) -> None:
    """Print an error; if asked for, where it arose as well, without the errors before it, which may quote."""
    if get_output().is_verbose:
        print_to_stderr(escape("".join(format_tb(error.__traceback__)).rstrip()))
    print_to_stderr(f"[bold red]Error:[/] {escape(str(error))}")
    with suppress(OSError):
        print_result(find_exit_code(type(error)), error)


def _run_whole() -> None:
    """Run the app, to the moment at which what it prints has been taken.

    Raises
    ------
    SourceError
        If the system refuses it.
    """
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except SomvRiskError:
        raise
    except MemoryError:
        raise SourceError(
            "The command needs more memory than there is. Free some, or work from a store with more buckets."
        ) from None
    except OSError as error:
        # What waits to be printed would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SourceError(
            f"The result cannot be written ({error.strerror}). Make room, or choose another place for it."
        ) from None


def _note(message: Warning | str, *_: object, **__: object) -> None:
    get_output().warnings.append(str(message))
    print_to_stderr(f"Note: {escape(str(message))}")
