"""Pages: made from a template, and written with their tables as CSV beside them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import jinja2
import polars as pl

from somv_risk.errors import SourceError

NO_TEXTS: Final[Mapping[str, str]] = MappingProxyType({})


@cache
def load_template(name: str) -> jinja2.Template:
    """Load a packaged template."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("somv_risk", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def find_tables(page: Path) -> Path:
    """Find the folder of a page's tables, which lies beside it.

    Examples
    --------
    >>> find_tables(Path("out/evaluation.html")).as_posix()
    'out/evaluation-tables'
    """
    return page.with_name(f"{page.stem}-tables")


def write_page(
    what: str, page: Path, html: str, tables: Mapping[str, pl.DataFrame], texts: Mapping[str, str] = NO_TEXTS
) -> None:
    """Write a page, its tables as CSV in a folder beside it, and texts beside it by the names of their files.

    Raises
    ------
    SourceError
        If something cannot be written; it says what it was.
    """
    folder = find_tables(page)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.write_csv((folder / f"{name}.csv").absolute())
        for name, text in texts.items():
            page.with_name(name).write_text(text, encoding="utf-8")
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        raise SourceError(
            f"{what} cannot be written to {page} ({error.strerror}). Choose another file."
        ) from None
