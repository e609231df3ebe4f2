"""Identity: what looks like a civil registration number, which pseudonym it gets, and what a key must be."""

import hashlib
import hmac
import json
import random
import re
import uuid
import warnings
from datetime import datetime

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import somv_risk as sr
from somv_risk.errors import ConfigError, IdentityError, IdentityWarning, SourceError
from somv_risk.registers.identity import sign_person
from somv_risk.sources import scan_folder
from somv_risk.store import (
    Batches,
    Delivery,
    append_store,
    ingest,
    read_manifest,
    scan_store,
    write_store,
)

KEY = "4f1c9be07a2d6683"
OTHER_KEY = "e8d2037b95ac614f"

ONE_DANISH_NUMBER = [
    "0101901234",
    "010190-1234",
    "010190 1234",
    "101901234",
    "10190-1234",
    "  0101901234\n",
    "0101901234.0",
    "101901234.0",
    "010190-1234.0",
    "0101901234,00",
    "'0101901234",
    "'010190-1234",
    '"0101901234"',
    '="0101901234"',
    "010190\u00a01234",  # no-break space
    "010190\u20091234",  # thin space
    "010190\u202f1234",  # narrow no-break space
    "010190\u20101234",  # hyphen
    "010190\u20111234",  # no-break hyphen
    "010190\u20131234",  # en dash
    "010190\u20141234",  # em dash
    "010190\u22121234",  # minus
    "010190\u00ad1234",  # soft hyphen
    "010190\u200b1234",  # zero width
    "\ufeff0101901234",  # byte order mark
    "01\u200d01901234\u2060",
    "DK0101901234",
    "DK-0101901234",
    "DK 010190-1234",
    "dk-010190-1234",
    "CPR 0101901234",
    "CPR-nr.: 010190-1234",
    "cpr:0101901234",
    "010119901234",
    "01011990-1234",
    "01-01-1990-1234",
    "01.01.90-1234",
    "01/01/90 1234",
    "01 01 90 12 34",
    "0101 901234",
    "010190/1234",
    "010190.1234",
    "010190_1234",
    "010190--1234",
    "010190 - 1234",
    "(010190)1234",
    "0101901234;",
    "\uff10\uff11\uff10\uff11\uff19\uff10\uff11\uff12\uff13\uff14",  # full width
    "\u0660\u0661\u0660\u0661\u0669\u0660\u0661\u0662\u0663\u0664",  # Arabic-Indic
    "101.901.234",
    "101 901 234",
    "0101901234\t",
    "0101901234\x00",
]
REPLACEMENT = ["010190-1AB4", "0101901AB4", "0101901ab4", " 010190 1ab4", "DK 0101901AB4", "010190\u20131AB4"]
REPLACEMENT_DAY = ["6101901234", "610190-1234", "61 01 90 1234", "'6101901234.0"]
NORWEGIAN = ["01019012345", "010190 12345", "010190-12345", "NO 01019012345", "01.01.90 12345"]
SWEDISH = ["900101-1234", "9001011234", "19900101-1234", "199001011234", "SE 19900101-1234", "19900101 1234"]
SWEDISH_COORDINATION = ["900199-1234".replace("99", "61"), "19900161-1234", "199001611234"]
SWEDISH_OVER_A_HUNDRED = ["150101+1234", "191501011234", "19150101-1234"]
FINNISH = ["131052-308T", "131052308T", "131052-308t", "131052\u2013308T"]
OTHERS = [
    "131052A308T",
    "131052+308T",
    "41019012345",
    "01419012345",
    "010190-123",
    "010190-ABCD",
    "3112994321",
]
SPELLINGS = {
    "0101901234": ONE_DANISH_NUMBER,
    "0101901AB4": REPLACEMENT,
    "6101901234": REPLACEMENT_DAY,
    "01019012345": NORWEGIAN,
    "9001011234": SWEDISH,
    "9001611234": SWEDISH_COORDINATION,
    "191501011234": SWEDISH_OVER_A_HUNDRED,
    "131052308T": FINNISH,
}
ALL_FORMS = [*(form for forms in SPELLINGS.values() for form in forms), *OTHERS]

