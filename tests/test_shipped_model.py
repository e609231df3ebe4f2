"""The model that ships with the library: it scores at once, and its explanations are LightGBM's."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import somv_risk as sr
from somv_risk.contributions import explain_trees, score_trees
from somv_risk.features import load_catalogue

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
    for head in shipped.heads.values():
        expected = head.booster.predict(matrix, pred_contrib=True)
        told = explain_trees(head.booster, matrix)
        assert told.method == "quadrature"
        np.testing.assert_allclose(told.values, expected[:, :-1], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(
            score_trees(head.booster, matrix), head.booster.predict(matrix, raw_score=True)
        )
