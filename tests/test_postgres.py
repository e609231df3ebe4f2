"""PostgreSQL: a real server's tables are read as they were at one moment, and no password is shown."""

from datetime import datetime
from urllib.parse import quote

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
from postgres_server import PASSWORD, find_programs, run_server
from somv_risk.errors import ConfigError, InputError, SourceError
from somv_risk.registers import schema as s
from somv_risk.sources import from_postgres, postgres_session, scan_postgres
from somv_risk.sources.postgres import read_names
from somv_risk.sources.postgres_session import Session, hide_secrets
from somv_risk.store import append, ingest, scan_store, verify_store

adbc = pytest.importorskip("adbc_driver_postgresql.dbapi", reason="install the extra postgres")

END = datetime(2026, 1, 1)
OTHER_NAMES = """
[tables.persons]
name = "Borger"
columns = {person_id = "borger nr", birth_date = "foedt"}
[tables.admissions]
name = "kontakt"
"""


@pytest.fixture(scope="module")
def server():
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server here; install Debian's package postgresql")
    with run_server(programs) as place:
        yield place


@pytest.fixture(scope="module")
def uri(server):
    host = server.partition("host=")[2].partition(" ")[0]
    return f"postgresql://ada:{quote(PASSWORD)}@/postgres?host={host}"


@pytest.fixture(scope="module")
def region(uri):
    """A made-up region, written into the schema `public`."""
    histories = sr.simulate(persons=300, seed=3)
    with adbc.connect(uri) as connection:
        for name, frame in histories.tables.items():
            texts = [n for n, dtype in frame.collect_schema().items() if isinstance(dtype, pl.Enum)]
            write(connection, name, frame.collect().with_columns(pl.col(texts).cast(pl.String)))
        connection.commit()
    return histories


def write(connection, name, frame):
    with connection.cursor() as cursor:
        cursor.adbc_ingest(name, frame.to_arrow(), mode="create")


@pytest.fixture
def fresh(uri, request):
    """An empty schema, and a way to do something in the database."""
    name = f"s{abs(hash(request.node.name))}"
    with adbc.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {name}")
        cursor.execute(f"SET search_path TO {name}")
        yield name, cursor.execute


PERSONS = "CREATE TABLE persons (person_id {} PRIMARY KEY, birth_date date, sex text, death_date date)"
ADMISSIONS = (
    "CREATE TABLE admissions (person_id text, contact_id uuid, started_at timestamptz, ended_at timestamp, "
    "sector text, admission_type mood, extra jsonb)"
)


def make_tables(do, ids="text"):
    do("CREATE TYPE mood AS ENUM ('acute', 'planned')")
    do(PERSONS.format(ids))
    do(ADMISSIONS)
    do("INSERT INTO persons VALUES ('1', '1980-05-01', 'female', 'infinity')")
    do("INSERT INTO persons VALUES ('2', '1990-01-31', 'male', NULL)")
    for number, person, start, end in (
        (1, "1", "2025-03-01 10:00+00", "infinity"),
        (2, "1", "2025-07-01 10:00+00", "2025-07-02"),
        (3, "3", "2025-07-01 10:00+00", "2025-07-02"),
    ):
        contact = f"00000000-0000-0000-0000-00000000000{number}"
        row = f"'{person}', '{contact}', '{start}', '{end}', 'somatic', 'acute'"
        do(f"INSERT INTO admissions VALUES ({row})")  # noqa: S608 - our own values


def test_a_region_from_a_database_is_the_region(uri, region):
    read = from_postgres(uri, data_end=END)
    assert read.quarantine.count() == 0
    assert list(read.tables) == list(region.tables)
    for name, frame in region.tables.items():
        assert_frame_equal(read.table(name).collect().sort(pl.all()), frame.collect().sort(pl.all()))


def test_a_region_is_ingested_in_small_batches(uri, region, tmp_path, monkeypatch):
    monkeypatch.setattr(postgres_session, "BYTES_PER_BATCH", 20_000)
    delivery = scan_postgres(uri, data_end=END)
    sizes = []

    def watch(batches):
        for batch in batches.read():
            sizes.append(batch.height)
            yield batch

    watched = {n: type(b)(b.columns, lambda b=b: watch(b)) for n, b in delivery.tables.items()}
    ingest(type(delivery)(watched, latest=END, data_end=END), tmp_path / "store", buckets=3)
    read = scan_store(tmp_path / "store")
    for name, frame in region.tables.items():
        assert_frame_equal(read.table(name).collect().sort(pl.all()), frame.collect().sort(pl.all()))
    assert verify_store(tmp_path / "store").is_empty()
    assert len(sizes) > 2 * len(region.tables)
    assert max(sizes) < sum(sizes) / 4