NO_NUMBERS = [
    *("ada", "A-1", "A1", "c123456789", "PT-0101901234", "P0101701234", "8090044958540695372", "9999999999"),
    *(
        "0113701234",
        "0001701234",
        "3201701234",
        "010170123456",
        "2025-01-01",
        "DK12345678",
        "+45 12 34 56 78",
    ),
    *("0101901234567890", "010190", "0101901", "1.0", "-"),
]


def deliver(person_id, **options):
    ids = person_id if isinstance(person_id, list) else [person_id]
    return sr.from_frames(
        persons=pl.DataFrame({"person_id": ids, "birth_date": "1980-05-01", "sex": "male"}),
        admissions=list_contacts(1, person_id=ids[0]),
        **options,
    )


def list_contacts(rows, **columns):
    made = {
        "person_id": "ada",
        "contact_id": [f"c{number}" for number in range(rows)],
        "started_at": "2025-03-01T10:00",
        "ended_at": "2025-03-02T10:00",
        "sector": "somatic",
        "admission_type": "acute",
    }
    return pl.DataFrame({**made, **columns})


def deliver_contacts(contacts):
    persons = pl.DataFrame({"person_id": ["ada"], "birth_date": "1980-05-01", "sex": "male"})
    return sr.from_frames(persons=persons, admissions=contacts)


def sign(text, key=KEY):
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def sign_all(ids, key=KEY):
    return (
        pl.DataFrame({"person_id": ids}, schema={"person_id": pl.String})
        .select(sign_person(key))["person_id"]
        .to_list()
    )


# --- What looks like a number


@pytest.mark.parametrize("person_id", ALL_FORMS)
def test_a_number_in_any_spelling_is_refused_as_a_person_id(person_id):
    with pytest.raises(IdentityError, match="In table persons, 1 person ids look like CPR numbers"):
        deliver(person_id)


@pytest.mark.parametrize("number", list(SPELLINGS))
def test_all_spellings_of_a_number_have_one_pseudonym(number):
    assert sign_all(SPELLINGS[number]) == [sign(number)] * len(SPELLINGS[number])


@pytest.mark.parametrize("person_id", NO_NUMBERS)
def test_an_id_that_is_no_number_passes_and_its_pseudonym_is_that_of_its_text(person_id):
    assert deliver(person_id).persons.collect()["person_id"].to_list() == [person_id]
    assert sign_all([person_id]) == [sign(person_id)]


def test_two_ids_that_differ_in_a_hyphen_stay_two():
    assert len(set(sign_all(["A-1", "A1", "a1", "A 1"]))) == 4


def draw_usual_ids(count):
    lot = random.Random(5)
    shapes = [
        lambda: str(uuid.UUID(int=lot.getrandbits(128))),
        lambda: uuid.UUID(int=lot.getrandbits(128)).hex,
        lambda: f"{lot.getrandbits(64):016x}",
        lambda: f"{lot.getrandbits(48):012x}",
        lambda: f"{lot.getrandbits(32):08x}",
        lambda: f"{lot.choice(['P', 'PT-', 'ID_', 'K'])}{lot.randrange(10**10)}",
        lambda: str(lot.randrange(1, 10 ** lot.randint(1, 9))),
        lambda: f"{lot.randrange(10**9):09d}",
    ]
    return [lot.choice(shapes)() for _ in range(count)]


def test_two_thousand_random_ids_of_usual_shapes_pass():
    ids = list(dict.fromkeys(draw_usual_ids(2_000)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", IdentityWarning)
        assert deliver(ids).quarantine.count() == 0


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt32, pl.UInt64, pl.Int128])
def test_whole_numbers_that_lost_their_first_zero_are_refused(dtype):
    numbers = pl.Series([101901234, 3112904321 % 2**31], dtype=dtype)
    with pytest.raises(IdentityError):
        deliver_ids(numbers)


def deliver_ids(ids):
    persons = pl.DataFrame({"person_id": ids, "birth_date": "1980-05-01", "sex": "male"})
    return sr.from_frames(persons=persons, admissions=list_contacts(1))


