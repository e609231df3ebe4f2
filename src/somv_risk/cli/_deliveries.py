"""Deliveries: read, checked row by row, and put into a store."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, TypedDict

import polars as pl
import typer

from somv_risk import sources
from somv_risk.calls.moments import parse_moment
from somv_risk.calls.notices import one_call
from somv_risk.cli._console import print_frame, print_histories, say
from somv_risk.cli._exit_codes import EXIT_ROWS_SET_ASIDE
from somv_risk.cli._options import (
    BucketsOption,
    DataEndOption,
    EncodingOption,
    GroupReadableOption,
    KeyOption,
    Origin,
)
from somv_risk.cli._output import get_output, give
from somv_risk.errors import SourceError
from somv_risk.registers.soundness import USUAL_LIMIT, Limit
from somv_risk.registers.span import Span
from somv_risk.store import (
    DEFAULT_BUCKETS,
    Delivery,
    Review,
    append,
    check_is_new,
    is_store,
    read_manifest,
    scan_store,
    verify_store,
)
from somv_risk.store import check_only as check_delivery
from somv_risk.store import ingest as ingest_delivery


class Terms(TypedDict):
    """On what terms a delivery is read, whatever its form."""

    data_end: datetime | None
    pseudonymise_key: bytes | None


def ingest(
    origin: Annotated[
        str,
        typer.Option("--input", "-i", help="Folder with the delivery, or the database as postgresql://..."),
    ],
    store: Annotated[
        Path, typer.Option("--store", "-s", help="New folder for the store; with --append, the store.")
    ],
    source: Annotated[Origin, typer.Option("--source", help="Form of the delivery.")] = Origin.canonical,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Mapping of the source (TOML); of omop or postgres.")
    ] = None,
    data_end: DataEndOption = None,
    key_file: KeyOption = None,
    buckets: BucketsOption = DEFAULT_BUCKETS,
    *,
    encoding: EncodingOption = None,
    as_of: Annotated[
        str | None, typer.Option(help="With --source delta: the tables as they were at this moment.")
    ] = None,
    schema: Annotated[str, typer.Option(help="With --source postgres: schema of the tables.")] = "public",
    delivered_at: Annotated[
        str | None, typer.Option(help="With --append: the moment at which the delivery was made.")
    ] = None,
    later: Annotated[
        bool, typer.Option("--append", help="Put a later delivery into a store; needs --delivered-at.")
    ] = False,
    max_set_aside: Annotated[
        float | None,
        typer.Option(
            help="Share of a table's rows that may be set aside (exit code 12 if more are); by default 0.05, "
            "of tables of at least 100 rows."
        ),
    ] = None,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Say all that would be said, and write nothing.")
    ] = False,
    group_readable: GroupReadableOption = False,
) -> None:
    """Read a delivery, check every row, and write it as a store or put it into one."""
    if later != (delivered_at is not None):
        raise typer.BadParameter("Give --append and --delivered-at together.")
    if as_of is not None and source is not Origin.delta:
        raise typer.BadParameter("Give --as-of with --source delta only.")
    if encoding is not None and source not in (Origin.canonical, Origin.omop):
        raise typer.BadParameter("Give --encoding with --source canonical or omop only.")
    if later and group_readable:
        raise typer.BadParameter("A store stays as it was made. Give --group-readable without --append.")
    if not later:
        check_is_new(store, "store")
    limit = USUAL_LIMIT if max_set_aside is None else Limit(max_set_aside)
    moment = None if delivered_at is None else parse_moment(delivered_at)
    with one_call():
        delivery = _scan(source, origin, config, schema, as_of, encoding, _read_terms(data_end, key_file))
        if check_only:
            place = store if later else None
            review = check_delivery(delivery, place, buckets=buckets, delivered_at=moment, limit=limit)
            _print_review(review, delivery.data_end)
            return
        is_changed = _put(delivery, store, buckets, moment, limit, group_readable=group_readable)
    if is_changed or get_output().is_verbose:
        histories = scan_store(store)
        print_histories(histories)
        _say_end(histories.data_end, histories.span)
    give(store=store, is_changed=is_changed)
    say(f"Store: {store}")


def _put(
    delivery: Delivery,
    store: Path,
    buckets: int,
    moment: datetime | None,
    limit: Limit,
    *,
    group_readable: bool,
) -> bool:
    """Put a delivery into a store, new if there is no moment, and say whether that changed anything."""
    if moment is None:
        ingest_delivery(delivery, store, buckets=buckets, limit=limit, group_readable=group_readable)
        return True
    before = read_manifest(store)
    changes = append(delivery, store, delivered_at=moment, limit=limit)
    give(changes=changes)
    print_frame("Changes", changes) if changes.height else say("The delivery changes nothing.")
    return read_manifest(store) != before


def _print_review(review: Review, data_end: datetime | None) -> None:
    """Print what a delivery that was only checked came to."""
    give(tables=review.rows, rows_set_aside=sum(row["set_aside"] for row in review.rows))
    give(set_aside=review.set_aside)
    print_frame("Checked only: nothing was written", pl.DataFrame(review.rows))
    say(f"Rows set aside: {sum(row['set_aside'] for row in review.rows):,}")
    if review.set_aside.height:
        print_frame("Set aside", review.set_aside)
    _say_end(data_end, review.span)


def _say_end(data_end: datetime | None, span: Span | None) -> None:
    """Say which end of the data was inferred, where none was given."""
    if data_end is None and span is not None and span.end is not None:
        say(
            f"The data end was not given; inferred: the last hospital contact, {span.end}. Give --data-end "
            "if the data go on after it."
        )


def check(
    store: Annotated[Path, typer.Argument(help="A store, or a folder of canonical tables.")],
    data_end: DataEndOption = None,
    key_file: KeyOption = None,
    encoding: EncodingOption = None,
) -> None:
    """Check a delivery or a store and tell what was set aside (exit code 10) or is damaged (3)."""
    if is_store(store):
        _verify(store)
    histories = sources.read_histories(store, encoding=encoding, **_read_terms(data_end, key_file))
    print_histories(histories)
    if histories.quarantine.count():
        raise typer.Exit(EXIT_ROWS_SET_ASIDE)


def _read_terms(data_end: str | None, key_file: Path | None) -> Terms:
    return {
        "data_end": None if data_end is None else parse_moment(data_end),
        "pseudonymise_key": None if key_file is None else sources.read_key(key_file),
    }


def _scan(
    source: Origin,
    origin: str,
    config: Path | None,
    schema: str,
    as_of: str | None,
    encoding: str | None,
    terms: Terms,
) -> Delivery:
    match source:
        case Origin.canonical:
            return sources.scan_folder(origin, encoding=encoding, **terms)
        case Origin.omop:
            return sources.deliver_omop(origin, config, encoding=encoding, **terms)
        case Origin.delta:
            version = None if as_of is None else parse_moment(as_of)
            return sources.scan_delta(origin, version=version, **terms)
        case Origin.postgres:
            return sources.scan_postgres(origin, schema=schema, config=config, **terms)


def _verify(store: Path) -> None:
    found = verify_store(store)
    if found.is_empty():
        return
    give(damaged=found)
    print_frame("Damaged", found)
    names = ", ".join(found["finding"].unique(maintain_order=True))
    raise SourceError(
        f"Store {store} is damaged in {found['file'].n_unique()} files ({names}). Ingest again."
    )
