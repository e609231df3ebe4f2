"""Deliveries with defects: what was planted is set aside under its rule or kept, and nothing else happens."""

import math
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
from somv_risk.errors import ConfigError, SourceError
from somv_risk.registers import schema as s
from somv_risk.simulate import simulate_tables
from somv_risk.simulate.defects import plant_defects, read_defects, write_delivery

PERSONS, SEED, DATA_END = 3_000, 7, datetime(2026, 1, 1)
TABLES = tuple(simulate_tables(1))
NAMES = tuple(defect.name for defect in read_defects())
NONE = dict.fromkeys(NAMES, 0)
OFTEN = dict.fromkeys(NAMES, 0.02)

# What a kept row reads as where that differs from the sound row.
READS_AS = {
    "open_contact": {"ended_at": None},
    "missing_discharge": {"discharge": None},
    "unknown_attribute": {"discharge": None, "end_reason": None},
    "no_diagnosis_code": {"diagnosis": None},
    "end_in_year_2209": {"ended_at": pl.col("ended_at").dt.replace(year=2209, month=1)},
    "late_registration": {"known_at": pl.col("started_at") + timedelta(days=90)},
}


@pytest.fixture(scope="module")
def clean():
    return simulate_tables(PERSONS, SEED)


@pytest.fixture(scope="module")
def delivery(clean):
    return plant_defects(clean, SEED, OFTEN)


@pytest.fixture(scope="module", params=["frames", "files"])
def histories(request, delivery, tmp_path_factory):
    if request.param == "frames":
        return sr.from_frames(**delivery.tables, data_end=DATA_END)
    folder = tmp_path_factory.mktemp("defects") / "delivery"
    write_delivery(delivery, folder)
    return sr.read_histories(folder, data_end=DATA_END)


def pick_planted(delivery, table, **cells):
    return delivery.planted.filter(table=table, **cells)


def list_lost(delivery, clean):
    """Persons whose only row was set aside; a duplicate stands below the sound rows and loses nobody."""
    rows = pick_planted(delivery, "persons", outcome="set_aside")["row"]
    return clean["persons"]["person_id"].gather(rows.filter(rows < clean["persons"].height))


def list_followers(delivery, clean, table):
    """Rows that nothing is wrong with except that their person was set aside."""
    if table == "persons":
        return pl.Series([], dtype=pl.UInt32)
    numbered = clean[table].with_row_index("row")
    return numbered.filter(pl.col("person_id").is_in(list_lost(delivery, clean).implode()))["row"]


def list_kept(delivery, clean, table):
    """The sound rows that are to be in the histories, numbered, each as it is to be read."""
    gone = {*pick_planted(delivery, table, outcome="set_aside")["row"]}
    gone |= {*list_followers(delivery, clean, table)}
    kept = clean[table].with_row_index("row").filter(~pl.col("row").is_in(list(gone)))
    for defect, cells in READS_AS.items():
        struck = pl.col("row").is_in(pick_planted(delivery, table, defect=defect)["row"].implode())
        if pick_planted(delivery, table, defect=defect).height:
            kept = kept.with_columns(
                pl.when(~struck).then(name).otherwise(value).alias(name)
                for name, value in cells.items()
                if name in kept.columns
            )
    return kept.drop("row")


def empty_as_null(frame):
    return frame.with_columns(pl.col(pl.String).replace("", None))


def count_cells(clean, delivery, defect, table):
    """Cells that can carry a defect, counted from the sound rows of persons who are not lost."""
    rows = clean[table]
    if table != "persons":
        rows = rows.filter(~pl.col("person_id").is_in(list_lost(delivery, clean).implode()))
    if defect.act == "move":
        starts = clean[table][defect.since]
        return int((rows[defect.since] + timedelta(days=defect.days) <= starts.max()).sum())
    columns = [name for name in defect.columns if name in rows.columns]
    if defect.name == "dotted_code":
        return sum(int((rows[name].str.len_chars() > 3).sum()) for name in columns)
    return sum(rows[name].drop_nulls().len() for name in columns)


def test_every_defect_is_planted(delivery):
    assert set(delivery.planted["defect"]) == set(NAMES)


