"""PostgreSQL session: one connection that sees one moment, and tells no secret when it fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import polars as pl

from somv_risk.calls.extras import check_installed
from somv_risk.calls.shown import is_text, show_type
from somv_risk.errors import ConfigError, SourceError
from somv_risk.files.parquet import DAMAGE

BYTES_PER_BATCH: Final = 8 * 2**20
_BATCH_SIZE: Final = "adbc.postgresql.batch_size_hint_bytes"
# One moment for all tables, however long they take to read.
_ONE_MOMENT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PASSWORD: Final = re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)


class Session:
    """A connection that sees the database as it was when it asked first, until all tables are read."""

    def __init__(self, uri: str) -> None:
        self._connection: Any = None
        if not isinstance(uri, str) or not is_text(uri):
            raise ConfigError(f"uri is {show_type(uri)}. Give a connection such as postgresql://host/region.")
        check_installed("adbc_driver_postgresql", "PostgreSQL")
        from adbc_driver_postgresql import dbapi  # noqa: PLC0415 - an extra

        self.waiting: set[str] = set()
        self._uri = uri
        with _hide_what_is_said(uri):
            self._connection = dbapi.connect(uri)
            with self._connection.cursor() as cursor:
                cursor.execute(_ONE_MOMENT)

    def ask(self, query: str) -> Iterator[pl.DataFrame]:
        """Answer in batches, the first of which has no rows."""
        with _hide_what_is_said(self._uri), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{_BATCH_SIZE: str(BYTES_PER_BATCH)})
            cursor.execute(query)
            reader = cursor.fetch_record_batch()
            yield pl.DataFrame(reader.schema.empty_table())
            for batch in reader:
                yield pl.DataFrame(batch)

    def count(self, query: str) -> int:
        """Count the rows that a query has at the moment which the connection sees."""
        counted = pl.concat(self.ask(f"SELECT count(*) AS rows FROM ({query}) AS asked"))  # noqa: S608
        return int(counted["rows"].item())

    def leave(self, table: str) -> None:
        """Say that a table was read; the last one closes the connection."""
        self.waiting.discard(table)
        if not self.waiting:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def __del__(self) -> None:
        # Whoever gives up between two tables leaves the connection to nobody.
        self.close()


@contextmanager
def _hide_what_is_said(uri: str) -> Iterator[None]:
    """Make one sentence without secrets or values of whatever the database says."""
    from adbc_driver_manager import Error  # noqa: PLC0415 - an extra
    from pyarrow.lib import ArrowException  # noqa: PLC0415 - slow to import

    try:
        yield
    except SourceError:
        raise
    except (Error, ArrowException, OSError, *DAMAGE) as error:
        raise SourceError(
            f"The database {hide_secrets(uri)} cannot be read ({_shorten(error, uri)}). "
            "Check the connection and the rights."
        ) from None


def hide_secrets(uri: str) -> str:
    """Leave of a connection what may be shown: neither a password nor, where there is doubt, anything.

    Examples
    --------
    >>> hide_secrets("postgresql://ada:secret@host/region"), hide_secrets("host=h password='a b' dbname=d")
    ('postgresql://host/region', 'host=h password=*** dbname=d')
    """
    if "://" not in uri:
        return _PASSWORD.sub("password=***", uri)
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "given"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _shorten(error: BaseException, uri: str) -> str:
    """Say what a database says, unless it quotes the connection or may quote a value."""
    state = getattr(error, "sqlstate", None)
    if state:
        return f"SQLSTATE {state}"
    if not hasattr(error, "sqlstate"):
        return "it failed while it was read"  # Arrow's errors quote values
    line = str(error).partition("\n")[0].strip()
    password = _find_password(uri)
    is_safe = "://" not in line and not (password and password in line)
    return line if is_safe else type(error).__name__


def _find_password(uri: str) -> str:
    found = _PASSWORD.search(uri)
    if found:
        return unquote(found[1].strip("'"))
    try:
        return unquote(urlsplit(uri).password or "") if "://" in uri else ""
    except ValueError:
        return ""
