"""The reason texts: every feature has its sentence, in every language, without cause, blame or clumsiness."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from itertools import product
from typing import Any

import pytest

from sayings import (
    CAUSE_WORDS,
    FEATURES,
    STIGMA_WORDS,
    find_words,
    is_null,
    list_fields,
    values_of,
)
from somv_risk.cohort.windows import Lookback
from somv_risk.errors import ConfigError
from somv_risk.features import MEASURES, THEMES, Feature, load_catalogue, load_definitions
from somv_risk.languages import LANGUAGES
from somv_risk.scoring.reasons import list_templates, load_texts, read_texts, render_reason, render_sentence
from somv_risk.scoring.reasons._shapes import SHAPES, get_shape

TELLING_FORMS = {"other", "more", "fewer"}
CONTRIBUTIONS = (0.7, -0.7, 0.0)
OTHERS = [language for language in LANGUAGES if language != "da"]


def read_file(language: str) -> dict[str, Any]:
    return tomllib.loads(
        resources.files("somv_risk.scoring.reasons").joinpath(f"{language}.toml").read_text(encoding="utf-8")
    )


def list_texts(language: str) -> list[str]:
    texts = load_texts(language)
    return [*(template.text for template in list_templates(texts)), *texts.themes.values()]


def build_feature(name: str, days: int) -> Feature:
    return replace(FEATURES[name], window=Lookback(days))


def windows_told(feature: Feature, value: float | str | None, language: str) -> list[str]:
    texts, days, shape = load_texts(language), feature.lookback.days, get_shape(feature)
    if shape.compares_halves and not is_null(value):
        return [texts.window(days // 2), texts.window_before(days // 2)]
    return [texts.window(days)]


def every_sentence(language: str) -> Iterator[tuple[Feature, float | str | None, float, str]]:
    for feature in load_catalogue():
        for value, contribution in product(values_of(feature), CONTRIBUTIONS):
            yield feature, value, contribution, render_sentence(feature, value, contribution, language)


# The catalogues


@pytest.mark.parametrize("language", OTHERS)
def test_all_languages_hold_the_same_features_and_forms(language):
    danish, other = load_texts("da").features, load_texts(language).features
    assert {identity: set(forms) for identity, forms in danish.items()} == {
        identity: set(forms) for identity, forms in other.items()
    }


@pytest.mark.parametrize("language", OTHERS)
def test_all_languages_use_the_same_placeholders_in_each_text(language):
    danish, other = (
        {template.place: list_fields(template.text) for template in list_templates(load_texts(each))}
        for each in ("da", language)
    )
    assert danish == other


@pytest.mark.parametrize("language", OTHERS)
def test_all_languages_draw_the_same_bands_and_are_of_one_version(language):
    danish, other = load_texts("da"), load_texts(language)
    assert danish.bands == other.bands
    assert danish.version == other.version


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_feature_of_the_catalogue_has_an_entry_and_no_entry_is_left_over(language):
    assert list(load_texts(language).features) == [definition.id for definition in load_definitions()]


def test_every_measure_has_a_shape():
    assert {measure.shape for measure in MEASURES.values()} == set(SHAPES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_forms_for_any_number_tell_the_value_and_no_other_form_does(language):
    assert load_definitions()
    for definition in load_definitions():
        placeholder = SHAPES[MEASURES[definition.measure].shape].placeholder
        for form, text in load_texts(language).features[definition.id].items():
            assert (placeholder in list_fields(text)) == (
                form in TELLING_FORMS and placeholder is not None
            ), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_claims_a_cause(language):
    assert [text for text in list_texts(language) if find_words(text, CAUSE_WORDS[language])] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_blames_or_labels(language):
    assert [text for text in list_texts(language) if find_words(text, STIGMA_WORDS[language])] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Indlagt, fordi behandlingen svigtede.", CAUSE_WORDS["da"]),
        ("Det skyldes alkohol.", CAUSE_WORDS["da"]),
        ("Admitted because of alcohol.", CAUSE_WORDS["en"]),
        ("Udskrevet mod råd.", STIGMA_WORDS["da"]),
        ("2 afbrudte behandlinger.", STIGMA_WORDS["da"]),
        ("A frequent flyer.", STIGMA_WORDS["en"]),
        ("Innlagt på grunn av alkohol.", CAUSE_WORDS["nb"]),
        ("Det fører til flere innleggelser.", CAUSE_WORDS["nb"]),
        ("Uteble fra avtalen.", STIGMA_WORDS["nb"]),
        ("Inlagd eftersom behandlingen tog slut.", CAUSE_WORDS["sv"]),
        ("Det beror på alkohol, därför att det orsakar fall.", CAUSE_WORDS["sv"]),
        ("Det leder till fler inläggningar.", CAUSE_WORDS["sv"]),
        ("Två uteblivna besök.", STIGMA_WORDS["sv"]),
    ],
)
def test_the_word_lists_catch_what_they_are_for(text, words):
    assert find_words(text, words)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_cause_is_found_wherever_it_is_planted(language):
    planted = {"da": "fordi", "en": "because", "nb": "fordi", "sv": "eftersom"}[language]
    content = read_file(language)
    places = (content["features"]["acute_admissions"], content["directions"], content["marks"])
    assert all(places)
    for place in places:
        for form, text in place.items():
            place[form] = f"{text.rstrip('.')}, {planted} x."
            found = [each.text for each in list_templates(read_texts(language, content))]
            assert [told for told in found if find_words(told, CAUSE_WORDS[language])] == [place[form]]
            place[form] = text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("da", "ikke gennemgået"),
        ("en", "not yet reviewed"),
        ("nb", "ikke gjennomgått"),
        ("sv", "inte granskad"),
    ],
)
def test_the_files_say_honestly_that_nobody_has_reviewed_them(language, words):
    assert words in load_texts(language).review.lower()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_theme_has_a_name_of_its_own(language):
    assert len({load_texts(language).theme(theme) for theme in THEMES}) == len(THEMES) == 11


def test_an_unknown_theme_is_told_the_known_ones():
    with pytest.raises(ConfigError, match="bursts"):
        load_texts("da").theme("weather")


def test_an_unknown_language_is_told_the_known_ones():
    with pytest.raises(ConfigError, match=r"'fr'.*'da', 'en'"):
        render_sentence(FEATURES["age"], 45, 0.1, "fr")


# Every sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_whole(language):
    sentences = list(every_sentence(language))
    assert len(sentences) > 1_000
    for feature, _, _, sentence in sentences:
        assert sentence.endswith("."), sentence
        assert sentence[0] == sentence[0].upper(), sentence
        assert not re.search(r"[{}]|None|\bnan\b|\bd\b|  |\.\.|[a-z]_[a-z]", sentence), (
            feature.name,
            sentence,
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_names_its_window_unless_it_tells_how_long_ago(language):
    sentences = list(every_sentence(language))
    assert len(sentences) > 1_000
    for feature, value, _, sentence in sentences:
        tells_when = feature.measure.shape == "how_long_ago" and not is_null(value)
        if feature.window and not tells_when:
            told = windows_told(feature, value, language)
            assert all(words in sentence.lower() for words in told), sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_tells_its_direction_once(language):
    directions = load_texts(language).directions
    sentences = list(every_sentence(language))
    assert len(sentences) > 1_000
    for _, _, contribution, sentence in sentences:
        form = {0.7: "raises", -0.7: "lowers", 0.0: "neither"}[contribution]
        assert [name for name, text in directions.items() if text in sentence] == [form]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_finding_does_not_depend_on_the_direction(language):
    assert all(values_of(feature) for feature in load_catalogue())
    for feature in load_catalogue():
        for value in values_of(feature):
            findings = {
                render_sentence(feature, value, contribution, language).removesuffix(
                    load_texts(language).direction(contribution)
                )
                for contribution in CONTRIBUTIONS
            }
            assert len(findings) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_feature_of_the_catalogue_is_told_by_its_title(language):
    sentences = list(every_sentence(language))
    assert len(sentences) > 1_000
    for feature, _, _, sentence in sentences:
        # "Age: 45 years" begins like its title and is meant to.
        if feature.definition.theme != "background":
            assert not sentence.lower().startswith(f"{feature.definition.title[language]}: "), sentence


# Sentences, read and agreed by hand

RAISES = {"da": "Det trækker den beregnede risiko op.", "en": "This raises the estimated risk."}
AGREED = [
    (
        "acute_admissions_365d",
        12,
        "12 akutte indlæggelser det seneste år.",
        "12 acute admissions in the past year.",
    ),
    ("acute_admissions_365d", 1, "1 akut indlæggelse det seneste år.", "1 acute admission in the past year."),
    (
        "acute_admissions_365d",
        0,
        "Ingen akutte indlæggelser det seneste år.",
        "No acute admissions in the past year.",
    ),
    (
        "acute_admissions_30d",
        None,
        "Ingen oplysninger om akutte indlæggelser den seneste måned.",
        "No information about acute admissions in the past month.",
    ),
    (
        "most_acute_admissions_in_7_days_365d",
        3,
        "Op til 3 akutte indlæggelser på 7 dage det seneste år.",
        "Up to 3 acute admissions within 7 days in the past year.",
    ),
    (
        "unfinished_stays_180d",
        2,
        "Gik 2 gange fra hospitalet det seneste halve år, før behandlingen var færdig.",
        "Left hospital 2 times in the past 6 months before treatment was finished.",
    ),
    (
        "unfinished_share_365d",
        1 / 3,
        "33 % af hospitalsopholdene det seneste år blev forladt, før behandlingen var færdig.",
        "33% of the hospital stays in the past year were left before treatment was finished.",
    ),
    (
        "psychiatric_no_shows_90d",
        1,
        "1 aftale i psykiatrien de seneste 3 måneder blev ikke til noget (aflysninger ikke medregnet).",
        "1 psychiatric appointment fell through in the past 3 months (cancellations not counted).",
    ),
    (
        "bed_days_730d",
        0.3,
        "Under 1 dag indlagt på hospital de seneste 2 år.",
        "Less than 1 day in hospital in the past 2 years.",
    ),
    (
        "bed_days_730d",
        1.2,
        "1 dag indlagt på hospital de seneste 2 år.",
        "1 day in hospital in the past 2 years.",
    ),
    (
        "bed_days_730d",
        2.5,
        "3 dage indlagt på hospital de seneste 2 år.",
        "3 days in hospital in the past 2 years.",
    ),
    (
        "bed_days_30d",
        30,
        "Indlagt på hospital hele tiden den seneste måned.",
        "In hospital the whole time in the past month.",
    ),
    (
        "days_since_discharge_730d",
        0.5,
        "Udskrevet fra hospital inden for det seneste døgn.",
        "Discharged from hospital within the last 24 hours.",
    ),
    (
        "days_since_discharge_730d",
        1,
        "Den seneste udskrivning fra hospital var for 1 dag siden.",
        "The last discharge from hospital was 1 day ago.",
    ),
    (
        "days_since_discharge_730d",
        400,
        "Den seneste udskrivning fra hospital var for omkring 13 måneder siden.",
        "The last discharge from hospital was about 13 months ago.",
    ),
    (
        "days_since_discharge_730d",
        None,
        "Ingen registreret udskrivning fra hospital de seneste 2 år.",
        "No recorded discharge from hospital in the past 2 years.",
    ),
    (
        "days_on_current_benefit",
        1500,
        "Den samme forsørgelse i omkring 4 år.",
        "The same source of income for about 4 years.",
    ),
    (
        "department_continuity_365d",
        0.2,
        "Hospitalskontakterne det seneste år var spredt over forskellige afdelinger.",
        "The hospital contacts in the past year were spread over different departments.",
    ),
    (
        "department_entropy_365d",
        -1e-17,
        "Al hospitalskontakt det seneste år var på den samme afdeling.",
        "All hospital contact in the past year was with the same department.",
    ),
    ("in_shelter", 1, "På herberg eller forsorgshjem lige nu.", "In a shelter at the moment."),
    ("in_shelter", 0, "Ikke på herberg eller forsorgshjem lige nu.", "Not in a shelter at the moment."),
    (
        "anxiety_diagnosis_1825d",
        1,
        "Angst er noteret som diagnose de seneste 5 år.",
        "Anxiety was noted as a diagnosis in the past 5 years.",
    ),
    (
        "acute_admissions_decayed_730d",
        0,
        "Ingen akutte indlæggelser de seneste 2 år.",
        "No acute admissions in the past 2 years.",
    ),
    (
        "acute_admissions_decayed_730d",
        0.03,
        "Ingen akutte indlæggelser de seneste 3 måneder, men mindst 1 tidligere inden for de seneste 2 år.",
        "No acute admissions in the past 3 months, but at least 1 earlier in the past 2 years.",
    ),
    (
        "acute_admissions_decayed_730d",
        0.9,
        "Omkring 1 akut indlæggelse de seneste 2 år, når ældre indlæggelser tæller mindre end nye.",
        "About 1 acute admission in the past 2 years, when older ones count for less than new ones.",
    ),
    (
        "acute_admissions_decayed_730d",
        4.2,
        "Omkring 4 akutte indlæggelser de seneste 2 år, når ældre indlæggelser tæller mindre end nye.",
        "About 4 acute admissions in the past 2 years, when older ones count for less than new ones.",
    ),
    (
        "psychiatric_no_shows_decayed_730d",
        None,
        "Ingen oplysninger om aftaler i psykiatrien de seneste 2 år.",
        "No information about psychiatric appointments in the past 2 years.",
    ),
    (
        "acute_admissions_trend_360d",
        2,
        "2 flere akutte indlæggelser det seneste halve år end i halvåret før.",
        "2 more acute admissions in the past 6 months than in the 6 months before.",
    ),
    (
        "acute_admissions_trend_360d",
        1,
        "1 akut indlæggelse mere det seneste halve år end i halvåret før.",
        "1 more acute admission in the past 6 months than in the 6 months before.",
    ),
    (
        "acute_admissions_trend_360d",
        0,
        "Hverken flere eller færre akutte indlæggelser det seneste halve år end i halvåret før.",
        "Neither more nor fewer acute admissions in the past 6 months than in the 6 months before.",
    ),
    (
        "acute_admissions_trend_360d",
        -1,
        "1 akut indlæggelse færre det seneste halve år end i halvåret før.",
        "1 fewer acute admission in the past 6 months than in the 6 months before.",
    ),
    (
        "unfinished_trend_360d",
        -3,
        (
            "3 færre hospitalsophold blev forladt, før behandlingen var færdig, det seneste halve "
            "år end i halvåret før."
        ),
        (
            "3 fewer hospital stays were left before treatment was finished in the past 6 months "
            "than in the 6 months before."
        ),
    ),
    (
        "out_of_hours_trend_360d",
        None,
        "Ingen oplysninger om kontakter med lægevagten de seneste 12 måneder.",
        "No information about contacts with the out-of-hours doctor in the past 12 months.",
    ),
    (
        "home_care_days_trend_180d",
        30.2,
        "30 dage mere med hjemmehjælp de seneste 3 måneder end i de 3 måneder før.",
        "30 days more with home care in the past 3 months than in the 3 months before.",
    ),
    (
        "bed_days_trend_360d",
        -0.6,
        "1 dag mindre indlagt på hospital det seneste halve år end i halvåret før.",
        "1 day fewer in hospital in the past 6 months than in the 6 months before.",
    ),
    (
        "bed_days_trend_360d",
        -0.4,
        "Hverken flere eller færre dage indlagt på hospital det seneste halve år end i halvåret før.",
        "Neither more nor fewer days in hospital in the past 6 months than in the 6 months before.",
    ),
    (
        "sickness_days_trend_360d",
        None,
        "Ingen oplysninger om sygedagpenge de seneste 12 måneder.",
        "No information about sickness benefit in the past 12 months.",
    ),
    (
        "median_gap_730d",
        75,
        "Der gik typisk omkring 2 måneder fra et hospitalsophold til det næste de seneste 2 år.",
        "Typically about 2 months passed from one hospital stay to the next in the past 2 years.",
    ),
    (
        "median_gap_730d",
        0.3,
        "Der gik typisk under 1 dag fra et hospitalsophold til det næste de seneste 2 år.",
        "Typically less than 1 day passed from one hospital stay to the next in the past 2 years.",
    ),
    (
        "median_gap_730d",
        None,
        "Færre end 2 registrerede hospitalsophold de seneste 2 år.",
        "Fewer than 2 recorded hospital stays in the past 2 years.",
    ),
    (
        "gap_burstiness_730d",
        -1,
        "Hospitalsopholdene de seneste 2 år lå med nogenlunde lige lang tid imellem.",
        "The hospital stays in the past 2 years came with roughly the same time between them.",
    ),
    (
        "gap_burstiness_1825d",
        0.4,
        "Hospitalsopholdene de seneste 5 år lå med meget forskellig tid imellem.",
        "The hospital stays in the past 5 years came with widely varying time between them.",
    ),
    (
        "gap_burstiness_730d",
        None,
        "Færre end 3 registrerede hospitalsophold de seneste 2 år.",
        "Fewer than 3 recorded hospital stays in the past 2 years.",
    ),
    (
        "department_concentration_365d",
        0.6,
        "60 % af hospitalskontakterne det seneste år var på den afdeling, der havde flest kontakter.",
        "60% of the hospital contacts in the past year were with the department that had most contacts.",
    ),
    (
        "department_concentration_365d",
        1,
        "Al hospitalskontakt det seneste år var på den samme afdeling.",
        "All hospital contact in the past year was with the same department.",
    ),
    (
        "department_concentration_365d",
        None,
        "Ingen registrerede kontakter med en oplyst hospitalsafdeling det seneste år.",
        "No recorded contacts with a stated hospital department in the past year.",
    ),
    (
        "department_sequence_730d",
        0.5,
        "50 % af gangene de seneste 2 år var en ny hospitalskontakt på samme afdeling som den forrige.",
        (
            "50% of the times in the past 2 years, a new hospital contact was with the same "
            "department as the one before."
        ),
    ),
    (
        "department_sequence_730d",
        0,
        "Ingen hospitalskontakt de seneste 2 år var på samme afdeling som den forrige.",
        "No hospital contact in the past 2 years was with the same department as the one before.",
    ),
    (
        "department_sequence_730d",
        1,
        "Hver ny hospitalskontakt de seneste 2 år var på samme afdeling som den forrige.",
        "Every new hospital contact in the past 2 years was with the same department as the one before.",
    ),
    (
        "department_sequence_730d",
        None,
        "Færre end 2 registrerede kontakter med en oplyst hospitalsafdeling de seneste 2 år.",
        "Fewer than 2 recorded contacts with a stated hospital department in the past 2 years.",
    ),
    (
        "never_self_supported_728d",
        1,
        "Ikke selvforsørgende på noget tidspunkt de seneste 2 år.",
        "Not self-supporting at any time in the past 2 years.",
    ),
    (
        "never_self_supported_728d",
        0,
        "Selvforsørgende i hvert fald noget af tiden de seneste 2 år.",
        "Self-supporting at least some of the time in the past 2 years.",
    ),
    (
        "never_self_supported_728d",
        None,
        "Ingen registreret forsørgelse de seneste 2 år.",
        "No recorded source of income in the past 2 years.",
    ),
    (
        "longest_shelter_stay_730d",
        0,
        "Ingen dage på herberg eller forsorgshjem de seneste 2 år.",
        "No days in a shelter in the past 2 years.",
    ),
    (
        "longest_shelter_stay_730d",
        1,
        "Den længste sammenhængende periode på herberg eller forsorgshjem de seneste 2 år var på 1 dag.",
        "The longest unbroken time in a shelter in the past 2 years was 1 day.",
    ),
    (
        "longest_substance_treatment_1825d",
        1100,
        "Den længste sammenhængende periode i rusmiddelbehandling de seneste 5 år var på omkring 3 år.",
        "The longest unbroken time in treatment for alcohol or drugs in the past 5 years was about 3 years.",
    ),
    (
        "longest_substance_treatment_1825d",
        1825,
        "I rusmiddelbehandling hele tiden de seneste 5 år.",
        "In treatment for alcohol or drugs the whole time in the past 5 years.",
    ),
    (
        "longest_substance_treatment_1825d",
        None,
        "Ingen oplysninger om rusmiddelbehandling de seneste 5 år.",
        "No information about treatment for alcohol or drugs in the past 5 years.",
    ),
    (
        "days_since_first_diabetes_diagnosis_1825d",
        1000,
        "Diabetes er noteret som diagnose de seneste 5 år, første gang for omkring 3 år siden.",
        "Diabetes was noted as a diagnosis in the past 5 years, the first time about 3 years ago.",
    ),
    (
        "days_since_first_diabetes_diagnosis_1825d",
        0,
        "Diabetes er noteret som diagnose de seneste 5 år, første gang inden for det seneste døgn.",
        "Diabetes was noted as a diagnosis in the past 5 years, the first time within the last 24 hours.",
    ),
    (
        "days_since_first_diabetes_diagnosis_1825d",
        None,
        "Diabetes er ikke registreret som diagnose de seneste 5 år.",
        "Diabetes was not recorded as a diagnosis in the past 5 years.",
    ),
    (
        "unfinished_share_after_unfinished_1825d",
        0.25,
        (
            "Når et hospitalsophold var forladt før tid, blev også det næste forladt før tid i 25 "
            "% af tilfældene de seneste 5 år."
        ),
        (
            "When a hospital stay had been left early, the next one was left early too in 25% of "
            "cases in the past 5 years."
        ),
    ),
    (
        "outside_labour_market",
        0,
        (
            "Hverken på kontanthjælp, uddannelseshjælp, sygedagpenge, ressourceforløbsydelse "
            "eller førtidspension lige nu."
        ),
        (
            "On neither social assistance, sickness benefit, a rehabilitation course towards work "
            "nor early retirement pension at the moment."
        ),
    ),
    ("age", 45, "Alder: 45 år.", "Age: 45 years."),
    ("sex", "male", "Køn: mand.", "Sex: man."),
    ("municipality", "376", "Bopælskommune: Guldborgsund.", "Municipality of residence: Guldborgsund."),
    ("municipality", "Atlantis", "Bopælskommune: Atlantis.", "Municipality of residence: Atlantis."),
]


@pytest.mark.parametrize(("name", "value", "danish", "english"), AGREED)
def test_agreed_sentences(name, value, danish, english):
    assert render_sentence(FEATURES[name], value, 0.5, "da") == f"{danish} {RAISES['da']}"
    assert render_sentence(FEATURES[name], value, 0.5, "en") == f"{english} {RAISES['en']}"


@pytest.mark.parametrize(
    ("days", "danish", "english"),
    [
        (1, "det seneste døgn", "in the past day"),
        (30, "den seneste måned", "in the past month"),
        (90, "de seneste 3 måneder", "in the past 3 months"),
        (180, "det seneste halve år", "in the past 6 months"),
        (360, "de seneste 12 måneder", "in the past 12 months"),
        (365, "det seneste år", "in the past year"),
        (728, "de seneste 2 år", "in the past 2 years"),
        (730, "de seneste 2 år", "in the past 2 years"),
        (1825, "de seneste 5 år", "in the past 5 years"),
        (45, "de seneste 45 dage", "in the past 45 days"),
    ],
)
def test_a_window_is_called_as_one_would_say_it(days, danish, english):
    feature = build_feature("acute_admissions_365d", days)
    assert f" {danish}. " in render_sentence(feature, 2, 1.0, "da")
    assert f" {english}. " in render_sentence(feature, 2, 1.0, "en")


@pytest.mark.parametrize(
    ("days", "danish", "english"),
    [
        (60, "den seneste måned end i måneden før", "in the past month than in the month before"),
        (
            180,
            "de seneste 3 måneder end i de 3 måneder før",
            "in the past 3 months than in the 3 months before",
        ),
        (360, "det seneste halve år end i halvåret før", "in the past 6 months than in the 6 months before"),
        (730, "det seneste år end i året før", "in the past year than in the year before"),
        (90, "de seneste 45 dage end i de 45 dage før", "in the past 45 days than in the 45 days before"),
    ],
)
def test_a_trend_compares_the_halves_of_its_window(days, danish, english):
    feature = build_feature("acute_admissions_trend_360d", days)
    assert f" {danish}. " in render_sentence(feature, 2, 1.0, "da")
    assert f" {english}. " in render_sentence(feature, -2, 1.0, "en")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["acute_admissions_decayed_730d", "unfinished_decayed_730d"])
def test_only_what_is_older_than_three_months_is_told_as_older(name, language):
    feature, three_months = FEATURES[name], load_texts(language).window(90)
    assert three_months in render_sentence(feature, 0.499, 1.0, language)
    assert three_months not in render_sentence(feature, 0.5 ** (90 / 100), 1.0, language)


def test_a_share_is_all_or_nothing_only_if_it_is_exactly():
    share = FEATURES["unfinished_share_365d"]
    assert render_sentence(share, 1, 1.0, "da").startswith("Alle hospitalsophold ")
    assert render_sentence(share, 0.996, 1.0, "da").startswith("Over 99 % af hospitalsopholdene ")
    assert render_sentence(share, 0.004, 1.0, "da").startswith("Under 1 % af hospitalsopholdene ")
    assert render_sentence(share, 0, 1.0, "da").startswith("Ingen hospitalsophold ")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("department_continuity_365d", 0, "spredt over forskellige afdelinger"),
        ("department_continuity_365d", 0.3, "på flere afdelinger, men ofte på de samme"),
        ("department_continuity_365d", 0.7, "for det meste på den samme afdeling"),
        ("department_continuity_365d", 1, "alle på den samme afdeling"),
        ("psychiatric_provider_continuity_730d", 0.3, "på flere behandlingssteder, men ofte på de samme"),
        ("department_entropy_365d", 0, "på den samme afdeling"),
        ("department_entropy_365d", 0.3, "mest på en enkelt afdeling"),
        ("department_entropy_365d", 0.7, "fordelt på nogle få afdelinger"),
        ("department_entropy_365d", 1.4, "spredt over mange afdelinger"),
    ],
)
def test_an_index_is_told_in_words(name, value, words):
    assert re.search(rf" var {words}[. ]", render_sentence(FEATURES[name], value, 1.0, "da"))


@pytest.mark.parametrize(
    ("shorter", "longer", "words"),
    [
        (30, 30, "nogenlunde lige lang tid"),
        (30, 59, "nogenlunde lige lang tid"),
        (30, 61, "noget forskellig tid"),
        (30, 149, "noget forskellig tid"),
        (30, 151, "meget forskellig tid"),
    ],
)
def test_gaps_are_uneven_from_five_times_each_other(shorter, longer, words):
    mean, deviation = (longer + shorter) / 2, (longer - shorter) / 2
    burstiness = (deviation - mean) / (deviation + mean)
    sentence = render_sentence(FEATURES["gap_burstiness_730d"], burstiness, 1.0, "da")
    assert f" lå med {words} imellem." in sentence


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (1.4, "1 dag"),
        (45, "45 dage"),
        (60, "omkring 2 måneder"),
        (699, "omkring 23 måneder"),
        (700, "omkring 2 år"),
    ],
)
def test_a_duration_is_told_in_the_unit_one_would_use(days, words):
    assert render_sentence(FEATURES["days_since_discharge_730d"], days, 1.0, "da").startswith(
        f"Den seneste udskrivning fra hospital var for {words} siden."
    )


def test_not_a_number_reads_as_null():
    feature = FEATURES["gp_contacts_90d"]
    assert render_sentence(feature, float("nan"), 1.0, "da") == render_sentence(feature, None, 1.0, "da")


def test_a_text_for_a_number_is_refused_without_repeating_it():
    with pytest.raises(ConfigError) as error:
        render_sentence(FEATURES["age"], "secret", 1.0, "da")
    assert "secret" not in str(error.value)
    assert "'age'" in str(error.value)


# Features of the users' own


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_feature_without_texts_is_told_by_its_title(language):
    assert all(values_of(feature) for feature in load_catalogue())
    for feature in load_catalogue():
        own = Feature(replace(feature.definition, id="my_own"), feature.window)
        title = own.definition.title[language]
        for value in values_of(feature):
            sentence = render_sentence(own, value, -1.0, language)
            assert sentence.startswith(f"{title[0].upper()}{title[1:]}: "), sentence
            assert not re.search(r"[{}]|None|\bnan\b", sentence), sentence


@pytest.mark.parametrize(
    ("name", "value", "danish"),
    [
        ("acute_admissions_365d", 12, "Akutte indlæggelser: 12 det seneste år."),
        ("acute_admissions_365d", None, "Akutte indlæggelser: ingen oplysninger det seneste år."),
        ("bed_days_365d", 1, "Dage på hospital: 1 dag det seneste år."),
        ("unfinished_share_365d", 1, "Andel af hospitalsophold forladt før tid: 100 % det seneste år."),
        ("unfinished_share_365d", 0, "Andel af hospitalsophold forladt før tid: 0 % det seneste år."),
        ("in_hospital", 1, "Indlagt nu: ja."),
        ("in_hospital", 0, "Indlagt nu: nej."),
        ("department_entropy_365d", 1.25, "Spredning over afdelinger (entropi): 1,25 det seneste år."),
        ("department_entropy_365d", 2.0, "Spredning over afdelinger (entropi): 2 det seneste år."),
        ("department_entropy_365d", -1e-17, "Spredning over afdelinger (entropi): 0 det seneste år."),
        (
            "acute_admissions_decayed_730d",
            2.347,
            "Akutte indlæggelser, halveret for hver 100 dage: 2,35 de seneste 2 år.",
        ),
        (
            "acute_admissions_trend_360d",
            2,
            "Flere akutte indlæggelser i sidste halvdel end i første: +2 de seneste 12 måneder.",
        ),
        (
            "acute_admissions_trend_360d",
            0,
            "Flere akutte indlæggelser i sidste halvdel end i første: 0 de seneste 12 måneder.",
        ),
        (
            "bed_days_trend_360d",
            -12.5,
            "Flere dage på hospital i sidste halvdel end i første: -12,5 de seneste 12 måneder.",
        ),
        ("median_gap_730d", 75, "Typisk tid mellem to hospitalsophold: omkring 2 måneder de seneste 2 år."),
        ("gap_burstiness_730d", -0.25, "Ujævn afstand mellem hospitalsophold: -0,25 de seneste 2 år."),
        ("never_self_supported_728d", 1, "Ikke selvforsørgende på noget tidspunkt: ja de seneste 2 år."),
        (
            "department_concentration_365d",
            0.6,
            "Andel af hospitalskontakter med den hyppigste afdeling (UPC): 60 % det seneste år.",
        ),
        (
            "longest_shelter_stay_730d",
            700,
            "Længste ophold på herberg eller forsorgshjem: omkring 2 år de seneste 2 år.",
        ),
        ("sex", "male", "Køn: male."),
    ],
)
def test_the_title_is_followed_by_the_value_and_the_window(name, value, danish):
    own = Feature(replace(FEATURES[name].definition, id="my_own"), FEATURES[name].window)
    assert render_sentence(own, value, 1.0, "da") == f"{danish} {RAISES['da']}"


@pytest.mark.parametrize(
    ("measure", "value", "told"),
    [
        ("any", 1, "yes"),
        ("share", 0.4, "40%"),
        ("days", 2, "2 days"),
        ("decayed", 2.4, "2.4"),
        ("trend", 2, "+2"),
    ],
)
def test_a_feature_redefined_under_a_known_id_is_told_by_its_title(measure, value, told):
    counted = FEATURES["acute_admissions_365d"]
    definition = replace(counted.definition, measure=measure, where=("acute",), windows=(360,))
    sentence = render_sentence(Feature(definition, Lookback(360)), value, 1.0, "en")
    assert sentence.startswith(f"Acute admissions: {told} in the past 12 months.")


# Files that break a rule


def break_file(section: str, key: str, value: Any) -> dict[str, Any]:
    content = read_file("da")
    target = content[section] if section in content else content["features"][section]
    target[key] = value
    return content


@pytest.mark.parametrize(
    ("section", "key", "value", "complaint"),
    [
        ("acute_admissions", "other", "{days} indlæggelser.", r"acute_admissions\.other.*'days'"),
        ("acute_admissions", "other", "{n} indlæggelser {vindue}.", "'vindue'"),
        ("acute_admissions", "other", "{n.real} indlæggelser {window}.", "n.real"),
        ("acute_admissions", "other", "{} indlæggelser.", "placeholders"),
        ("acute_admissions", "other", "{n indlæggelser.", "is no template"),
        ("acute_admissions", "other", "{n} indlæggelser {window}", "period"),
        ("acute_admissions", "few", "{n} indlæggelser {window}.", "'few'"),
        ("in_hospital", "yes", "På hospitalet {window}.", "'window'"),
        ("features", "weather", {"zero": "Regn."}, "no feature"),
        ("themes", "weather", "Vejr", "themes"),
        ("directions", "raises", "Det trækker {n} op.", r"directions\.raises"),
        ("numbers", "days", "{days} dage", r"numbers\.days"),
        ("numbers", "weeks", "{n} uger", "weeks"),
        ("windows", "30", "de seneste {n} dage", r"windows\.30"),
        ("fallback", "plain", "{title} {window}.", r"fallback\.plain"),
        ("bands", "entropy", {"one": 0, "mostly_one": 2, "mixed": 1, "spread": 3}, "ascend"),
        ("bands", "entropy", {"one": 0, "mostly_one": 1}, "needs exactly"),
        ("bands", "burstiness", {"even": 0, "varied": 0.5, "uneven": 0.9}, "ascend from -1"),
        ("acute_admissions", "other", "{n} indlæggelser {recent}.", "'recent'"),
        ("acute_admissions_trend", "more", "{days} flere {recent} end {earlier}.", "'days'"),
        ("windows_before", "90", "i de {n} dage før", r"windows_before\.90"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused(section, key, value, complaint):
    with pytest.raises(ConfigError, match=complaint):
        read_texts("da", break_file(section, key, value))


@pytest.mark.parametrize("section", ["version", "review", "themes", "numbers", "bands", "features"])
def test_a_file_that_lacks_a_section_is_refused(section):
    content = read_file("da")
    del content[section]
    with pytest.raises(ConfigError, match="Sections are"):
        read_texts("da", content)


@pytest.mark.parametrize("section", ["windows", "windows_before"])
def test_a_file_without_words_for_other_windows_is_refused(section):
    content = read_file("da")
    del content[section]["other"]
    with pytest.raises(ConfigError, match=f"{section} has"):
        read_texts("da", content)


def test_a_feature_without_texts_is_no_fault_of_a_file():
    content = read_file("da")
    del content["features"]["age"]
    assert "age" not in read_texts("da", content).features


def test_texts_cannot_be_changed():
    with pytest.raises(TypeError):
        load_texts("da").features["age"]["other"] = "Gammel."  # type: ignore[index]


def test_two_findings_that_read_alike_are_told_once():
    features = {feature.name: feature for feature in load_catalogue()}
    findings = [(features[f"department_{name}_730d"], None) for name in ("entropy", "concentration")]
    assert render_reason(findings, -0.3, "en") == (
        "No recorded contacts with a stated hospital department in the past 2 years. "
        "This lowers the estimated risk."
    )