def test_zones_uuids_enums_and_infinity_are_read_as_what_they_mean(uri, fresh):
    schema, do = fresh
    make_tables(do)
    read = from_postgres(uri, schema=schema, data_end=END)
    rows = read.admissions.collect().sort("contact_id")
    # Danish clocks, whatever zone the server has; no end is written as infinity.
    assert rows["started_at"].to_list() == [datetime(2025, 3, 1, 11), datetime(2025, 7, 1, 12)]
    assert rows["ended_at"].to_list() == [None, datetime(2025, 7, 2)]
    assert rows["contact_id"][0] == "00000000-0000-0000-0000-000000000001"
    assert rows["admission_type"].to_list() == ["acute", "acute"]
    assert read.persons.collect()["death_date"].to_list() == [None, None]
    assert read.quarantine["admissions"]["rule"].to_list() == ["person_is_known"]
    assert read.absent == tuple(table for table in s.TABLES if table not in ("persons", "admissions"))


def test_all_tables_are_read_as_they_were_at_one_moment(uri, fresh):
    schema, do = fresh
    make_tables(do)
    delivery = scan_postgres(uri, schema=schema)
    do("INSERT INTO persons VALUES ('3', '1990-01-31', 'male', NULL)")
    do("DELETE FROM admissions")
    rows = {name: sum(batch.height for batch in batches.read()) for name, batches in delivery.tables.items()}
    assert rows == {"persons": 2, "admissions": 3}


def test_the_connection_is_closed_when_all_tables_are_read(uri, fresh):
    schema, do = fresh
    make_tables(do)

    def count_connections():
        with adbc.connect(uri) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")
            return cursor.fetchone()[0]

    before = count_connections()
    delivery = scan_postgres(uri, schema=schema)
    assert count_connections() == before + 1
    for batches in delivery.tables.values():
        list(batches.read())
    assert count_connections() == before


def test_other_names_are_data(uri, fresh, tmp_path):
    schema, do = fresh
    make_tables(do)
    do("""ALTER TABLE persons RENAME TO "Borger" """)
    do("""ALTER TABLE "Borger" RENAME person_id TO "borger nr" """)
    do("""ALTER TABLE "Borger" RENAME birth_date TO foedt""")
    do("CREATE VIEW kontakt AS SELECT * FROM admissions WHERE ended_at = 'infinity'")
    (tmp_path / "names.toml").write_text(OTHER_NAMES)
    read = from_postgres(uri, schema=schema, config=tmp_path / "names.toml", data_end=END)
    assert read.persons.collect()["person_id"].sort().to_list() == ["1", "2"]
    assert read.admissions.collect().height == 1


def test_numbers_as_ids_are_text_and_floats_are_refused(uri, fresh):
    schema, do = fresh
    do("CREATE TYPE mood AS ENUM ('acute')")
    do(PERSONS.format("bigint"))
    do(ADMISSIONS)
    do("INSERT INTO persons VALUES (9007199254740993, '1980-05-01', 'female', NULL)")
    read = from_postgres(uri, schema=schema, data_end=END)
    assert read.persons.collect()["person_id"].to_list() == ["9007199254740993"]
    do("ALTER TABLE persons ALTER person_id TYPE double precision")
    with pytest.raises(InputError, match="column person_id has type Float64"):
        from_postgres(uri, schema=schema)


def test_a_later_delivery_comes_from_a_database_too(uri, fresh, tmp_path):
    schema, do = fresh
    make_tables(do)
    early = "'2', '00000000-0000-0000-0000-000000000004', '2025-04-01 10:00+00', '2025-04-02'"
    do(f"INSERT INTO admissions VALUES ({early}, 'somatic', 'acute')")  # noqa: S608 - our own values
    ingest(scan_postgres(uri, schema=schema, data_end=datetime(2025, 6, 1)), tmp_path / "store", buckets=2)
    later = scan_postgres(uri, schema=schema, data_end=datetime(2025, 8, 1))
    changes = append(later, tmp_path / "store", delivered_at=datetime(2025, 8, 2))
    assert changes.rows() == [("admissions", "added", 1)]
    assert verify_store(tmp_path / "store").is_empty()


# --- What goes wrong


