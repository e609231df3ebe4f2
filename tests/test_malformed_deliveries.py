"""A malformed delivery ends in one sentence, or each of its rows is counted; nobody's values are in any word.

A share of the seeds is tried at each change, all at night (HYPOTHESIS_PROFILE=nightly).
"""

import json
import os
import traceback
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

import somv_risk as sr
from malformed import CANARY, END, Delivery, draw_delivery, make_frames, write_folder
from malformed_omop import draw_omop
from somv_risk.cli import app
from somv_risk.errors import SomvRiskError
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

IS_NIGHT = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
BLOCK = 50
BLOCKS = range(40 if IS_NIGHT else 4)  # of deliveries read in Python
INGESTED = range(12 if IS_NIGHT else 1)  # of deliveries that the command line makes a store of
OMOP = range(8 if IS_NIGHT else 1)
OMOP_TABLES = {
    "person": (s.PERSONS,),
    "visit_occurrence": (s.ADMISSIONS, s.PSYCHIATRIC_CONTACTS, s.PRIMARY_CARE),
}


def read(delivery: Delivery, folder: Path):
    """Read a delivery, and count its rows independently: the histories or the error, and the counts."""
    if delivery.form in {"polars", "pandas", "arrow"}:
        counts = {table: len(rows) for table, rows in delivery.tables.items()}
        return attempt(lambda: sr.from_frames(**make_frames(delivery), data_end=END)), counts
    counts = write_folder(delivery, folder)
    return attempt(lambda: sr.read_histories(folder, data_end=END)), counts


def attempt(act):
    """What came of it (histories, or one of the library's errors), and all that was said."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            made = act()
            said = f"{made.quarantine} {made.quarantine.summary()} {made!r}"
        except SomvRiskError as error:
            made, said = error, "".join(traceback.format_exception(error))
    return made, said + " ".join(str(warning.message) for warning in warned)


def count_all(histories: Histories, table: str) -> int:
    kept = histories.table(table).collect().height
    return kept + histories.quarantine.count_set_aside(table)


def assert_counted(delivery: Delivery, outcome, counts) -> None:
    made, said = outcome
    assert CANARY not in said.lower(), delivery.damage
    assert "0101901234" not in said
    if isinstance(made, Histories):
        found = {table: count_all(made, table) for table in counts}
        sure = {table: count for table, count in counts.items() if count is not None}
        assert {table: found[table] for table in sure} == sure, delivery.damage
        assert set(made.tables) == set(counts), delivery.damage
        assert_declared(made.quarantine.rows)


def assert_declared(quarantine) -> None:
    """Nothing that no table declares is kept of rows set aside."""
    for table, rows in quarantine.items():
        assert set(rows.columns) <= {s.ROW, s.RULE, *s.get_columns(table)}


@pytest.mark.parametrize("block", BLOCKS)
def test_each_row_of_a_malformed_delivery_is_counted_or_it_is_refused_in_a_sentence(block, tmp_path):
    for number in range(BLOCK):
        seed = block * BLOCK + number
        folder = tmp_path / str(seed)
        folder.mkdir()
        delivery = draw_delivery(seed)
        assert_counted(delivery, *read(delivery, folder))


@pytest.mark.parametrize("block", INGESTED)
def test_a_store_of_a_malformed_delivery_counts_each_row_or_is_not_made(block, tmp_path):
    for number in range(BLOCK):
        seed = 10_000 + block * BLOCK + number
        folder, store = tmp_path / f"{seed}" / "delivery", tmp_path / f"{seed}" / "store"
        folder.mkdir(parents=True)
        delivery = draw_delivery(seed)
        if delivery.form in {"polars", "pandas", "arrow"}:
            delivery.form = "csv"
        counts = write_folder(delivery, folder)
        done = ingest(folder, store)
        assert done.exception is None or isinstance(done.exception, SomvRiskError | SystemExit), (
            delivery.damage
        )
        said = f"{done.output} {done.exception}".lower()
        assert CANARY not in said.replace(str(folder).lower(), ""), delivery.damage
        assert store.exists() == (done.exit_code == 0), delivery.damage
        if store.exists():
            assert_store_counts(delivery, store, counts)


def ingest(folder: Path, store: Path):
    options = ("--data-end", END.isoformat(), "--buckets", "2", "--max-set-aside", "1")
    return CliRunner().invoke(app, ["ingest", "--input", str(folder), "--store", str(store), *options])


def assert_store_counts(delivery: Delivery, store: Path, counts) -> None:
    manifest = (store / "manifest.json").read_text(encoding="utf-8")
    assert CANARY not in manifest.lower(), delivery.damage
    histories = sr.read_histories(store)
    sure = {table: count for table, count in counts.items() if count is not None}
    assert {table: count_all(histories, table) for table in sure} == sure, delivery.damage
    rows = {table: histories.table(table).collect().height for table in histories.tables}
    assert json.loads(manifest)["rows"] == rows, delivery.damage
    assert_declared(histories.quarantine.rows)


@pytest.mark.parametrize("block", OMOP)
def test_each_visit_of_a_malformed_omop_delivery_is_counted_or_it_is_refused_in_a_sentence(block, tmp_path):
    for number in range(BLOCK):
        seed = block * BLOCK + number
        folder = tmp_path / str(seed)
        folder.mkdir()
        damage, counts = draw_omop(seed, folder)
        made, said = attempt(lambda folder=folder: sr.from_omop(folder, data_end=END))
        assert CANARY not in said.lower(), damage
        if isinstance(made, Histories):
            assert CANARY not in str(made.dropped.to_dicts()).lower(), damage
            for source, tables in OMOP_TABLES.items():
                found = sum(count_all(made, table) for table in tables) + count_left(made, source)
                assert counts[source] in (None, found), (source, damage)


def count_left(histories: Histories, source: str) -> int:
    return sum(row["rows"] for row in histories.dropped.to_dicts() if row["source_table"] == source)
