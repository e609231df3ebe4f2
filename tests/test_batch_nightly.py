"""The nightly delta: what is taken over from an earlier run is what a full run would have computed."""

import json
import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta
from types import MappingProxyType

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import small_world as sw
import somv_risk as sr
from runs import ASKED, read_bytes, read_log
from somv_risk.batch import (
    Options,
    explain_bucket,
    find_resting,
    keep_reasons,
    keep_unchanged,
    run_batch,
    score_bucket,
)
from somv_risk.batch._rest import BACKGROUND, find_reach, list_backgrounds
from somv_risk.cohort.asof import Lags
from somv_risk.cohort.outcomes import count_past_events
from somv_risk.errors import ConfigError, SourceError
from somv_risk.features import load_catalogue
from somv_risk.model.matrix import Encoding
from somv_risk.registers.histories import Histories
from somv_risk.scoring.score import find_eligible
from somv_risk.store import scan_store, write_store

LISTED = Options(**ASKED)
ALL = Options(**ASKED | {"explain": "all"})
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
FEATURES = load_catalogue()
CATEGORIES = {"sex": ("female", "male", "unknown"), "municipality": ("360", "376")}
MUCH = ("social_benefits", "primary_care")


def widen(model, lags=()):
    """A model that looks at every feature of the catalogue."""
    return replace(
        model,
        encoding=Encoding(FEATURES, MappingProxyType(CATEGORIES)),
        lags=Lags(MappingProxyType(dict(lags))),
    )


def build_matrix(model, histories, rows):
    frame = sr.build_features(histories, rows, model.features, lags=model.lags).collect()
    return model.encoding.to_matrix(frame)


# --- Who rests


@st.composite
def later_moments(draw):
    """Moments at which much of the small world has just left a window, or is about to."""
    days, beside = draw(st.sampled_from(sw.WINDOWS)), draw(st.sampled_from(sw.BESIDE))
    return draw(st.sampled_from(sw.NEAR)) + days * DAY + beside


@sw.OFTEN
@given(sw.worlds(), later_moments(), sw.lags)
def test_of_whoever_rests_all_features_say_nothing(model, world, moment, lags):
    """A person is known only by the background, whatever the feature; and nothing was counted."""
    wide, histories = widen(model, lags), world.histories
    resting = find_resting(wide, histories, moment)
    assume(not resting.is_empty())
    rows = resting.with_columns(pl.lit(moment, pl.Datetime("us")).alias("index_time"))
    backgrounds = list_backgrounds(wide, histories.absent, build_matrix(wide, histories, rows))
    assert backgrounds.null_count() == 0
    past = count_past_events(histories, rows, wide.main.target, wide.lags).collect()
    assert past["outcome_events"].sum() == 0


PERSON = {"person_id": "ada", "birth_date": date(1980, 6, 1), "sex": "female", "municipality": "360"}
PERSON |= {"death_date": None, "observed_from": None, "observed_until": None}
CONTACT = {"person_id": "ada", "known_at": None, "contact_id": "a0", "sector": "somatic"}
CONTACT |= {"admission_type": "acute", "hospital": "A", "department": "C", "diagnosis": None}
CONTACT |= {"discharge": "completed"}
VISIT = {"person_id": "ada", "known_at": None, "kind": "gp"}


def admitted(start, end):
    tables = {"persons": [PERSON], "admissions": [CONTACT | {"started_at": start, "ended_at": end}]}
    return sw.build_histories(tables)


def visited(start, end=None):
    tables = {"persons": [PERSON], "admissions": []}
    return sw.build_histories(tables | {"primary_care": [VISIT | {"started_at": start, "ended_at": end}]})


@pytest.mark.parametrize(
    ("histories", "rests"),
    [
        (admitted(sw.INDEX - 1826 * DAY, sw.INDEX - 1825 * DAY), False),
        (admitted(sw.INDEX - 1826 * DAY, sw.INDEX - 1825 * DAY - MICROSECOND), True),
        (admitted(sw.INDEX - 4000 * DAY, None), False),
        (admitted(sw.INDEX - MICROSECOND, sw.INDEX + DAY), False),
        (admitted(sw.INDEX, sw.INDEX + DAY), True),
        (visited(sw.INDEX - 730 * DAY), False),
        (visited(sw.INDEX - 730 * DAY - MICROSECOND), True),
    ],
)
def test_a_row_stirs_until_it_has_left_the_longest_window_of_its_table(model, histories, rests):
    found = find_resting(widen(model), histories, sw.INDEX)
    assert found["person_id"].to_list() == (["ada"] if rests else [])