def test_fewer_rows_than_the_database_counts_are_refused(uri, monkeypatch):
    ask = Session.ask

    def lose_the_last(session, query):
        batches = list(ask(session, query))
        return iter(
            batches if "count(*)" in query or "_schema" in query or "LIMIT 0" in query else batches[:-1]
        )

    whole = from_postgres(uri, data_end=END)
    monkeypatch.setattr(Session, "ask", lose_the_last)
    with pytest.raises(
        SourceError, match="Table persons of the database says that it has 300 rows, and 0 can"
    ):
        from_postgres(uri, data_end=END)
    assert whole.persons.collect().height == 300


def assert_no_secret(told):
    assert PASSWORD not in str(told.value)
    assert quote(PASSWORD) not in str(told.value)
    assert "wrong-word" not in str(told.value)


def test_a_wrong_password_is_one_sentence_without_it(server):
    host = server.partition("host=")[2].partition(" ")[0]
    for wrong in (
        f"postgresql://ada:wrong-word@/postgres?host={host}",
        f"host={host} user=ada dbname=postgres password='wrong-word'",
        f"postgresql:///postgres?host={host}&user=ada&password=wrong-word",
    ):
        with pytest.raises(SourceError, match="password authentication failed") as told:
            from_postgres(wrong)
        assert_no_secret(told)


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://ada:wrong-word@[::bad/x",
        "postgresql://ada:wrong-word@localhost:1/x",
        "postgresql://ada:wrong-word@local host/x",
        "password=wrong-word nonsense",
    ],
)
def test_a_connection_that_cannot_be_made_is_one_sentence_without_secrets(wrong):
    with pytest.raises(SourceError, match="Check the connection and the rights") as told:
        from_postgres(wrong)
    assert_no_secret(told)


def test_a_database_that_fails_while_it_is_read_quotes_no_value(uri, fresh):
    schema, do = fresh
    make_tables(do)
    do("ALTER TABLE persons RENAME TO p")
    do("CREATE VIEW persons AS SELECT person_id, ('in' || person_id)::int::text AS sex, birth_date FROM p")
    with pytest.raises(SourceError, match="it failed while it was read") as told:
        from_postgres(uri, schema=schema)
    assert "in1" not in str(told.value)


def test_a_schema_without_tables_is_refused(uri, fresh):
    with pytest.raises(SourceError, match="holds none of the tables"):
        from_postgres(uri, schema=fresh[0])
    with pytest.raises(SourceError, match="holds none of the tables"):
        from_postgres(uri, schema='it\'s "not" there')


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("[tables.visits]\nname = 'x'", ConfigError, "names table 'visits'"),
        ("[tables.persons]\ntitle = 'x'", ConfigError, "takes .'columns', 'name'. only"),
        ("[tables.persons]\nname = 7", ConfigError, "a name that is no text"),
        ("[tables.persons.columns]\nage = 'x'", ConfigError, r"names columns \['age'\]"),
        ("[table.persons]\nname = 'x'", ConfigError, r"takes \[tables.admissions\]"),
        ("tables = 7", ConfigError, r"takes \[tables.admissions\]"),
        ("nonsense", ConfigError, "is not TOML"),
    ],
)
def test_a_mapping_that_breaks_a_rule_is_refused(tmp_path, text, error, says):
    (tmp_path / "names.toml").write_text(text)
    with pytest.raises(error, match=says):
        read_names(tmp_path / "names.toml")


def test_a_mapping_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SourceError, match="cannot be read"):
        read_names(tmp_path / "names.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tables.persons]\nname = 'borger'", "has no table borger, which the mapping names"),
        ("[tables.persons.columns]\nsex = 'koen'", r"has no column \['koen'\]"),
    ],
)
def test_a_mapping_that_does_not_fit_the_database_is_refused(uri, fresh, tmp_path, text, says):
    make_tables(fresh[1])
    (tmp_path / "names.toml").write_text(text)
    with pytest.raises(SourceError, match=says):
        from_postgres(uri, schema=fresh[0], config=tmp_path / "names.toml")


def test_secrets_are_hidden():
    assert hide_secrets("postgresql://ada:x@h:5/db?password=x") == "postgresql://h:5/db"
    assert hide_secrets("host=h password=x user=y") == "host=h password=*** user=y"
    assert hide_secrets(r"host=h PassWord = 'x \' y' user=y") == "host=h password=*** user=y"
    assert hide_secrets("postgresql://ada:x@[::bad/db") == "given"


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "adbc_driver_postgresql", None)
    with pytest.raises(ConfigError, match=r"pip install 'somv-risk\[postgres\]'"):
        from_postgres("postgresql://h/x")