# The rule of the first version, kept as it was: what it took for a number keeps its pseudonym for ever.
FIRST_RULE = re.compile(
    r"^(?:0?[1-9]|[1-2][0-9]|3[01]|6[1-9]|[7-8][0-9]|9[01])(?:0[1-9]|1[0-2])[0-9]{2}[- ]?[0-9]{4}\Z"
)


def sign_by_first_rule(text):
    bare = text.strip()
    return sign(re.sub("[- ]", "", bare).zfill(10) if FIRST_RULE.match(bare) else bare)


@given(
    st.one_of(
        st.from_regex(FIRST_RULE, fullmatch=True),
        st.builds(
            "{}{:02d}{:02d}{}{:04d}".format,
            st.integers(1, 91),
            st.integers(1, 12),
            st.integers(0, 99),
            st.sampled_from(["", "-", " "]),
            st.integers(0, 9999),
        ).filter(FIRST_RULE.match),
    )
)
@example("0101701234")
@example("101701234")
@example("9101701234")
def test_what_was_always_taken_for_a_number_keeps_its_pseudonym(text):
    assert sign_all([text, f" {text} "]) == [sign_by_first_rule(text)] * 2


@given(st.text(st.sampled_from("abcPX-_ 0123456789"), min_size=1, max_size=8).filter(str.strip))
def test_a_text_too_short_for_a_number_keeps_the_pseudonym_of_its_text(text):
    assert sign_all([text]) == [sign(text.strip())]


# --- Other columns

TEXT_COLUMNS = ["contact_id", "hospital", "department", "diagnosis", "sector", "discharge"]


@pytest.mark.parametrize("column", TEXT_COLUMNS)
@pytest.mark.parametrize("value", ["010190-1234", "DK 010190\u20131234", "010190-1AB4", "131052-308T"])
def test_one_written_number_in_another_column_is_refused(column, value):
    contacts = list_contacts(30).with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(value)).otherwise(None).alias("_new"),
    )
    old = pl.col(column) if column in contacts.columns else pl.lit(None, pl.String)
    with pytest.raises(
        IdentityError, match=f"table admissions, column {column}, 1 values look like CPR"
    ) as caught:
        deliver_contacts(contacts.with_columns(pl.coalesce("_new", old).alias(column)).drop("_new"))
    assert "010190" not in str(caught.value)
    assert "leave the column out" in str(caught.value)


def test_a_key_does_not_open_the_door_to_numbers_in_other_columns():
    with pytest.raises(IdentityError, match="column department"):
        sr.from_frames(
            persons=pl.DataFrame({"person_id": ["ada"], "birth_date": "1980-05-01", "sex": "male"}),
            admissions=list_contacts(1, department="010190-1234"),
            pseudonymise_key=KEY,
        )


def test_plain_numbers_are_refused_where_a_fifth_of_twenty_values_are_such():
    ids = [f"{day:02d}01901234" for day in range(1, 5)] + [f"c{number}" for number in range(16)]
    with pytest.raises(IdentityError, match="column contact_id, 4 values"):
        deliver_contacts(list_contacts(20, contact_id=ids))


def test_fewer_plain_numbers_are_a_warning():
    ids = [f"{day:02d}01901234" for day in range(1, 4)] + [f"c{number}" for number in range(17)]
    with pytest.warns(IdentityWarning, match="column contact_id, 3 of 20 values"):
        deliver_contacts(list_contacts(20, contact_id=ids))


def test_random_ids_of_ten_digits_in_another_column_are_a_warning_only():
    lot = random.Random(1)
    ids = [f"{lot.randrange(10**10):010d}" for _ in range(1_000)]
    with pytest.warns(IdentityWarning, match="column contact_id"):
        assert deliver_contacts(list_contacts(1_000, contact_id=ids)).quarantine.count() == 0


