"""PostgreSQL: tables of a database, under whatever names, read in batches through ADBC."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk.calls.arguments import read_path
from somv_risk.calls.notices import one_call
from somv_risk.calls.timezones import TIMEZONE
from somv_risk.errors import ConfigError, SourceError
from somv_risk.files.parquet import check_rows
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.sources.frames import check_delivery, plan_delivery
from somv_risk.sources.keys import Key
from somv_risk.sources.postgres_session import Session
from somv_risk.store import Batches, Delivery

_FLOATS: Final = ("real", "double precision")
_MOMENTS: Final = ("date", "timestamp without time zone", "timestamp with time zone")
_COLUMNS: Final = (
    "SELECT column_name::text AS name, data_type::text AS type FROM information_schema.columns "
    "WHERE table_schema = {schema} AND table_name = {table}"
)


@dataclass(frozen=True, slots=True)
class TableName:
    """What a database calls a table and those of its columns that have another name there."""

    name: str
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class _Connection:
    uri: str
    schema: str
    names: Mapping[str, TableName]


def read_names(config: str | Path | None) -> Mapping[str, TableName]:
    """Read what a database calls the tables and columns: `[tables.admissions]`, `name`, `columns`.

    Raises
    ------
    SourceError
        If the file cannot be read.
    ConfigError
        If it is not TOML, or names a table or column that the schema does not have.
    """
    if config is None:
        return {}
    try:
        told = tomllib.loads(read_path("config", config).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise SourceError(
            f"Mapping {config} cannot be read. Give the path of a TOML file in UTF-8."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"Mapping {config} is not TOML ({error}). Correct the file.") from None
    tables = told.get("tables", {})
    if set(told) - {"tables"} or not isinstance(tables, dict):
        raise ConfigError(
            f"Mapping {config} has {sorted(told)}. It takes [tables.admissions] and the like only."
        )
    return {table: _read_name(table, own) for table, own in tables.items()}


@one_call()
def from_postgres(
    uri: str,
    *,
    schema: str = "public",
    config: str | Path | None = None,
    data_end: datetime | None = None,
    pseudonymise_key: Key | None = None,
    timezone: str = TIMEZONE,
) -> Histories:
    """Make checked histories of the tables of a PostgreSQL database.

    Parameters
    ----------
    uri
        Connection, as `postgresql://user@host/database`. A password is better kept in the file that
        `PGPASSFILE` names; in no case is it shown.
    schema
        Schema of the database that holds the tables or views.
    config
        TOML file with the names that differ: `[tables.admissions]` with `name` and `columns`.
    data_end, pseudonymise_key, timezone
        As in `from_frames`.

    Raises
    ------
    SourceError
        If the database cannot be reached, holds none of the tables, or fails while it is read.
    ConfigError
        If the mapping breaks a rule, or the extra `postgres` is not installed.
    InputError, IdentityError
        As in `from_frames`.
    """
    batches = _batch_all(_Connection(uri, schema, read_names(config)))
    tables = {table: pl.concat(own.read()).lazy() for table, own in batches.items()}
    return check_delivery(tables, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone)


def scan_postgres(
    uri: str,
    *,
    schema: str = "public",
    config: str | Path | None = None,
    data_end: datetime | None = None,
    pseudonymise_key: Key | None = None,
    timezone: str = TIMEZONE,
) -> Delivery:
    """Scan a database as `from_postgres` reads it, for `ingest`: a few megabytes are in memory at a time."""
    batches = _batch_all(_Connection(uri, schema, read_names(config)))
    return plan_delivery(batches, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone)


def _read_name(table: str, told: object) -> TableName:
    if table not in s.TABLES:
        raise ConfigError(f"The mapping names table {table!r}. Known tables are {list(s.TABLES)}.")
    known, columns = {"name", "columns"}, told.get("columns", {}) if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(columns, dict) or set(told) - known:
        raise ConfigError(f"The mapping of table {table} takes {sorted(known)} only. Correct the file.")
    unknown = sorted(set(columns) - set(s.get_columns(table)))
    if unknown:
        raise ConfigError(f"The mapping of table {table} names columns {unknown}, which it does not have.")
    names = [told.get("name", table), *columns.values()]
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"The mapping of table {table} has a name that is no text. Correct the file.")
    return TableName(told.get("name", table), MappingProxyType(columns))


def _batch_all(connection: _Connection) -> dict[str, Batches]:
    session = Session(connection.uri)
    try:
        queries = {table: _build_query(session, connection, table) for table in s.TABLES}
        found = {table: query for table, query in queries.items() if query}
        _check_found(found, connection.schema)
        session.waiting = set(found)
        return {table: _batch(session, table, query) for table, query in found.items()}
    except BaseException:
        session.close()
        raise


def _check_found(found: Mapping[str, str], schema: str) -> None:
    if not found:
        raise SourceError(
            f"Schema {schema} of the database holds none of the tables {list(s.TABLES)}. "
            "Name the schema, or map the names."
        )


def _build_query(session: Session, connection: _Connection, table: str) -> str:
    """Build the query of a table; empty if the database does not have it."""
    own = connection.names.get(table, TableName(table))
    asked = _COLUMNS.format(schema=_quote_text(connection.schema), table=_quote_text(own.name))
    types = dict(pl.concat(session.ask(asked)).iter_rows())
    if not types and table in connection.names:
        raise SourceError(
            f"Schema {connection.schema} of the database has no table {own.name}, which the mapping names. "
            "Correct the mapping, or grant reading."
        )
    columns = {name: own.columns.get(name, name) for name in s.get_columns(table)}
    missing = sorted(set(own.columns.values()) - set(types)) if types else []
    if missing:
        raise SourceError(f"Table {own.name} of the database has no column {missing}. Correct the mapping.")
    chosen = [
        f"{_convert(_quote(source), types[source], s.get_columns(table)[name])} AS {_quote(name)}"
        for name, source in columns.items()
        if source in types
    ]
    place = f"{_quote(connection.schema)}.{_quote(own.name)}"
    return f"SELECT {', '.join(chosen)} FROM {place}" if types else ""  # noqa: S608 - names are quoted


def _convert(column: str, given: str, target: pl.DataType) -> str:
    """What a column's values are taken as; a float stays one, so that it is refused as an id."""
    if given in _MOMENTS:
        # No end is often written as infinity.
        return f"CASE WHEN isfinite({column}) THEN {column} END"
    return f"{column}::text" if given not in _FLOATS and target in (pl.String, pl.Enum) else column


def _batch(session: Session, table: str, query: str) -> Batches:
    columns = next(session.ask(f"{query} LIMIT 0")).schema

    def read() -> Iterator[pl.DataFrame]:
        rows = 0
        try:
            for batch in session.ask(query):
                rows += batch.height
                yield batch
            check_rows(f"Table {table} of the database", rows, session.count(query))
        finally:
            session.leave(table)

    return Batches(columns, read)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _quote_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