def test_a_row_whose_end_is_not_known_yet_stirs(model):
    end = sw.INDEX - 1900 * DAY
    for lag, rests in ((1899, ["ada"]), (1900, [])):
        late = widen(model, {"admissions": float(lag)})
        assert find_resting(late, admitted(end - DAY, end), sw.INDEX)["person_id"].to_list() == rests


def test_the_reach_is_that_of_the_longest_window_and_of_the_target(model):
    reach = find_reach(widen(model))
    assert reach["primary_care"] == 730
    assert reach["admissions"] == reach["diagnoses"] == 1825
    bare = replace(model, encoding=Encoding((), MappingProxyType({})))
    assert find_reach(bare) == {"admissions": 365}


# --- What is taken over


@pytest.fixture(scope="module")
def quiet(crowded) -> Histories:
    """A region in which every third person is on no benefit and sees no doctor, so that some rest."""
    tables = {name: table.collect() for name, table in crowded.tables.items()}
    some = tables["persons"]["person_id"].gather_every(3)
    kept = {
        name: table.filter(~pl.col("person_id").is_in(some.implode())) if name in MUCH else table
        for name, table in tables.items()
    }
    return Histories({name: table.lazy() for name, table in kept.items()}, crowded.data_end)


@pytest.fixture(scope="module")
def nights(model, quiet, tmp_path_factory):
    """A store, the run of a night, and one of the night after that had to compute everybody."""
    folder = tmp_path_factory.mktemp("nights")
    write_store(quiet, folder / "store", buckets=3)
    run_batch(model, folder / "store", folder / "first", index_time="2025-11-01", options=LISTED)
    run_batch(model, folder / "store", folder / "full", index_time="2025-11-02", options=LISTED)
    return folder


@pytest.fixture(scope="module")
def explained(model, nights, tmp_path_factory):
    """The same two nights, of which everybody is explained."""
    folder = tmp_path_factory.mktemp("explained")
    for out, moment in (("first", "2025-11-01"), ("full", "2025-11-02")):
        run_batch(model, nights / "store", folder / out, index_time=moment, options=ALL)
    return folder


def copy_run(folder, to, change):
    """Copy a run, of which the manifest tells something else."""
    shutil.copytree(folder, to)
    told = json.loads((to / "manifest.json").read_text())
    (to / "manifest.json").write_text(json.dumps(told | change))
    return to


def kept_in(folder, step="risk"):
    return [line["kept"] for line in read_log(folder, step)]


def test_a_night_leaves_the_bytes_of_a_full_run(model, nights, tmp_path):
    out = tmp_path / "out"
    given_ = {"index_time": "2025-11-02", "options": LISTED, "since": nights / "first"}
    run_batch(model, nights / "store", out, **given_)
    assert read_bytes(out) == read_bytes(nights / "full")
    assert sum(kept_in(out)) > 100


def test_a_month_later_it_still_does_but_for_birthdays(model, nights, tmp_path):
    run_batch(model, nights / "store", tmp_path / "a", index_time="2025-10-01", options=LISTED)
    run_batch(
        *(model, nights / "store", tmp_path / "b"),
        index_time="2025-11-02",
        options=LISTED,
        since=tmp_path / "a",
    )
    assert read_bytes(tmp_path / "b") == read_bytes(nights / "full")
    buckets = [scan_store(nights / "store", number) for number in range(3)]
    resting = sum(find_resting(model, bucket, datetime(2025, 11, 2)).height for bucket in buckets)
    assert 0 < sum(kept_in(tmp_path / "b")) < 0.97 * resting