def test_numbers_of_production_units_are_no_numbers_of_persons():
    units = [f"10{month:02d}{rest:06d}" for month in range(1, 13) for rest in (388394, 123456)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", IdentityWarning)
        assert deliver_contacts(list_contacts(len(units), hospital=units)).quarantine.count() == 0


def test_times_and_usual_codes_in_text_columns_are_no_numbers():
    codes = ["1301110", "Afdeling 4", "DF102", "2025-01-01 10:30", "12 34 56 78", "420211000016005"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", IdentityWarning)
        deliver_contacts(list_contacts(6, department=codes))


def deliver_in_batches(column, values, size):
    contacts = list_contacts(len(values)).with_columns(pl.Series(column, values))
    persons = pl.DataFrame({"person_id": ["ada"], "birth_date": "1980-05-01", "sex": "male"})
    tables = {
        "persons": Batches(persons.schema, lambda: iter([persons])),
        "admissions": Batches(contacts.schema, lambda: contacts.iter_slices(size)),
    }
    return Delivery(tables, latest=datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["010190-1234"] + ["ward"] * 40, "1 values"),
        (["0101901234"] * 8 + ["ward"] * 32, "8 values"),
    ],
)
def test_ingest_counts_the_numbers_of_all_batches_together(tmp_path, values, said):
    with pytest.raises(IdentityError, match=f"column department, {said}"):
        ingest(deliver_in_batches("department", values, 10), tmp_path / "store", buckets=2)
    assert list(tmp_path.iterdir()) == []


def test_ingest_and_frames_agree_on_nine_digits(tmp_path):
    ids = [f"{number}01901234"[:9] for number in (1, 5)] + [f"{number}99901234"[:9] for number in range(1, 9)]
    contacts = list_contacts(10, person_id=pl.Series(ids))
    persons = pl.DataFrame({"person_id": ids, "birth_date": "1980-05-01", "sex": "male"})
    assert sr.from_frames(persons=persons, admissions=contacts).quarantine.count() == 0
    tables = {
        "persons": Batches(persons.schema, lambda: persons.iter_slices(1)),
        "admissions": Batches(contacts.schema, lambda: contacts.iter_slices(1)),
    }
    ingest(Delivery(tables, latest=datetime(2026, 1, 1)), tmp_path / "store", buckets=1)
    assert scan_store(tmp_path / "store").persons.collect().height == 10


# --- Keys

GUESSED = [
    *("aaaaaaaaaaaaaaaa", "0123456789abcdef", "fedcba9876543210", "passwordpassword", "Password12345678"),
    *(
        "1234567890123456",
        "qwertyuiopasdfgh",
        "1qaz2wsx3edc4rfv",
        "abcabcabcabcabcabc",
        "hemmelighemmelig123",
    ),
    *("0000000000000001", "kodeord-kodeord-", b"\x00" * 32, b"\x00\x01\x02\x03" * 8),
]


@pytest.mark.parametrize("key", GUESSED)
def test_a_key_that_can_be_guessed_is_refused(key):
    with pytest.raises(ConfigError, match="can be guessed") as caught:
        deliver("ada", pseudonymise_key=key)
    assert str(key) not in str(caught.value)
    with pytest.raises(ConfigError, match="can be guessed"):
        deliver("ada").pseudonymise(key)


def test_random_keys_are_taken():
    lot = random.Random(2)
    for _ in range(2_000):
        for key in (lot.randbytes(32), lot.randbytes(16).hex(), f"{lot.getrandbits(64):016x}"):
            sign_person(key)


@pytest.mark.parametrize("key", [7, None, 1.5, ["a"] * 16])
def test_a_key_that_is_neither_text_nor_bytes_is_an_error(key):
    with pytest.raises(ConfigError, match="Give text or bytes"):
        deliver("ada").pseudonymise(key)


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "key.txt"
    file.write_text(f"{KEY}\r\n")
    file.chmod(0o600)
    return file


def test_one_key_gives_one_pseudonym_however_it_is_given(key_file):
    given_as = [KEY, KEY.encode(), f" {KEY}\n", key_file.read_bytes(), key_file, sr.read_key(key_file)]
    for key in given_as:
        assert deliver("ada", pseudonymise_key=key).persons.collect()["person_id"].to_list() == [sign("ada")]


