"""Plots: shap is handed the contributions as they are, and draws them; a timeline stands on its own."""

import re
from collections import Counter
from datetime import datetime
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from somv_risk import from_frames, make_cohort
from somv_risk.errors import CohortError, ConfigError
from somv_risk.report import shap_plots as plots
from somv_risk.scoring.score import choose_persons, collect_features
from somv_risk.scoring.worklist import build_timeline_events
from somv_risk.testing.people import ole, thomas
from somv_risk.trees.contributions import compute_contributions


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


def test_themes_are_explained_by_the_sums_of_their_features(model, region, persons, explanation):
    told = plots.make_explanation(model, region, index_time=region.data_end, person_ids=persons, by="theme")
    assert set(told.feature_names) == {feature.definition.theme for feature in model.features}
    for place, theme in enumerate(told.feature_names):
        own = [n for n, feature in enumerate(model.features) if feature.definition.theme == theme]
        np.testing.assert_allclose(told.values[:, place], explanation.values[:, own].sum(axis=1), atol=1e-12)
    np.testing.assert_array_equal(told.base_values, explanation.base_values)
    named = plots.make_explanation(
        model, region, index_time=region.data_end, person_ids=persons[:5], by="theme", language="da"
    )
    assert "Psykiatri" in named.feature_names
    with pytest.raises(ConfigError, match="by is 'person'"):
        plots.make_explanation(model, region, index_time=region.data_end, by="person")


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


@pytest.mark.parametrize("by", ["feature", "theme"])
def test_a_bar_is_as_long_as_the_mean_size_of_its_contributions(model, region, persons, by):
    from matplotlib import pyplot as plt  # noqa: PLC0415 - slow to import

    plt.switch_backend("agg")
    told = plots.make_explanation(model, region, index_time=region.data_end, person_ids=persons, by=by)
    drawn = plots.draw_bar(told, shown=4)
    lengths = sorted((bar.get_width() for bar in drawn.patches), reverse=True)
    means = np.sort(np.abs(told.values).mean(axis=0))[::-1]
    assert means[0] in lengths
    assert set(means[:3]) <= set(lengths)
    heaviest = told.feature_names[int(np.abs(told.values).mean(axis=0).argmax())]
    assert heaviest in [label.get_text() for label in drawn.get_yticklabels()]
    plt.close("all")


def test_shap_draws_themes_too(model, region, persons):
    from matplotlib import pyplot as plt  # noqa: PLC0415 - slow to import

    plt.switch_backend("agg")
    told = plots.make_explanation(model, region, index_time=region.data_end, person_ids=persons, by="theme")
    for drawn in (plots.draw_beeswarm(told), plots.draw_waterfall(told, 2)):
        labels = [label.get_text() for label in drawn.get_yticklabels()]
        assert set(told.feature_names) <= set(labels)
        plt.close("all")


NOW = datetime(2026, 1, 1)


@pytest.mark.parametrize("language", ["da", "en"])
def test_a_timeline_is_an_svg_of_its_own_that_shows_what_the_list_shows(model, language):
    """Thomas' last two years: counts in the description, one path per bar, and nothing to fetch."""
    histories = from_frames(**thomas(NOW), data_end=NOW)
    svg = plots.draw_timeline(model, histories, "thomas", NOW, language=language)
    root = ET.fromstring(svg)  # noqa: S314 - our own text
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    (text,) = [element.text for element in root.iter(f"{space}desc")]
    row = choose_persons(model, histories, NOW, None)
    counts = Counter(build_timeline_events(histories, row, model.lags)["category"])
    assert sum(counts.values()) == sum(int(number) for number in re.findall(r"\d+(?=\xa0)", text))
    bars = root.find(f"{space}g[@class='acute_admission']")
    assert len(bars) == counts["acute_admission"]
    legend = [element.text.replace("\xa0", " ") for element in root.iter(f"{space}text")]
    word = {"da": "akutte indlæggelser", "en": "acute admissions"}[language]
    assert f"{counts['acute_admission']} {word}" in legend
    assert not re.search(r"(href|src)=|url\(|@import", svg)


def test_a_timeline_of_somebody_who_is_still_in_hospital_says_so(model):
    svg = plots.draw_timeline(model, from_frames(**ole(NOW), data_end=NOW), "ole", NOW, language="en")
    assert svg.count('class="open"') == 2  # beyond the line's end, and in the legend
    assert 'class="unfinished"' not in svg


def test_a_timeline_of_nobody_or_in_no_language_is_refused(model):
    histories = from_frames(**ole(NOW), data_end=NOW)
    with pytest.raises(CohortError, match="Nobody is eligible"):
        plots.draw_timeline(model, histories, "nobody", NOW)
    with pytest.raises(ConfigError, match="language 'fi'"):
        plots.draw_timeline(model, histories, "ole", NOW, language="fi")


def test_a_person_who_is_not_there_is_refused(explanation):
    with pytest.raises(CohortError, match=f"There are {len(explanation)} persons"):
        plots.draw_waterfall(explanation, len(explanation))
