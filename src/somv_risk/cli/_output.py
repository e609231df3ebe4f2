"""Output: how much a command says and in what form, by three options that every command has."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date
from functools import wraps
from importlib.metadata import version
from inspect import Parameter, signature
from typing import Annotated, Any, Final

import polars as pl
import typer

Command = Callable[..., None]


@dataclass(slots=True)
class Output:
    """What was asked for, and what the command that is running has given so far."""

    command: str = ""
    is_quiet: bool = False
    is_verbose: bool = False
    is_json: bool = False
    result: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


_CURRENT: Final[ContextVar[Output]] = ContextVar("output", default=Output())  # noqa: B039 - stays as it is

_OPTIONS: Final[Mapping[str, object]] = {
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")],
    "verbose": Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Print more: progress in a log too, where in the code an error arose, and of ingest the "
            "summary even if nothing has changed.",
        ),
    ],
    "as_json": Annotated[
        bool,
        typer.Option("--json", help="Print the result as one JSON object; all else goes to standard error."),
    ],
}


def get_output() -> Output:
    """Return what was asked for."""
    return _CURRENT.get()


@contextmanager
def open_output() -> Iterator[None]:
    """Keep what is asked for to one run of the command line."""
    token = _CURRENT.set(Output())
    try:
        yield
    finally:
        _CURRENT.reset(token)


def add_output_options(command: Command) -> Command:
    """Add the three options to a command, and print its result as JSON where that is asked for."""

    @wraps(command)
    def run(*, quiet: bool, verbose: bool, as_json: bool, **given: object) -> None:
        if quiet and verbose:
            raise typer.BadParameter("Give --quiet or --verbose.")
        _CURRENT.set(Output(command.__name__, quiet, verbose, as_json))
        try:
            command(**given)
        except typer.Exit as end:
            print_result(end.exit_code)
            raise
        print_result(0)

    own = signature(command)
    added = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in _OPTIONS.items()
    ]
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), *added])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, **_OPTIONS}
    return run


def give(**facts: object) -> None:
    """Give facts of the result, for whoever asked for JSON; of equal names the later one stands."""
    if get_output().is_json:
        get_output().result.update(facts)


def print_result(exit_code: int, error: Exception | None = None) -> None:
    """Print the JSON object of a command that has ended, where it is asked for."""
    output = get_output()
    if not output.is_json:
        return
    told = {
        "command": output.command,
        "version": version("somv-risk"),
        "exit_code": exit_code,
        "error": None if error is None else {"type": type(error).__name__, "message": str(error)},
        "warnings": output.warnings,
        "result": output.result,
    }
    sys.stdout.write(json.dumps(to_plain(told), allow_nan=False) + "\n")
    sys.stdout.flush()


def to_plain(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Turn a value into what JSON holds: a frame into a list of rows, a number that is none into null."""
    if isinstance(value, pl.DataFrame):
        return to_plain(value.to_dicts())
    if is_dataclass(value):
        return {part.name: to_plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): to_plain(each) for name, each in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [to_plain(each) for each in value]
    return _to_scalar(value)


def _to_scalar(value: Any) -> str | float | bool | None:  # noqa: ANN401 - whatever has no parts
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | int | float | None):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)