def test_a_row_carries_one_defect_at_most(delivery):
    assert not delivery.planted.select("table", "row").is_duplicated().any()


@pytest.mark.parametrize("table", TABLES)
def test_no_row_is_lost(histories, delivery, table):
    kept = histories.table(table).select(pl.len()).collect().item()
    assert kept + histories.quarantine.count_set_aside(table) == delivery.tables[table].height


@pytest.mark.parametrize("table", TABLES)
def test_rows_set_aside_are_the_planted_ones_and_the_events_of_persons_set_aside(
    histories, delivery, clean, table
):
    found = set(histories.quarantine.list_set_aside(table).select("row", "rule").rows())
    planted = set(pick_planted(delivery, table, outcome="set_aside").select("row", "rule").rows())
    followers = {(row, "person_is_known") for row in list_followers(delivery, clean, table)}
    # Persons without an id are told to be repeats of each other as well, if there are two of them.
    nameless = {(row, "primary_key") for row, rule in planted if rule == "person_id|nullability"}
    assert found - nameless == planted | followers
    assert histories.quarantine.list_set_aside(table).height == len(found)


@pytest.mark.parametrize("table", TABLES)
def test_rows_kept_without_an_attribute_are_the_planted_ones(histories, delivery, clean, table):
    found = set(histories.quarantine.list_kept_without(table).select("row", "rule").rows())
    planted = pick_planted(delivery, table, outcome="kept_without")
    followers = list_followers(delivery, clean, table).implode()
    assert found == set(planted.filter(~pl.col("row").is_in(followers)).select("row", "rule").rows())


@pytest.mark.parametrize("table", TABLES)
def test_rows_set_aside_are_kept_as_they_were_delivered(histories, delivery, table):
    aside = histories.quarantine[table].unique("row", keep="first", maintain_order=True)
    assert_frame_equal(
        empty_as_null(aside.drop("row", "rule")),
        empty_as_null(delivery.tables[table][aside["row"].to_list()]),
    )


@pytest.mark.parametrize("table", TABLES)
def test_all_other_rows_read_as_they_were_before_delivery(histories, delivery, clean, table):
    expected = list_kept(delivery, clean, table)
    assert_frame_equal(histories.table(table).head(expected.height).collect(), expected)


def test_below_the_sound_rows_stand_contacts_that_overlap_another(histories, delivery, clean):
    added = histories.admissions.collect()[list_kept(delivery, clean, "admissions").height :]
    assert added.height == pick_planted(delivery, "admissions", defect="overlapping_contact").height
    twins = added.with_columns(pl.col("contact_id").str.strip_suffix("-2"))
    assert set(twins["contact_id"]).isdisjoint(added["contact_id"])
    assert twins.join(clean["admissions"], on=twins.columns, how="semi", nulls_equal=True).height == len(
        added
    )


def test_below_the_sound_rows_stand_calls_that_repeat_another(histories, delivery, clean):
    added = histories.primary_care.collect()[list_kept(delivery, clean, "primary_care").height :]
    assert added.height == pick_planted(delivery, "primary_care", defect="second_call").height
    columns = added.columns
    assert added.join(clean["primary_care"], on=columns, how="semi", nulls_equal=True).height == len(added)


@pytest.mark.parametrize("table", [table for table in TABLES if table not in ("admissions", "primary_care")])
def test_elsewhere_nothing_stands_below_the_sound_rows(histories, delivery, clean, table):
    kept = histories.table(table).select(pl.len()).collect().item()
    assert kept == list_kept(delivery, clean, table).height


def test_a_delivery_without_defects_gives_the_histories_that_went_in(clean, tmp_path):
    faultless = plant_defects(clean, SEED, NONE)
    write_delivery(faultless, tmp_path / "delivery")
    assert faultless.planted.is_empty()
    for door in (sr.from_frames(**faultless.tables), sr.read_histories(tmp_path / "delivery")):
        assert door.quarantine.count() == 0
        for table in TABLES:
            assert_frame_equal(door.table(table).collect(), clean[table])


