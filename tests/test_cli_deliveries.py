"""The command line's deliveries: a store is made, added to and checked, from wherever the rows come."""

from datetime import datetime
from urllib.parse import quote

import polars as pl
import pytest

import somv_risk as sr
from postgres_server import PASSWORD, find_programs, run_server
from somv_risk.sources import write_delta
from somv_risk.store import hash_store, read_manifest, scan_store
from test_cli import ADMISSIONS, BAD_ROW, PERSONS, assert_one_line, write_delivery

MORE = "bo;a4;2025-06-01T10:00;;somatic;acute\nada;a1;2025-03-01T10:00;2025-03-04T10:00;somatic;acute\n"
HEADER = ADMISSIONS.partition("\n")[0] + "\n"


@pytest.fixture
def store(run, tmp_path):
    told = run(
        *("ingest", "--input", write_delivery(tmp_path / "in"), "--store", tmp_path / "store"),
        *("--data-end", "2025-05-01", "--buckets", 2),
    )
    assert (told.code, told.err) == (0, "")
    return tmp_path / "store"


@pytest.fixture
def more(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "admissions.csv").write_text(HEADER + MORE)
    return tmp_path / "more"


def append(run, store, folder, *options):
    return run(
        *("ingest", "--append", "--input", folder, "--store", store, "--data-end", "2025-07-01"),
        *("--delivered-at", "2025-07-02T06:30", *options),
    )


def test_a_later_delivery_is_put_into_the_store_and_what_changed_is_counted(run, store, more):
    told = append(run, store, more)
    assert (told.code, told.err) == (0, "")
    words = " ".join(told.out.split())
    for change in ("added", "corrected", "replaced"):
        assert f"admissions │ {change} │ 1" in words
    rows = scan_store(store).admissions.collect().sort("contact_id")
    assert rows["contact_id"].to_list() == ["a1", "a2", "a4"]
    assert rows["known_at"][0] == datetime(2025, 7, 2, 6, 30)
    assert run("check", store).code == 0


def test_a_delivery_given_again_changes_nothing_and_says_so(run, store, more):
    append(run, store, more)
    before = hash_store(store), read_manifest(store)
    told = append(run, store, more)
    assert told.code == 0
    assert "The delivery changes nothing." in told.out
    assert (hash_store(store), read_manifest(store)) == before


def test_rows_of_a_later_delivery_that_are_set_aside_are_counted(run, store, more):
    (more / "admissions.csv").write_text(HEADER + MORE + BAD_ROW)
    assert "Rows set aside: 1" in append(run, store, more).out
    assert run("check", store).code == 10


@pytest.mark.parametrize(
    "options",
    [
        ("--append",),
        ("--delivered-at", "2025-07-02"),
        ("--as-of", "2025-07-02"),
    ],
)
def test_options_that_do_not_go_together_are_a_wrong_call(run, store, more, options):
    assert run("ingest", "--input", more, "--store", store, *options).code == 2


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--delivered-at", "2025-06-01"), 6, "cannot hold or follow data until 2025-07-01"),
        (("--delivered-at", "soon"), 6, "not a moment"),
        (("--store", "nowhere"), 3, "is not a store"),
        (("--input", "nowhere"), 3, "no folder nowhere"),
        (("--source", "delta"), 3, "none of the Delta tables"),
        (("--source", "omop"), 4, "person is missing"),
    ],
)
def test_what_goes_wrong_with_a_later_delivery_is_one_line_and_its_exit_code(
    run, store, more, options, code, word
):
    before = hash_store(store)
    told = append(run, store, more, *options)
    assert_one_line(told, code)
    assert word in told.err
    assert hash_store(store) == before


def test_a_damaged_store_is_told_file_by_file(run, store):
    file = store / "bucket=01" / "admissions.parquet"
    pl.read_parquet(file).write_parquet(file)
    (store / "bucket=00" / "persons.parquet").unlink()
    told = run("check", store)
    assert_one_line(told, 3)
    assert "is damaged in 2 files (file_missing, file_altered)" in told.err
    assert "bucket=01/admissions.parquet" in told.out


def test_a_store_made_of_a_store_has_its_rows(run, store, tmp_path):
    told = run("ingest", "--input", store, "--store", tmp_path / "other", "--buckets", 5)
    assert told.code == 0
    for one, other in zip(
        scan_store(store).tables.values(), scan_store(tmp_path / "other").tables.values(), strict=True
    ):
        assert one.collect().sort(pl.all()).equals(other.collect().sort(pl.all()))


def test_a_store_comes_from_delta_tables_as_they_were(run, tmp_path):
    pytest.importorskip("deltalake", reason="install the extra delta")
    write_delta(sr.read_histories(write_delivery(tmp_path / "in")), tmp_path / "lake")
    told = run("ingest", "--source", "delta", "--input", tmp_path / "lake", "--store", tmp_path / "store")
    assert (told.code, told.err) == (0, "")
    assert scan_store(tmp_path / "store").admissions.collect().height == 2
    too_early = ("--source", "delta", "--as-of", "2001-01-01")
    told = run("ingest", *too_early, "--input", tmp_path / "lake", "--store", tmp_path / "new")
    assert_one_line(told, 3)
    assert "had no version yet" in told.err


def test_a_store_comes_from_a_database_and_no_password_is_said(run, tmp_path):
    adbc = pytest.importorskip("adbc_driver_postgresql.dbapi", reason="install the extra postgres")
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server here; install Debian's package postgresql")
    with run_server(programs) as place:
        host = place.partition("host=")[2].partition(" ")[0]
        uri = f"postgresql://ada:{quote(PASSWORD)}@/postgres?host={host}"
        with adbc.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA register")
            cursor.execute("SET search_path TO register")
            for name, text in (("persons", PERSONS), ("admissions", ADMISSIONS)):
                frame = pl.read_csv(text.encode(), separator=";", infer_schema=False)
                cursor.adbc_ingest(name, frame.to_arrow(), mode="create")
        arguments = ("ingest", "--source", "postgres", "--schema", "register", "--store", tmp_path / "store")
        told = run(*arguments, "--input", uri)
        assert (told.code, told.err) == (0, "")
        assert scan_store(tmp_path / "store").admissions.collect().height == 2
        wrong = run(*arguments[:-1], tmp_path / "new", "--input", uri.replace(quote(PASSWORD), "wrong-word"))
    assert_one_line(wrong, 3)
    assert not any(
        word in told.out + wrong.out + wrong.err for word in (PASSWORD, quote(PASSWORD), "wrong-word")
    )
