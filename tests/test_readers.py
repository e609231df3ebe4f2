"""What a reader guarantees: files under their own names, every row counted, faults named without a cell."""

import csv
import gzip
import io
import json
import os
import random
import stat
import warnings
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import somv_risk as sr
from damaged_files import CANARY, damage_delivery
from somv_risk.errors import ConfigError, InputError, SomvRiskError, SourceError, SourceWarning
from somv_risk.files import parquet
from somv_risk.sources import csv_file, scan_folder
from somv_risk.sources.csv_file import CsvFile
from somv_risk.store import deliver_frames, ingest, scan_store, verify_store, write_store

PERSONS = "person_id,birth_date,sex\na,1981-05-04,female\n"
ADMISSIONS = (
    "person_id,contact_id,started_at,ended_at,sector,admission_type,hospital\n"
    "a,1,2025-03-01T10:00,2025-03-03T10:00,somatic,acute,Nykøbing F.\n"
    "a,2,2025-04-01T10:00,2025-04-03T10:00,somatic,acute,Næstved\n"
)
SEEDS = 1_500 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 60
ODD_NAMES = ("d[12]", "e*", "q?", "a b", "år", "50%", "x#1", "a%20b", "file:x", "{a,b}", "~", "-")


def write_folder(folder: Path, admissions: str | bytes = ADMISSIONS, suffix: str = ".csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "persons.csv").write_text(PERSONS)
    content = admissions if isinstance(admissions, bytes) else admissions.encode()
    (folder / f"admissions{suffix}").write_bytes(content)
    return folder


def list_contacts(histories: sr.Histories) -> list[str]:
    return sorted(histories.admissions.collect()["contact_id"].to_list())


def list_hospitals(histories: sr.Histories) -> list[str]:
    return histories.admissions.sort("contact_id").collect()["hospital"].to_list()


def read_and_ingest(folder: Path, **terms: str) -> list[sr.Histories]:
    store = folder.parent / f"{folder.name}.store"
    ingest(scan_folder(folder, **terms), store, buckets=2)
    return [sr.read_histories(folder, **terms), scan_store(store)]


def count_rows(histories: sr.Histories, table: str) -> int:
    aside = histories.quarantine[table]["row"].n_unique()
    return histories.tables[table].collect().height + aside


# --- Damage


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.filterwarnings("ignore::somv_risk.errors.SomvRiskWarning")
def test_a_damaged_file_is_refused_or_gives_every_row_that_another_reader_finds(tmp_path, seed):
    folder = tmp_path / "in"
    folder.mkdir()
    damaged = damage_delivery(folder, seed)
    try:
        found = [count_rows(histories, damaged.table) for histories in read_and_ingest(folder)]
    except SomvRiskError as error:
        found = str(error)
    assert found == [damaged.rows, damaged.rows] or (isinstance(found, str) and CANARY not in found)


def test_a_file_that_says_it_has_other_rows_is_refused(tmp_path, monkeypatch):
    pl.DataFrame({"person_id": ["a", "b"]}).write_parquet(tmp_path / "x.parquet")
    monkeypatch.setattr(parquet, "count_rows", lambda _: 3)
    with pytest.raises(SourceError, match="says that it has 3 rows, and 2 can be read"):
        parquet.read_parquet(tmp_path / "x.parquet")


def test_batches_that_end_early_are_refused(monkeypatch):
    frame = pl.LazyFrame({"person_id": ["a", "b"], "birth_date": ["1980-01-01"] * 2, "sex": ["male"] * 2})
    batches = deliver_frames({"persons": frame})["persons"]
    monkeypatch.setattr(pl.LazyFrame, "collect_batches", lambda *_, **__: iter([frame.collect().head(1)]))
    with pytest.raises(SourceError, match="Table persons says that it has 2 rows, and 1 can be read"):
        list(batches.read())


def make_store(tmp_path: Path) -> Path:
    folder = write_folder(tmp_path / "in")
    write_store(sr.read_histories(folder), tmp_path / "store", buckets=1)
    return tmp_path / "store"


def test_a_store_whose_file_has_other_rows_of_the_same_size_is_refused(tmp_path):
    store = make_store(tmp_path)
    file = store / "bucket=00" / "admissions.parquet"
    size = file.stat().st_size
    rows = pq.read_table(file).slice(0, 1)
    file.unlink()
    pq.write_table(rows, file)
    content = file.read_bytes()
    # The size is made the same, by bytes that no reader looks at.
    file.write_bytes(content[:4] + bytes(max(0, size - len(content))) + content[4:])
    assert file.stat().st_size >= size
    with pytest.raises(SourceError, match="missing or damaged"):
        scan_store(store)


@pytest.mark.parametrize("is_older", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_a_store_with_one_flipped_bit_is_refused_before_it_is_read(tmp_path, seed, is_older):
    """Polars reads some of these as other values, and some as no rows."""
    store, chance = make_store(tmp_path), random.Random(seed)
    if is_older:
        manifest = json.loads((store / "manifest.json").read_text())
        for entry in manifest["files"]:
            del entry["crc32"]
        (store / "manifest.json").write_text(json.dumps(manifest))
    assert list_contacts(scan_store(store)) == ["1", "2"]
    file = chance.choice(sorted(store.glob("bucket=*/*.parquet")))
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    with pytest.raises(SourceError, match="missing or damaged"):
        scan_store(store)


def test_a_panic_of_polars_is_a_finding_and_an_error(tmp_path, monkeypatch):
    store = make_store(tmp_path)

    def panic(*_: object, **__: object) -> pl.DataFrame:
        raise pl.exceptions.PanicException("the value of a cell")

    monkeypatch.setattr(pl.LazyFrame, "collect", panic)
    assert set(verify_store(store)["finding"]) == {"file_unreadable"}
    with pytest.raises(SourceError) as caught:
        parquet.read_parquet(store / "bucket=00" / "persons.parquet")
    assert "cell" not in str(caught.value)


# --- Names


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_folder_is_read_by_its_own_name(tmp_path, monkeypatch, name, suffix):
    monkeypatch.chdir(tmp_path)
    for folder, contact in ((name, "own"), ("d1", "other"), ("e1", "other"), ("q1", "other"), ("a", "other")):
        write_folder(Path(folder), ADMISSIONS.replace(",1,", f",{contact},"))
        if suffix == ".parquet":
            for table in ("persons", "admissions"):
                with Path(folder, f"{table}.csv").open("rb") as file:
                    frame = pl.read_csv(file, infer_schema=False)
                Path(folder, f"{table}.csv").unlink()
                with Path(folder, f"{table}.parquet").open("wb") as file:
                    frame.write_parquet(file)
    read, ingested = read_and_ingest(Path(name))
    assert list_contacts(read) == list_contacts(ingested) == ["2", "own"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_store_is_written_and_read_under_its_own_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    histories = sr.read_histories(write_folder(Path("in")))
    write_store(histories, name, buckets=2)
    assert {file.name for file in tmp_path.iterdir()} == {"in", name}  # and nothing beside it
    assert list_contacts(scan_store(name)) == ["1", "2"]
    assert verify_store(name).is_empty()


@pytest.mark.parametrize("address", ["s3://bucket/in", "file:///in", "abfss://a@b/c", "dbfs:/in"])
def test_an_address_is_no_folder(address):
    with pytest.raises(SourceError, match="is an address, and only folders of this machine are read"):
        sr.read_histories(address)


@pytest.mark.parametrize("suffix", [".CSV", ".Csv", ".csv.GZ"])
def test_files_are_found_in_any_case(tmp_path, suffix):
    content = gzip.compress(ADMISSIONS.encode()) if suffix.endswith("GZ") else ADMISSIONS.encode()
    folder = write_folder(tmp_path / "in", content, suffix)
    (folder / f"admissions{suffix}").rename(folder / f"ADMISSIONS{suffix}")
    read, ingested = read_and_ingest(folder)
    assert list_contacts(read) == list_contacts(ingested) == ["1", "2"]


@pytest.mark.parametrize("name", ["Admissions.xlsx", "admissions.txt", "admissions", "admissions.csv.zip"])
def test_a_file_that_is_not_read_in_place_of_a_table_is_named(tmp_path, name):
    folder = write_folder(tmp_path / "in")
    (folder / "admissions.csv").rename(folder / name)
    for read in (sr.read_histories, scan_folder):
        with pytest.raises(SourceError, match=f"holds {name}, which is not read as table admissions"):
            read(folder)


def test_a_link_to_nothing_is_no_absent_table(tmp_path):
    folder = write_folder(tmp_path / "in")
    (folder / "diagnoses.parquet").symlink_to(tmp_path / "gone.parquet")
    for read in (sr.read_histories, scan_folder):
        with pytest.raises(SourceError, match=r"diagnoses\.parquet is a link to nothing"):
            read(folder)


def test_a_table_in_two_files_that_differ_in_case_is_refused(tmp_path):
    folder = write_folder(tmp_path / "in")
    (folder / "Admissions.CSV").write_text(ADMISSIONS)
    with pytest.raises(SourceError, match="admissions is there twice"):
        scan_folder(folder)


def test_a_missing_table_is_told_with_what_the_folder_holds(tmp_path):
    folder = write_folder(tmp_path / "in")
    (folder / "admissions.csv").rename(folder / "contacts.csv")
    with pytest.raises(InputError, match=r"which holds contacts\.csv, persons\.csv"):
        sr.read_histories(folder)


def test_delta_tables_are_named_as_such(tmp_path):
    folder = write_folder(tmp_path / "in")
    (folder / "diagnoses" / "_delta_log").mkdir(parents=True)
    with pytest.raises(SourceError, match="Read Delta tables with from_delta"):
        sr.read_histories(folder)


# --- Folders of parts


def write_parts(folder: Path, *parts: pl.DataFrame) -> Path:
    """As Spark writes a table: parts, a mark that all are there, and check sums."""
    (folder / "admissions.csv").unlink()
    table = folder / "admissions.parquet"
    table.mkdir()
    for number, part in enumerate(parts):
        part.write_parquet(table / f"part-{number:05d}-c0.snappy.parquet")
        (table / f".part-{number:05d}-c0.snappy.parquet.crc").write_bytes(b"crc\0")
    (table / "_SUCCESS").touch()
    (table / "._SUCCESS.crc").write_bytes(b"crc\0")
    return folder


def read_text(text: str) -> pl.DataFrame:
    return pl.read_csv(io.StringIO(text), infer_schema=False)


def test_the_parts_of_a_folder_are_read_as_one_table(tmp_path):
    rows = read_text(ADMISSIONS)
    folder = write_parts(write_folder(tmp_path / "in"), rows.head(1), rows.clear(), rows.tail(1))
    read, ingested = read_and_ingest(folder)
    assert list_contacts(read) == list_contacts(ingested) == ["1", "2"]


def test_parts_that_cannot_be_one_table_are_refused(tmp_path):
    rows = read_text(ADMISSIONS)
    folder = write_parts(write_folder(tmp_path / "in"), rows.head(1), rows.tail(1).drop("hospital"))
    with pytest.raises(SourceError, match="parts with different columns"):
        sr.read_histories(folder)


@pytest.mark.parametrize(
    ("name", "says"), [("_temporary", "left half"), ("sector=somatic", "partitioned"), (None, "no Parquet")]
)
def test_a_folder_that_is_not_a_whole_table_is_refused(tmp_path, name, says):
    folder = write_parts(write_folder(tmp_path / "in"), *([read_text(ADMISSIONS)] if name else []))
    if name:
        (folder / "admissions.parquet" / name).mkdir()
    with pytest.raises(SourceError, match=says):
        scan_folder(folder)


# --- Lines


@pytest.mark.parametrize("line_end", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("is_ended", [True, False])
def test_lines_end_as_they_end(tmp_path, line_end, is_ended):
    text = ADMISSIONS if is_ended else ADMISSIONS.rstrip("\n")
    folder = write_folder(tmp_path / "in", text.replace("\n", line_end))
    read, ingested = read_and_ingest(folder)
    assert list_hospitals(read) == list_hospitals(ingested) == ["Nykøbing F.", "Næstved"]


def test_lines_that_end_in_two_ways_are_refused(tmp_path):
    lines = ADMISSIONS.replace("Nykøbing F.\n", "Nykøbing F.\r")
    with pytest.raises(SourceError, match="one kind of line ends"):
        sr.read_histories(write_folder(tmp_path / "in", lines))


def test_line_ends_within_quotation_marks_are_text(tmp_path):
    folder = write_folder(tmp_path / "in", ADMISSIONS.replace("Næstved", '"N\n\r\n\r""x"",y"'))
    hospitals = sr.read_histories(folder).admissions.collect()["hospital"]
    assert hospitals.to_list() == ["Nykøbing F.", 'N\n\r\n\r"x",y']


@pytest.mark.parametrize("line_end", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("inside", ["\n", "\r", "\r\n"])
def test_a_line_end_within_quotation_marks_does_not_say_how_lines_end(tmp_path, line_end, inside):
    text = ADMISSIONS.replace("\n", line_end).replace("Næstved", f'"N{inside}x"')
    read, ingested = read_and_ingest(write_folder(tmp_path / "in", text))
    assert list_hospitals(read) == list_hospitals(ingested) == ["Nykøbing F.", f"N{inside}x"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ADMISSIONS.replace("hospital\n", '"hospital\n').encode() + b'"', "header that cannot be read"),
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"PK\x03\x04" + bytes(30), "ZIP archive"),
        (b"PAR1" + bytes(30), r"Name it \.parquet"),
        (b"\x28\xb5\x2f\xfd" + bytes(30), "zstd"),
        (gzip.compress(ADMISSIONS.encode())[:-9], "gzip file that is cut off"),
        (ADMISSIONS.replace("Næstved", "Næst\0ved").encode(), "bytes that are zero"),
        (ADMISSIONS.replace("Næstved", '"Næstved').encode(), "line 3 that is never closed"),
        (ADMISSIONS.replace("Nykøbing", '"Nykøbing').encode(), "line 2 that is never closed"),
        (ADMISSIONS.replace("Nykøbing", "Nykøbing, F.").encode(), "8 cells in line 2, and 7 columns"),
        (ADMISSIONS.replace(",acute,Næstved\n", "").encode(), "ends within line 3, which has 5 cells of 7"),
        (ADMISSIONS.replace("ø", "\udcf8").encode("utf-8", "surrogateescape"), "encoding cp1252"),
        (ADMISSIONS.encode("utf-16"), "encoding UTF-16, not UTF-8"),
        (ADMISSIONS.encode("utf-16-le"), "encoding utf-16-le"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_and_how_to_mend_it(tmp_path, content, says):
    folder = write_folder(tmp_path / "in", content)
    for read in (sr.read_histories, lambda path: list(scan_folder(path).tables["admissions"].read())):
        with pytest.raises(SourceError, match=says) as caught:
            read(folder)
        assert "admissions.csv" in str(caught.value)
        assert "stved" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"person_id,contact_id\n", "is not a Parquet file"),
        (b"PK\x03\x04" + bytes(30), "ZIP archive"),
        (b"PAR1" + bytes(30), "cut off"),
        (b"PAR1" + bytes(30) + b"PAR1", "damaged Parquet file"),
    ],
)
def test_what_is_wrong_with_a_parquet_file_is_said(tmp_path, content, says):
    folder = write_folder(tmp_path / "in")
    (folder / "admissions.csv").unlink()
    (folder / "admissions.parquet").write_bytes(content)
    for read in (sr.read_histories, lambda path: list(scan_folder(path).tables["admissions"].read())):
        with pytest.raises(SourceError, match=says):
            read(folder)


def nest(depth: int) -> pa.Array:
    values, dtype = [1], pa.int64()
    for _ in range(depth):
        values, dtype = [values], pa.list_(dtype)
    return pa.array(values, dtype)


@pytest.mark.parametrize(
    ("column", "values", "is_kept"),
    [
        ("more", pa.array([2**62], pa.timestamp("us")), True),
        ("more", pa.array([1], pa.decimal256(60)), False),
        ("more", nest(50), True),
        ("more", nest(500), False),
        ("hospital", nest(3), False),
        ("m\0re", pa.array(["x"]), True),
        ("", pa.array(["x"]), True),
        ("started_at", pa.array([1], pa.timestamp("us", tz="Mars/Base")), False),
        ("contact_id", pa.array([1], pa.decimal128(38)), True),
        ("contact_id", pa.array([2**64 - 1], pa.uint64()), True),
        ("sector", pa.array(["somatic"]).dictionary_encode(), True),
        ("ended_at", pa.nulls(1), True),
    ],
)
@pytest.mark.filterwarnings("ignore::somv_risk.errors.ColumnWarning")
def test_columns_of_any_type_are_read_or_refused(tmp_path, column, values, is_kept):
    folder = write_folder(tmp_path / "in")
    (folder / "admissions.csv").unlink()
    rows = read_text(ADMISSIONS).head(1).drop(column, strict=False).to_arrow()
    pq.write_table(rows.append_column(column, values), folder / "admissions.parquet")
    if is_kept:
        assert [len(list_contacts(histories)) for histories in read_and_ingest(folder)] == [1, 1]
        return
    for read in (sr.read_histories, lambda path: ingest(scan_folder(path), tmp_path / "store")):
        with pytest.raises(SomvRiskError):
            read(folder)


def test_lines_with_too_few_cells_are_read_and_warned_of(tmp_path):
    text = ADMISSIONS.replace(",Nykøbing F.", "")
    folder = write_folder(tmp_path / "in", text)
    with pytest.warns(SourceWarning, match="fewer cells than columns, the first of them line 2"):
        hospitals = sr.read_histories(folder).admissions.collect()["hospital"]
    assert hospitals.to_list() == [None, "Næstved"]


def test_two_members_of_a_gzip_file_are_one_table(tmp_path):
    lines = ADMISSIONS.encode().splitlines(keepends=True)
    content = gzip.compress(b"".join(lines[:2])) + gzip.compress(lines[2])
    read, ingested = read_and_ingest(write_folder(tmp_path / "in", content, ".csv.gz"))
    assert list_contacts(read) == list_contacts(ingested) == ["1", "2"]


def test_columns_without_a_name_do_no_harm_and_a_name_given_twice_is_refused_unseen(tmp_path):
    wider = "".join(f"{line},,\n" for line in ADMISSIONS.splitlines())
    assert list_contacts(sr.read_histories(write_folder(tmp_path / "in", wider))) == ["1", "2"]
    headless = "a,0101901234,0101901234\n"
    with pytest.raises(InputError, match="the same name above columns 2 and 3") as caught:
        sr.read_histories(write_folder(tmp_path / "in2", headless))
    assert "0101901234" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(tmp_path):
    folder = write_folder(tmp_path / "in")
    (folder / "admissions.csv").chmod(stat.S_IWUSR)
    with pytest.raises(SourceError, match=r"admissions\.csv may not be read"):
        sr.read_histories(folder)


def test_a_system_without_memory_says_so(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    folder = write_folder(tmp_path / "in")
    monkeypatch.setattr(csv_file, "_read_text", fail)
    with pytest.raises(SourceError, match="needs more memory than there is"):
        sr.read_histories(folder)


# --- Blocks

CELL = st.text(alphabet='ab,;"\n\r å\t', max_size=6)
TABLE = st.integers(2, 4).flatmap(lambda width: st.lists(st.tuples(*[CELL] * width), max_size=12))


@settings(max_examples=150, deadline=None)
@given(rows=TABLE, size=st.integers(1, 40), style=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_a_table_is_what_was_written_wherever_it_is_cut(tmp_path_factory, rows, size, style):
    names = [f"column{number}" for number in range(len(rows[0]) if rows else 1)]
    file = tmp_path_factory.mktemp("in") / "x.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, quoting=style)
        writer.writerows([names, *rows])
    table = CsvFile.open(file)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(csv_file, "BYTES_PER_BLOCK", size)
        warnings.simplefilter("error", SourceWarning)
        read = table.read_whole()
    expected = [tuple(cell or None for cell in row) for row in rows]
    assert [tuple(cell or None for cell in row) for row in read.rows()] == expected


# --- Encodings


@pytest.mark.parametrize(
    "encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-8", "cp865"]
)
def test_a_file_is_read_in_the_encoding_it_is_written_in(tmp_path, encoding):
    folder = write_folder(tmp_path / "in", ADMISSIONS.encode(encoding))
    (folder / "persons.csv").write_bytes(PERSONS.encode(encoding))
    read, ingested = read_and_ingest(folder, encoding=encoding)
    assert list_hospitals(read) == list_hospitals(ingested) == ["Nykøbing F.", "Næstved"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("encoding", [None, "utf-8", "UTF-8", "utf8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path, mark, encoding):
    folder = write_folder(tmp_path / "in", mark + ADMISSIONS.encode())
    assert list_contacts(sr.read_histories(folder, encoding=encoding)) == ["1", "2"]


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "hex", ""])
def test_an_unknown_encoding_is_refused(tmp_path, encoding):
    if encoding:
        with pytest.raises(ConfigError, match="unknown"):
            sr.read_histories(write_folder(tmp_path / "in"), encoding=encoding)
    else:
        assert list_contacts(sr.read_histories(write_folder(tmp_path / "in"), encoding="")) == ["1", "2"]


def test_a_wrong_encoding_is_refused(tmp_path):
    folder = write_folder(tmp_path / "in", ADMISSIONS.replace("ø", "ß\x81").encode("latin-1"))
    with pytest.raises(SourceError, match="not written in the encoding cp1252"):
        sr.read_histories(folder, encoding="cp1252")


def test_a_store_has_an_encoding_of_its_own(tmp_path):
    store = make_store(tmp_path)
    with pytest.raises(ConfigError, match="is a store"):
        sr.read_histories(store, encoding="cp1252")


def test_nothing_is_warned_of_where_nothing_is_wrong(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", SourceWarning)
        read_and_ingest(write_folder(tmp_path / "in"))
