"""The model that ships with the library: it scores at once, and its explanations are LightGBM's."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
from somv_risk.errors import InputError
from somv_risk.features import load_catalogue
from somv_risk.testing.people import INDEX_TIME, thomas
from somv_risk.trees.contributions import explain_trees, score_trees

FOLDER = Path(__file__).parent.parent / "models" / "simulated"


@pytest.fixture(scope="module")
def shipped():
    return sr.load_model(FOLDER)


def test_the_shipped_model_scores_at_once(crowd):
    scores = sr.score(FOLDER, crowd, index_time=crowd.data_end, capacity=100, language="en")
    thomas = scores.row(by_predicate=pl.col("person_id") == "thomas", named=True)
    assert thomas["flagged"]
    assert len(thomas["reasons"]) == 3


def test_the_shipped_model_has_the_features_of_the_catalogue(shipped):
    assert shipped.features == load_catalogue()


def test_the_shipped_model_is_explained_and_scored_as_lightgbm_does(shipped, region):
    rows = sr.make_cohort(region, [region.data_end]).rows.head(1_000).collect()
    matrix = shipped.encoding.to_matrix(sr.build_features(region, rows, shipped.features).collect())
    assert len(shipped.heads) == 2
    for head in shipped.heads.values():
        expected = head.booster.predict(matrix, pred_contrib=True)
        told = explain_trees(head.booster, matrix)
        assert told.method == "quadrature"
        np.testing.assert_allclose(told.values, expected[:, :-1], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(
            score_trees(head.booster, matrix), head.booster.predict(matrix, raw_score=True)
        )


def deliver_thomas(code):
    """Thomas as a hospital delivers him, with each of his codes written by an expression."""
    changed = {
        name: frame.with_columns(
            code(pl.col(column)).alias(column) for column in ("diagnosis", "code") if column in frame.columns
        )
        for name, frame in thomas().items()
    }
    return sr.from_frames(**changed, data_end=INDEX_TIME)


def score_thomas(shipped, histories):
    return sr.score(shipped, histories, index_time=INDEX_TIME)


DANISH = {
    "SKS": lambda code: pl.format("D{}", code),
    "SKS with dots": lambda code: pl.format("D{}", code.str.replace("^(.{3})(.+)$", "${1}.${2}")),
    "small letters and a dagger": lambda code: pl.format(" {}+ ", code.str.to_lowercase()),
}


@pytest.mark.parametrize("form", DANISH)
def test_thomas_with_danish_codes_has_the_same_risk_and_reasons_to_the_bit(shipped, form):
    written = deliver_thomas(DANISH[form])
    assert written.quarantine.rows == {}
    plain = deliver_thomas(lambda code: code)
    assert_frame_equal(score_thomas(shipped, written), score_thomas(shipped, plain), check_exact=True)


@pytest.mark.filterwarnings("ignore::somv_risk.errors.QuarantineWarning")
def test_thomas_keeps_his_admissions_when_their_diagnoses_are_of_another_list(shipped):
    other = deliver_thomas(
        lambda code: pl.when(code.str.starts_with("Z")).then(code).otherwise(pl.lit("250.00"))
    )
    plain = deliver_thomas(lambda code: code)
    assert other.admissions.collect().height == plain.admissions.collect().height
    assert other.quarantine.count_set_aside("admissions") == 0
    assert score_thomas(shipped, other)["risk"].item() > 0.5


def test_thomas_with_danish_words_is_refused_with_the_right_ones():
    tables = dict(thomas())
    tables["admissions"] = tables["admissions"].with_columns(
        admission_type=pl.lit("Akut"), sector=pl.lit("Somatisk")
    )
    with pytest.raises(InputError, match=r"'Akut' in 36 rows \(nearest: acute\).*\(nearest: somatic\)"):
        sr.from_frames(**tables, data_end=INDEX_TIME)
