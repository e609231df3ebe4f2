"""Chunks, threads, parts and stores: however features are worked out, they are the same."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import somv_risk as sr
from shared import hold
from small_world import SELDOM, build_cohort, worlds
from somv_risk.errors import InputError
from somv_risk.features import _chunks as chunks
from somv_risk.features import _engine as engine
from somv_risk.features import build_features, load_catalogue
from somv_risk.features.views import hospital
from somv_risk.model.matrix import build_matrices, build_matrix, learn_encoding
from somv_risk.registers import schema as s
from somv_risk.store import scan_store, write_store

INDEX_TIMES = ["2024-01-01", "2024-04-01", "2025-01-01"]


@pytest.fixture(scope="module")
def region():
    return hold(sr.simulate(persons=1_500, seed=3))


@pytest.fixture(scope="module")
def cohort(region) -> pl.DataFrame:
    return sr.make_cohort(region, INDEX_TIMES).rows.collect()


@pytest.fixture(scope="module")
def built(region, cohort) -> pl.DataFrame:
    return build_features(region, cohort).collect()


@pytest.fixture(scope="module")
def stored(region, tmp_path_factory):
    path = tmp_path_factory.mktemp("chunks") / "store"
    write_store(region, path, buckets=3)
    return scan_store(path)


@SELDOM
@given(worlds(), st.integers(1, 4))
def test_chunks_and_threads_change_nothing(world, moments_per_chunk):
    query = build_features(world.histories, build_cohort(world.cohort))
    at_once = query.collect()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "MOMENTS_PER_CHUNK", moments_per_chunk)
        patch.setattr(engine, "FEW_MOMENTS", 0)
        assert_frame_equal(query.collect(), at_once, check_exact=True)


def test_rows_put_together_one_by_one_are_those_put_together_by_column(region, cohort, built, monkeypatch):
    few = cohort.sample(40, seed=1)
    by_column = build_features(region, few).collect()
    monkeypatch.setattr(engine, "FEW_ROWS", 40)
    assert_frame_equal(build_features(region, few).collect(), by_column, check_exact=True)
    assert_frame_equal(by_column, few.join(built, on=few.columns, how="left", maintain_order="left"))


def test_a_row_without_an_id_is_refused_by_count(region, cohort):
    moments = pl.concat(
        [pl.DataFrame({s.PERSON_ID: [None], s.INDEX_TIME: [cohort[0, 1]]}, cohort.schema), cohort]
    )
    with pytest.raises(InputError, match=f"cannot be read in 1 of {cohort.height + 1} rows"):
        build_features(region, moments).collect()


def test_closed_sets_may_be_texts_or_in_another_order(region, cohort, built):
    order = pl.Enum([*reversed(s.PRIMARY_CARE_KINDS), "unheard_of"])
    benefits = region.social_benefits.with_columns(pl.col(s.BENEFIT).cast(pl.String))
    care = region.primary_care.with_columns(pl.col(s.KIND).cast(pl.String).cast(order))
    tables = region.tables | {s.PRIMARY_CARE: care, s.SOCIAL_BENEFITS: benefits}
    found = build_features(replace(region, tables=tables), cohort).collect()
    assert_frame_equal(found, built, check_exact=True)


def test_many_hospitals_with_many_departments_are_told_apart(region, cohort, built, monkeypatch):
    monkeypatch.setattr(hospital, "MOST_UNITS", 0)
    names = [name for name in built.columns if "department" in name or "continuity" in name]
    assert names
    found = build_features(region, cohort).select(names).collect()
    assert_frame_equal(found, built.select(names), check_exact=True)


def test_a_store_of_several_buckets_gives_what_the_memory_gives(stored, cohort, built):
    assert len(stored.parts) == 3
    assert stored.parts[0].numbered
    assert_frame_equal(build_features(stored, cohort).collect(), built, check_exact=True)


def test_each_part_gives_its_own_persons(stored, cohort, built):
    assert len(stored.parts) > 1
    for part in stored.parts:
        own = cohort.lazy().join(part.persons, on=s.PERSON_ID, how="semi", maintain_order="left").collect()
        expected = (
            built.lazy().join(part.persons, on=s.PERSON_ID, how="semi", maintain_order="left").collect()
        )
        assert_frame_equal(build_features(part, own).collect(), expected, check_exact=True)


def test_persons_of_no_part_are_refused_by_count(stored):
    nobody = build_cohort([("nobody", datetime(2024, 1, 1))])
    with pytest.raises(InputError, match="1 of 1 rows of table cohort name persons who are not in"):
        build_features(stored, nobody).collect()


def test_a_store_whose_tables_were_changed_is_read_as_changed(stored, cohort):
    without = stored.tables | {s.ADMISSIONS: stored.admissions.clear()}
    changed = replace(stored, tables=without)
    assert changed.parts == (changed,)
    assert not changed.numbered
    features = build_features(changed, cohort).select("acute_admissions_730d", "gp_contacts_365d").collect()
    assert features["acute_admissions_730d"].sum() == 0
    assert features["gp_contacts_365d"].sum() > 0


@pytest.mark.parametrize("source", ["region", "stored"])
def test_the_matrix_holds_the_numbers_of_the_frame(source, cohort, built, request):
    encoding = learn_encoding(load_catalogue(), [built])
    rows = build_matrix(request.getfixturevalue(source), cohort, encoding)
    in_order = rows.cohort.join(built, on=[s.PERSON_ID, s.INDEX_TIME], how="left", maintain_order="left")
    np.testing.assert_array_equal(rows.matrix, encoding.to_matrix(in_order))
    assert_frame_equal(rows.cohort, cohort[rows.places])


def test_the_matrix_can_be_had_piece_by_piece(stored, cohort, built):
    encoding = learn_encoding(load_catalogue(), [built])
    whole = build_matrix(stored, cohort, encoding)
    pieces = list(build_matrices(stored, cohort, encoding))
    assert len(pieces) >= 3
    assert_frame_equal(pl.concat([piece.cohort for piece in pieces]), whole.cohort)
    np.testing.assert_array_equal(np.concatenate([piece.places for piece in pieces]), whole.places)
    np.testing.assert_array_equal(np.concatenate([piece.matrix for piece in pieces]), whole.matrix)


def test_nobody_has_a_matrix_of_no_rows(region, cohort, built):
    encoding = learn_encoding(load_catalogue(), [built])
    rows = build_matrix(region, cohort.clear(), encoding)
    assert rows.matrix.shape == (0, len(load_catalogue()))
    assert build_features(region, cohort.clear()).collect().is_empty()


def test_only_the_features_that_are_selected_are_computed(region, cohort, built):
    unreadable = pl.LazyFrame(schema=s.get_columns(s.PRIMARY_CARE)).map_batches(fail)
    histories = replace(region, tables=region.tables | {s.PRIMARY_CARE: unreadable})
    query = build_features(histories, cohort)
    found = query.select("age", "acute_admissions_365d").collect()
    assert_frame_equal(found, built.select("age", "acute_admissions_365d"))
    with pytest.raises(AssertionError, match="read"):
        query.select("gp_contacts_365d").collect()


def fail(_frame):
    raise AssertionError("The table was read.")


def test_a_query_may_filter_and_cut_the_features(region, cohort, built):
    query = build_features(region, cohort)
    many = pl.col("gp_contacts_365d") > 5
    assert_frame_equal(query.filter(many).select("age").collect(), built.filter(many).select("age"))
    assert_frame_equal(query.head(7).collect(), built.head(7))
    assert query.select(pl.len()).collect().item() == cohort.height
