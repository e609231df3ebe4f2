"""TOML: the one reader of TOML files, those that come with the library and those that are given."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from somv_risk.errors import ConfigError, SomvRiskError, SourceError

LARGEST: Final = 10_000_000  # bytes; a device may have no end
Entries = TypeVar("Entries", bound=BaseModel)


def load_packaged(package: str, name: str) -> dict[str, Any]:
    """Load a TOML file of a package of the library.

    Examples
    --------
    >>> sorted(load_packaged("somv_risk.metrics", "gaps.toml"))[:2]
    ['da', 'en']
    """
    return tomllib.loads(resources.files(package).joinpath(name).read_text(encoding="utf-8"))


def read_toml(what: str, file: Path) -> dict[str, Any]:
    """Read a TOML file that is given; errors call it by what it is.

    Raises
    ------
    SourceError
        If it is missing, unreadable or longer than 10 million bytes.
    ConfigError
        If it is not TOML.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError):
        raise SourceError(f"{what} {file} cannot be read. Give the path of a TOML file.") from None
    if len(content) > LARGEST:
        raise SourceError(f"{what} {file} is longer than {LARGEST:,} bytes. Give the path of a TOML file.")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{what} {file} is not TOML ({error}). Correct the line; a pattern stands in single quotes."
        ) from None


def parse_entries(
    what: str, kind: type[Entries], data: Mapping[str, Any], context: Mapping[str, Any] | None = None
) -> Entries:
    """Parse what a TOML file says; errors call it by what it is, and name the first entry that is wrong.

    Raises
    ------
    ConfigError
        If an entry is unknown, or its value breaks a rule.
    """
    try:
        return kind.model_validate(data, context=context)
    except ValidationError as error:
        first = error.errors()[0]
        ours = first.get("ctx", {}).get("error")
        if isinstance(ours, SomvRiskError):
            raise ours from None
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{what} {place}: {first['msg']}. Correct that entry.") from None