def test_what_was_corrected_since_is_seen(model, quiet, nights, tmp_path):
    """A row that was there yesterday is gone, another is new and old, a birth date and a place are mended."""
    tables = {name: table.collect() for name, table in quiet.tables.items()}
    persons = tables["persons"].with_row_index()
    third, fifth = pl.col("index") % 3 == 0, pl.col("index") % 5 == 0
    mended = persons.with_columns(
        pl.when(third & fifth).then(date(1950, 2, 3)).otherwise("birth_date").alias("birth_date"),
        pl.when(pl.col("index") % 7 == 0).then(pl.lit("376")).otherwise("municipality").alias("municipality"),
    )
    moved = tables["admissions"].with_columns(pl.col("person_id").shift(40), pl.col("known_at").shift(40))
    tables |= {"persons": mended.drop("index"), "admissions": moved.filter(pl.col("person_id").is_not_null())}
    corrected = Histories({name: table.lazy() for name, table in tables.items()}, quiet.data_end)
    write_store(corrected, tmp_path / "store", buckets=3)
    for out, since in (("b", nights / "first"), ("c", None)):
        run_batch(
            model, tmp_path / "store", tmp_path / out, index_time="2025-11-02", options=LISTED, since=since
        )
    assert read_bytes(tmp_path / "b") == read_bytes(tmp_path / "c")
    assert sum(kept_in(tmp_path / "b")) > 0


def test_reasons_of_whoever_was_and_is_quiet_are_taken_over(model, nights, explained, tmp_path):
    out = tmp_path / "out"
    since = explained / "first"
    run_batch(model, nights / "store", out, index_time="2025-11-02", options=ALL, since=since)
    assert read_bytes(out) == read_bytes(explained / "full")
    assert sum(kept_in(out, "reasons")) >= sum(kept_in(out)) > 100


def test_of_those_who_were_not_explained_no_reasons_are_taken_over(model, nights, explained, tmp_path):
    out = tmp_path / "out"
    run_batch(model, nights / "store", out, index_time="2025-11-02", options=ALL, since=nights / "first")
    assert read_bytes(out) == read_bytes(explained / "full")
    assert sum(kept_in(out)) > 100
    told = pl.read_parquet(nights / "first" / "scores.parquet").filter(pl.col("reasons").list.len() > 0)
    assert sum(kept_in(out, "reasons")) <= told.height


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"reasons": 2, "language": "en"}},
        {"options": {"reasons": 3, "language": "da"}},
        {"complete": False},
    ],
)
def test_reasons_told_otherwise_are_told_anew(model, nights, explained, tmp_path, change):
    first, out = copy_run(explained / "first", tmp_path / "first", change), tmp_path / "out"
    run_batch(model, nights / "store", out, index_time="2025-11-02", options=ALL, since=first)
    assert read_bytes(out) == read_bytes(explained / "full")
    assert sum(kept_in(out)) > 100
    assert set(kept_in(out, "reasons")) == {None}


def test_a_place_that_training_has_not_met_is_told_by_its_name(model, quiet, tmp_path):
    """Such places are one value to the trees, so nobody who moves among them may keep yesterday's reason."""
    persons = quiet.tables["persons"].collect()
    for night, places in (("first", ["998", "998", "997"]), ("second", ["997", None, "997"])):
        moved = persons.with_columns(
            pl.Series("municipality", [places[number % 3] for number in range(persons.height)], pl.String)
        )
        tables = quiet.tables | {"persons": moved.lazy()}
        write_store(Histories(tables, quiet.data_end), tmp_path / f"store-{night}", buckets=3)
    asked = Options(explain="all", reasons=20, language="en")
    given_ = {"index_time": "2025-11-02", "options": asked}
    run_batch(model, tmp_path / "store-first", tmp_path / "a", index_time="2025-11-01", options=asked)
    run_batch(model, tmp_path / "store-second", tmp_path / "b", since=tmp_path / "a", **given_)
    run_batch(model, tmp_path / "store-second", tmp_path / "c", **given_)
    texts = pl.read_parquet(tmp_path / "c" / "scores.parquet")["reasons"].explode().struct.field("text")
    assert texts.str.contains("997").any()
    assert sum(kept_in(tmp_path / "b")) > 100
    assert read_bytes(tmp_path / "b") == read_bytes(tmp_path / "c")


def test_the_log_counts_the_reasons_that_were_taken_over_and_no_others(model, nights, explained, tmp_path):
    out = tmp_path / "out"
    few = Options(**ASKED | {"capacity": 5})
    run_batch(model, nights / "store", out, index_time="2025-11-02", options=few, since=explained / "first")
    assert sum(kept_in(out, "reasons")) <= 5


def test_an_earlier_run_cannot_be_in_the_folder_of_this_one(model, nights, explained, tmp_path):
    first = copy_run(explained / "first", tmp_path / "first", {})
    before = read_bytes(first)
    with pytest.raises(ConfigError, match="both the earlier run and this one"):
        run_batch(model, nights / "store", first, index_time="2025-11-02", since=first, fresh=True)
    assert read_bytes(first) == before


