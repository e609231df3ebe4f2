"""Exchange: what a peer's script is given and gives back. Needs Polars, and nothing of this library."""

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl

from benchmarks.peers.asked import ANY, FLAGS, IN_REACH, LONGEST, NAMES, TABLES, WINDOWS

PERSON, INDEX, START = "person_id", "index_time", "started_at"
MOMENT = pl.Datetime("us")
COLUMNS = {PERSON: pl.String, START: MOMENT, "ended_at": MOMENT, "known_at": MOMENT, "value": pl.String}
MICROSECONDS_PER_DAY = 86_400_000_000
Report = dict[str, Any]
# By table and days of window.
Events = Mapping[tuple[str, int], pl.DataFrame]


def main(
    offers: set[str],
    answer: Callable[[pl.DataFrame, pl.DataFrame, Any], list[Any]],
    build: Callable[[Events, pl.DataFrame], pl.DataFrame],
) -> None:
    """Do what the command line asks for and print the report as its last line."""
    mode, arguments = sys.argv[1], json.loads(sys.argv[2])
    with contextlib.redirect_stdout(sys.stderr):
        if mode == "conform":
            report = answer_cases(offers, answer, **arguments)
        else:
            report = measure_features(build, **arguments)
    print(json.dumps(report))


def answer_cases(
    offers: set[str], answer: Callable[..., list[Any]], cases: str, *, careful: bool = False
) -> Report:
    """Answer the cases that need no more than is offered; an error is an answer."""
    asked = [case for case in json.loads(Path(cases).read_text()) if set(case["needs"]) <= offers]
    answers = {case["name"]: _answer_case(case, answer, careful=careful) for case in asked}
    return {"offers": sorted(offers), "answers": answers}


def _answer_case(case: Mapping[str, Any], answer: Callable[..., list[Any]], *, careful: bool) -> Report:
    events = _read_table(case["events"], COLUMNS)
    cohort = _read_table(case["cohort"], {PERSON: pl.String, INDEX: MOMENT})
    try:
        return {"answers": answer(events, cohort, SimpleNamespace(**case["question"], careful=careful))}
    except Exception as error:  # noqa: BLE001 - however a peer fails, it is asked the next case
        return {"error": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"}


def _read_table(rows: list[Mapping[str, Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    read = [
        {
            name: datetime.fromisoformat(cell) if cell and name.endswith(("_at", "_time")) else cell
            for name, cell in row.items()
        }
        for row in rows
    ]
    return pl.DataFrame(read, schema=dict(schema))


def measure_features(
    build: Callable[[Events, pl.DataFrame], pl.DataFrame],
    store: str,
    index: str,
    out: str,
    persons: int | None = None,
    given: str = IN_REACH,
) -> Report:
    """Build the asked features bucket by bucket, of the first `persons` of each if asked, and write them."""
    moment = datetime.fromisoformat(index)
    begin, cpu_begin = time.perf_counter(), time.process_time()
    parts, rows, preparing = [], 0, 0.0
    for bucket in sorted(Path(store).glob("bucket=*")):
        prepared = time.perf_counter()
        cohort = read_cohort(bucket, moment, persons)
        events = read_events(bucket, cohort, moment, given)
        rows += sum(events[table, LONGEST].height for table in TABLES)
        preparing += time.perf_counter() - prepared
        parts.append(build(events, cohort).select(PERSON, INDEX, *NAMES))
    features = pl.concat(parts)
    cost = {
        "seconds": time.perf_counter() - begin,
        "of_which_preparing": preparing,
        "cpu_seconds": time.process_time() - cpu_begin,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        / (2**20 if sys.platform == "darwin" else 2**10),
    }
    features.write_parquet(out)
    return cost | {"persons": features.height, "features": len(NAMES), "events": rows}


def read_cohort(bucket: Path, index: datetime, persons: int | None) -> pl.DataFrame:
    """Read the persons of a bucket, or its first ones, each with the index moment."""
    chosen = pl.scan_parquet(bucket / "persons.parquet").select(PERSON).sort(PERSON)
    return (
        (chosen if persons is None else chosen.head(persons))
        .select(PERSON, pl.lit(index, MOMENT).alias(INDEX))
        .collect()
    )


def read_events(bucket: Path, cohort: pl.DataFrame, index: datetime, given: str) -> Events:
    """Read what was known of each table before the index, for each of its windows.

    Peers join whatever they are given, so it helps them to be given only what a window reaches.
    """
    is_cut = given == IN_REACH
    reach_days = LONGEST if is_cut else None
    known = {table: read_known_events(bucket, table, cohort, index, reach_days) for table in TABLES}
    return {
        (table, days): known[table].filter(_reaches(index, days)) if is_cut else known[table]
        for table, days in WINDOWS
    }


def _reaches(index: datetime, days: int | None) -> pl.Expr:
    """Tell which events start within so many days of the index, or any time before it."""
    since = datetime.min if days is None else index - timedelta(days=days)
    return pl.col(START).is_between(since, index, closed="left")


def read_known_events(
    bucket: Path, table: str, cohort: pl.DataFrame, index: datetime, reach_days: int | None = None
) -> pl.DataFrame:
    """Read what was known of a table before the index: person, start, and one Boolean per flag.

    Peers know of no `known_at`, so the rows they must not see are taken away for them; what is learnt at
    the end of an event is masked unless that end has come. With that no event lies at the index either,
    which is why the peers' windows, closed at the index, hold what this library's half-open ones do.
    """
    known_at = pl.coalesce("known_at", START)
    is_over = pl.coalesce("ended_at", START) < index
    flags = {
        flag: pl.col(column).cast(pl.String).is_in(values) & (is_over if column == "attendance" else True)
        for flag, (column, values) in FLAGS[table].items()
    }
    return (
        pl.scan_parquet(bucket / f"{table}.parquet")
        .filter(_reaches(index, reach_days), known_at < index)
        .join(cohort.lazy().select(PERSON), on=PERSON, how="semi")
        .select(PERSON, START, pl.lit(value=True).alias(ANY), **flags)
        .collect()
    )


def in_days(microseconds: pl.Expr) -> pl.Expr:
    """Divide column by column: Polars divides by a scalar in another way, and the last bit may differ."""
    return microseconds / (microseconds * 0 + MICROSECONDS_PER_DAY)
