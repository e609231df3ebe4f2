"""Options: those that several commands share, and the closed sets of what may be given."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


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
    definitions = "definitions"


StoreOption = Annotated[Path, typer.Option("--store", "-s", help="A store, or a folder of canonical tables.")]
EncodingOption = Annotated[
    str | None,
    typer.Option("--encoding", help="How CSV files are written, such as cp1252 (Windows, Excel) or utf-16."),
]
ModelOption = Annotated[
    Path, typer.Option("--model", "-m", help="Folder of a trained model, or models:/somv-risk@champion.")
]
AllowOption = Annotated[
    list[Allowed] | None, typer.Option("--allow", help="Go on in spite of this; may be given again.")
]
IndexOption = Annotated[
    str, typer.Option("--index-time", "-t", help="The moment seen from, like 2026-01-01.")
]
LanguageOption = Annotated[Language, typer.Option("--language", "-l", help="Language of the reasons.")]
PageLanguageOption = Annotated[PageLanguage, typer.Option("--language", "-l", help="Language of the page.")]
PersonsOption = Annotated[int, typer.Option("--persons", "-n", help="How many persons.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Same seed, same region.")]
BucketsOption = Annotated[int, typer.Option(help="Number of buckets.", min=1)]
DataEndOption = Annotated[str | None, typer.Option("--data-end", help="Moment at which the delivery ends.")]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--pseudonymise-key-file",
        help="File with a secret of at least 16 bytes; ids are replaced by keyed hashes.",
    ),
]
GroupReadableOption = Annotated[
    bool,
    typer.Option("--group-readable", help="Let the group read what is written; others never may."),
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


def list_allowed(allow: list[Allowed] | None) -> list[Literal["absent-tables", "index-time", "definitions"]]:
    """List what is allowed, in the words of the library."""
    return [each.value for each in allow or ()]