def test_years_later_it_still_does(model, nights, tmp_path):
    for out, moment, since in (("a", "2023-11-02", None), ("b", "2025-11-02", tmp_path / "a")):
        run_batch(model, nights / "store", tmp_path / out, index_time=moment, options=LISTED, since=since)
    assert read_bytes(tmp_path / "b") == read_bytes(nights / "full")


@pytest.mark.parametrize("folder", ["risks", "scores"])
def test_a_damaged_part_of_the_earlier_run_is_not_taken_over(model, nights, explained, tmp_path, folder):
    first, out = copy_run(explained / "first", tmp_path / "first", {}), tmp_path / "out"
    part = first / folder / "bucket-01.parquet"
    whole = part.read_bytes()
    told = int.from_bytes(whole[-8:-4], "little")  # what the file tells of itself stands at its end
    rows = len(whole) - 8 - told
    part.write_bytes(whole[:4] + bytes(rows - 4) + whole[rows:])
    run_batch(model, nights / "store", out, index_time="2025-11-02", options=ALL, since=first)
    assert read_bytes(out) == read_bytes(explained / "full")
    step = "risk" if folder == "risks" else "reasons"
    assert [kept is None for kept in kept_in(out, step)] == [False, True, False]


def rank(risks):
    return risks.with_columns(pl.int_range(1, pl.len() + 1).cast(pl.UInt32).alias("rank"))


@sw.SELDOM
@given(sw.worlds(), later_moments(), st.sampled_from([DAY, MICROSECOND, 30 * DAY, 366 * DAY]), sw.lags)
def test_whatever_the_world_reasons_kept_are_those_told(model, world, moment, step, lags):
    late, histories = replace(model, lags=Lags(MappingProxyType(lags))), world.histories
    nights = [rank(score_bucket(late, histories, at)) for at in (moment - step, moment)]
    assume(nights[1].height > 0)
    then, now = (explain_bucket(late, histories, night, ALL) for night in nights)
    kept = keep_reasons(nights[1], nights[0], then)
    assert_frame_equal(explain_bucket(late, histories, nights[1], ALL, kept), now, check_exact=True)


@sw.SELDOM
@given(sw.worlds(), later_moments(), st.sampled_from([DAY, MICROSECOND, 30 * DAY, 366 * DAY]), sw.lags)
def test_whatever_the_world_what_is_kept_is_what_is_computed(model, world, moment, step, lags):
    late, histories = replace(model, lags=Lags(MappingProxyType(lags))), world.histories
    assume(not find_eligible(late, histories, moment).rows.collect().is_empty())
    earlier = score_bucket(late, histories, moment - step)
    kept = keep_unchanged(late, histories, moment, earlier)
    full = score_bucket(late, histories, moment)
    assert_frame_equal(score_bucket(late, histories, moment, kept), full, check_exact=True)


def test_a_person_of_yesterday_who_had_events_is_not_taken_over(model, nights):
    risks = pl.read_parquet(nights / "first" / "risks" / "bucket-00.parquet")
    bucket = scan_store(nights / "store", 0)
    loud = risks.with_columns(pl.lit(None, risks.schema[BACKGROUND]).alias(BACKGROUND))
    assert keep_unchanged(model, bucket, datetime(2025, 11, 2), loud).is_empty()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": "x"}, "model"),
        ({"index_time": "2025-11-02T00:00:00"}, "index moment, which is not earlier"),
        ({"store": {"buckets": 2}}, "buckets or tables of the store"),
        ({"libraries": {}}, "library versions"),
    ],
)
def test_an_earlier_run_that_does_not_fit_is_not_used(model, nights, tmp_path, change, word):
    first, out = copy_run(nights / "first", tmp_path / "first", change), tmp_path / "out"
    run_batch(model, nights / "store", out, index_time="2025-11-02", options=LISTED, since=first)
    assert read_bytes(out) == read_bytes(nights / "full")
    (line,) = read_log(out, "nothing taken over")
    assert line["different"] == word
    assert set(kept_in(out)) == {None}


def test_a_folder_without_a_run_is_an_error(model, nights, tmp_path):
    with pytest.raises(SourceError, match="holds no earlier run"):
        run_batch(
            model,
            nights / "store",
            tmp_path / "out",
            index_time="2025-11-02",
            options=Options(),
            since=tmp_path,
        )