@pytest.mark.parametrize("rates", [{}, OFTEN], ids=["as stated", "often"])
def test_defects_are_planted_at_their_rates(clean, rates):
    delivery = plant_defects(clean, SEED, rates)
    assert all(defect.tables for defect in read_defects())
    for defect in read_defects():
        rate = rates.get(defect.name, defect.rate)
        for table in defect.tables:
            cells = count_cells(clean, delivery, defect, table)
            planted = pick_planted(delivery, table, defect=defect.name).height
            five_deviations = 5 * math.sqrt(cells * rate * (1 - rate)) + 1
            assert abs(planted - cells * rate) < five_deviations, (defect.name, table)


def test_a_rate_of_one_strikes_every_row_that_can_be_struck(clean):
    delivery = plant_defects(clean, SEED, NONE | {"missing_discharge": 1})
    closed = clean["admissions"]["discharge"].is_not_null()
    assert delivery.planted["row"].to_list() == closed.arg_true().to_list()
    assert set(delivery.tables["admissions"]["discharge"]) <= {"", None}


def test_each_defect_belongs_to_tables_and_columns_that_exist():
    assert all(defect.tables for defect in read_defects())
    for defect in read_defects():
        for table in defect.tables:
            assert set(defect.columns) & set(s.get_columns(table)), (defect.name, table)
        assert (defect.rule is None) == (defect.outcome == "kept")


def test_the_same_seed_gives_the_same_delivery(clean, delivery):
    again = plant_defects(clean, SEED, OFTEN)
    assert_frame_equal(again.planted, delivery.planted)
    for table in TABLES:
        assert_frame_equal(again.tables[table], delivery.tables[table])


def test_another_seed_strikes_other_rows(clean, delivery):
    assert not plant_defects(clean, SEED + 1, OFTEN).planted.equals(delivery.planted)


def test_tables_that_are_absent_stay_absent(clean):
    delivery = plant_defects({table: clean[table] for table in s.REQUIRED_TABLES}, SEED)
    assert tuple(delivery.tables) == s.REQUIRED_TABLES
    assert set(delivery.planted["table"]) <= set(s.REQUIRED_TABLES)


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan, "often", True, None])
def test_a_rate_that_is_no_share_is_refused(clean, rate):
    with pytest.raises(ConfigError, match=r"rate of the defect 'day_first' is .* from 0 to 1"):
        plant_defects(clean, SEED, {"day_first": rate})


def test_a_defect_that_does_not_exist_is_refused(clean):
    with pytest.raises(ConfigError, match=r"no defect \['coffee_stain'\]\. Known defects are \['duplicate'"):
        plant_defects(clean, SEED, {"coffee_stain": 0.1})


def test_rates_that_leave_no_sound_row_are_refused(clean):
    with pytest.raises(ConfigError, match=r"in table admissions add up to 1\.2, column by column"):
        plant_defects(clean, SEED, NONE | {"missing_discharge": 0.6, "late_registration": 0.6})


def test_the_list_of_what_was_planted_is_written_beside_the_tables(delivery, tmp_path):
    write_delivery(delivery, tmp_path / "new" / "folder")
    files = {file.name for file in (tmp_path / "new" / "folder").iterdir()}
    assert files == {f"{table}.csv" for table in TABLES} | {"planted.csv"}
    written = pl.read_csv(tmp_path / "new" / "folder" / "planted.csv", schema=delivery.planted.schema)
    assert_frame_equal(written, delivery.planted)


def test_a_delivery_cannot_be_written_below_a_file(delivery, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match=r"The delivery .* cannot be written"):
        write_delivery(delivery, tmp_path / "file" / "delivery")


def test_an_existing_folder_is_never_written_into(delivery, tmp_path):
    with pytest.raises(SourceError, match=r"exists already\. Name a new folder for the delivery"):
        write_delivery(delivery, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_delivery_that_fails_leaves_nothing_behind(delivery, tmp_path, monkeypatch):
    def fail_at_the_plants(_, target):
        if Path(target).name == "planted.csv":
            raise OSError(28, "No space left on device")
        Path(target).write_text("something")

    monkeypatch.setattr(pl.DataFrame, "write_csv", fail_at_the_plants)
    with pytest.raises(SourceError, match=r"cannot be written \(No space left on device\)"):
        write_delivery(delivery, tmp_path / "delivery")
    assert list(tmp_path.iterdir()) == []