def test_a_key_file_that_others_can_read_is_a_warning(key_file):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sr.read_key(key_file)
    for mode in (0o640, 0o604, 0o644):
        key_file.chmod(mode)
        with pytest.warns(IdentityWarning, match=f"mode {mode:04o}"):
            sr.read_key(key_file)


@pytest.mark.parametrize("name", ["nowhere", "", "key\x00", "/dev/zero"])
def test_a_key_file_that_cannot_be_read_is_one_sentence(tmp_path, name):
    with pytest.raises(SourceError, match="Key file"):
        sr.read_key(tmp_path / name)


# --- What a store keeps of it

FIRST, LATER = datetime(2025, 6, 1), datetime(2025, 7, 1)


def deliver_with(key, person="ada", end=FIRST):
    return deliver(person, pseudonymise_key=key, data_end=end)


def write(histories, folder):
    write_store(histories, folder, buckets=1)
    return folder


def test_the_manifest_has_the_rule_and_a_check_value_of_the_key_but_not_the_key(tmp_path):
    store = write(deliver_with(KEY), tmp_path / "store")
    told = read_manifest(store)["pseudonyms"]
    check = hmac.new(KEY.encode(), b"somv_risk: check value of a key", hashlib.sha256).hexdigest()[:16]
    assert told == {"rule": 1, "key_check": check}
    assert KEY not in (store / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("first", "later", "said"),
    [
        (KEY, OTHER_KEY, "another key"),
        (KEY, None, "none is given"),
        (None, KEY, "ids as they were delivered"),
    ],
)
def test_a_delivery_with_another_key_is_refused(tmp_path, first, later, said):
    store = write(deliver_with(first), tmp_path / "store")
    before = (store / "manifest.json").read_bytes()
    with pytest.raises(ConfigError, match=said):
        append_store(deliver_with(later, end=LATER), store, delivered_at=LATER)
    assert (store / "manifest.json").read_bytes() == before


def test_a_delivery_with_the_same_key_is_taken_from_frames_and_as_a_delivery(tmp_path):
    store = write(deliver_with(KEY), tmp_path / "store")
    append_store(deliver_with(KEY, "bo", LATER), store, delivered_at=LATER)
    assert scan_store(store).persons.collect()["person_id"].sort().to_list() == sorted(
        [sign("ada"), sign("bo")]
    )
    append_store(deliver("cy", data_end=LATER).pseudonymise(KEY), store, delivered_at=LATER)
    assert sign("cy") in scan_store(store).persons.collect()["person_id"]


def change_manifest(store, change):
    manifest = json.loads((store / "manifest.json").read_text())
    change(manifest)
    (store / "manifest.json").write_text(json.dumps(manifest))


def test_pseudonyms_of_another_rule_are_refused(tmp_path):
    store = write(deliver_with(KEY), tmp_path / "store")
    change_manifest(store, lambda manifest: manifest["pseudonyms"].update(rule=0))
    with pytest.raises(ConfigError, match="rule 0"):
        append_store(deliver_with(KEY, "bo", LATER), store, delivered_at=LATER)


def test_an_older_store_that_does_not_say_is_read_and_says_so_after_the_next_delivery(tmp_path):
    store = write(deliver_with(KEY), tmp_path / "store")
    change_manifest(store, lambda manifest: manifest.pop("pseudonyms"))
    assert scan_store(store).persons.collect()["person_id"].to_list() == [sign("ada")]
    append_store(deliver_with(KEY, "bo", LATER), store, delivered_at=LATER)
    assert read_manifest(store)["pseudonyms"]["rule"] == 1
    with pytest.raises(ConfigError, match="another key"):
        append_store(deliver_with(OTHER_KEY, "cy", LATER), store, delivered_at=LATER)


def test_a_store_ingested_from_a_store_keeps_how_its_ids_were_made(tmp_path):
    store = write(deliver_with(KEY), tmp_path / "store")
    ingest(scan_folder(store), tmp_path / "copy", buckets=2)
    assert read_manifest(tmp_path / "copy")["pseudonyms"] == read_manifest(store)["pseudonyms"]
