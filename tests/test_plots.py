"""Plots: shap is handed the contributions as they are, and draws them."""

import numpy as np
import pytest

from somv_risk import make_cohort, plots
from somv_risk.contributions import compute_contributions
from somv_risk.errors import CohortError, ConfigError
from somv_risk.scoring import choose_persons, collect_features


@pytest.fixture(scope="module")
def persons(region):
    rows = make_cohort(region, [region.data_end]).rows.head(200).collect()
    return rows["person_id"].to_list()


@pytest.fixture(scope="module")
def explanation(model, region, persons):
    return plots.make_explanation(model, region, index_time=region.data_end, person_ids=persons)


def test_shap_is_handed_contributions_values_and_names(model, region, persons, explanation):
    rows = choose_persons(model, region, region.data_end, persons)
    frame = collect_features(model, region, rows)
    matrix = model.encoding.to_matrix(frame)
    told = compute_contributions(model.main.booster, matrix)
    np.testing.assert_array_equal(explanation.values, told[:, :-1])
    np.testing.assert_array_equal(explanation.base_values, told[:, -1])
    np.testing.assert_array_equal(explanation.data, matrix)
    assert explanation.feature_names == [feature.name for feature in model.features]
    place = explanation.feature_names.index("sex")
    assert explanation.display_data[:, place].tolist() == frame["sex"].to_list()


def test_features_have_titles_in_the_language_asked_for(model, region, persons):
    told = plots.make_explanation(
        model, region, index_time=region.data_end, person_ids=persons[:50], language="en"
    )
    assert {"age", "acute admissions (365 d)"} <= set(told.feature_names)
    with pytest.raises(ConfigError, match="fi"):
        plots.make_explanation(model, region, index_time=region.data_end, language="fi")


def test_shap_draws_them(explanation):
    from matplotlib import pyplot as plt  # noqa: PLC0415 - slow to import

    plt.switch_backend("agg")
    drawn = plots.draw_beeswarm(explanation, shown=5)
    labels = [label.get_text() for label in drawn.get_yticklabels()]
    heaviest = explanation.feature_names[int(np.abs(explanation.values).mean(axis=0).argmax())]
    assert heaviest in labels
    plt.close("all")
    drawn = plots.draw_waterfall(explanation, 3, shown=5)
    largest = explanation.feature_names[int(np.abs(explanation.values[3]).argmax())]
    assert any(largest in label.get_text() for label in drawn.get_yticklabels())
    plt.close("all")


def test_a_person_who_is_not_there_is_refused(explanation):
    with pytest.raises(CohortError, match=f"There are {len(explanation)} persons"):
        plots.draw_waterfall(explanation, len(explanation))
