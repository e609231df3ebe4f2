"""Languages: numbers, plurals and dates as each writes them, and what stands in where a title lacks."""

import re
import tomllib
from dataclasses import replace
from datetime import date, datetime
from importlib import resources
from itertools import product

import pytest

from sayings import CAUSE_WORDS, FEATURES, find_words, list_fields, values_of
from somv_risk.cli import Language
from somv_risk.cohort.outcomes import FREQUENT_ADMISSION, UNFINISHED_TREATMENT
from somv_risk.errors import ConfigError
from somv_risk.features import Definition, Feature, load_catalogue, load_definitions
from somv_risk.languages import LANGUAGES, TITLED
from somv_risk.report.outputs import _load_texts, _tell_risk
from somv_risk.report.worklist_page import load_language
from somv_risk.scoring.reasons import DateWords, load_texts, render_sentence, render_warnings
from somv_risk.scoring.reasons._sentences import _choose_form, _read_value

INDEX = datetime(2026, 10, 3, 6)


def read_toml(package, file):
    return tomllib.loads(resources.files(package).joinpath(file).read_text(encoding="utf-8"))


def list_paths(texts, above=()):
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from list_paths(value, (*above, key))
        else:
            yield (*above, key), value


PAGES = [
    read_toml("somv_risk.report", "texts.toml"),
    read_toml("somv_risk.report", "outputs.toml"),
    read_toml("somv_risk.scoring.reasons", "warnings.toml"),
]
# These say that there are causes or reasons, and that the page does not know them.
DENIALS = ("reasons_meaning", "unfinished_meaning", "no_reasons")


def test_the_command_line_offers_every_language():
    assert tuple(Language) == LANGUAGES == ("da", "en", "nb", "sv")


# Numbers


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_form_of_every_feature_can_be_said_with_the_languages_own_numbers(language):
    texts, foreign = load_texts(language), {",": r"\d\.\d", ".": r"\d,\d"}
    assert load_catalogue()
    for feature in load_catalogue():
        reached = set()
        for value in values_of(feature):
            read = _read_value(feature, value)
            reached.add(_choose_form(feature, read, texts))
            sentence = render_sentence(feature, value, 1.0, language)
            assert not re.search(r"[{}]", sentence), sentence
            assert not re.search(foreign[texts.numbers.decimal_mark], sentence), sentence
        assert reached == set(texts.features[feature.definition.id]), feature.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_title_is_followed_by_a_number_with_the_languages_mark(language):
    own = Feature(
        replace(FEATURES["department_entropy_365d"].definition, id="own"),
        FEATURES["department_entropy_365d"].window,
    )
    mark = {"da": ",", "en": ".", "nb": ",", "sv": ","}[language]
    assert f": 1{mark}25 " in render_sentence(own, 1.25, 1.0, language)


AGREED = {
    "nb": [
        ("acute_admissions_365d", 12, "12 akutte innleggelser det siste året."),
        ("acute_admissions_365d", 1, "1 akutt innleggelse det siste året."),
        ("acute_admissions_365d", 0, "Ingen akutte innleggelser det siste året."),
        ("acute_admissions_30d", None, "Ingen opplysninger om akutte innleggelser den siste måneden."),
        ("bed_days_730d", 1.2, "1 dag innlagt på sykehus de siste 2 årene."),
        ("bed_days_730d", 2.5, "3 dager innlagt på sykehus de siste 2 årene."),
        (
            "unfinished_share_365d",
            1 / 3,
            "33 % av sykehusoppholdene det siste året ble forlatt før behandlingen var ferdig.",
        ),
        (
            "days_since_discharge_730d",
            400,
            "Den siste utskrivningen fra sykehus var for omtrent 13 måneder siden.",
        ),
        (
            "acute_admissions_decayed_730d",
            4.2,
            "Omtrent 4 akutte innleggelser de siste 2 årene, når eldre innleggelser teller mindre enn nye.",
        ),
        (
            "acute_admissions_trend_360d",
            2,
            "2 flere akutte innleggelser det siste halvåret enn i halvåret før.",
        ),
        ("in_shelter", 0, "Ikke i midlertidig botilbud eller på akuttovernatting nå."),
    ],
    "sv": [
        ("acute_admissions_365d", 12, "12 akuta inläggningar det senaste året."),
        ("acute_admissions_365d", 1, "1 akut inläggning det senaste året."),
        ("acute_admissions_365d", 0, "Inga akuta inläggningar det senaste året."),
        ("acute_admissions_30d", None, "Inga uppgifter om akuta inläggningar den senaste månaden."),
        ("bed_days_730d", 1.2, "1 dag inlagd på sjukhus de senaste 2 åren."),
        ("bed_days_730d", 2.5, "3 dagar inlagd på sjukhus de senaste 2 åren."),
        (
            "unfinished_share_365d",
            1 / 3,
            "33 % av sjukhusvistelserna under det senaste året avbröts innan behandlingen var färdig.",
        ),
        (
            "days_since_discharge_730d",
            400,
            "Den senaste utskrivningen från sjukhus var för ungefär 13 månader sedan.",
        ),
        (
            "acute_admissions_decayed_730d",
            4.2,
            "Ungefär 4 akuta inläggningar de senaste 2 åren, när äldre inläggningar väger mindre än nya.",
        ),
        (
            "acute_admissions_trend_360d",
            2,
            "2 fler akuta inläggningar det senaste halvåret än under halvåret före.",
        ),
        ("in_shelter", 0, "Inte på härbärge eller akutboende just nu."),
    ],
}
LOWERS = {
    "nb": "Det trekker den beregnede risikoen ned.",
    "sv": "Det drar den beräknade risken nedåt.",
}


@pytest.mark.parametrize("language", AGREED)
def test_agreed_sentences(language):
    assert AGREED[language]
    for name, value, sentence in AGREED[language]:
        assert render_sentence(FEATURES[name], value, -0.5, language) == f"{sentence} {LOWERS[language]}"


@pytest.mark.parametrize(
    ("counts", "language", "told"),
    [
        (1, "da", "mindst 1 akut indlæggelse i de kommende 365 dage."),
        (3, "da", "mindst 3 akutte indlæggelser i de kommende 365 dage."),
        (1, "en", "at least 1 acute admission in the coming 365 days."),
        (3, "en", "at least 3 acute admissions in the coming 365 days."),
        (1, "nb", "minst 1 akutt innleggelse i løpet av 365 dager."),
        (3, "nb", "minst 3 akutte innleggelser i løpet av 365 dager."),
        (1, "sv", "minst 1 akut inläggning inom 365 dagar."),
        (3, "sv", "minst 3 akuta inläggningar inom 365 dagar."),
    ],
)
def test_what_a_risk_means_is_told_in_the_right_number(counts, language, told):
    target = replace(FREQUENT_ADMISSION, min_count=counts)
    assert _tell_risk(_load_texts()[language]["risk"], target, language).endswith(told)


def test_one_stay_left_early_is_one_stay():
    told = _tell_risk(_load_texts()["en"]["risk"], UNFINISHED_TREATMENT, "en")
    assert told == "Estimated probability of at least 1 hospital stay left early in the coming 365 days."


# Dates


@pytest.mark.parametrize(
    ("language", "day", "written"),
    [
        ("da", date(2026, 10, 3), "3. oktober 2026"),
        ("en", date(2026, 10, 3), "3 October 2026"),
        ("nb", date(2026, 10, 3), "3. oktober 2026"),
        ("sv", date(2026, 10, 3), "3 oktober 2026"),
        ("da", date(2025, 3, 31), "31. marts 2025"),
        ("en", date(2025, 3, 31), "31 March 2025"),
        ("nb", date(2025, 3, 31), "31. mars 2025"),
        ("sv", date(2025, 3, 31), "31 mars 2025"),
        ("nb", date(2025, 12, 1), "1. desember 2025"),
        ("sv", date(2025, 1, 1), "1 januari 2025"),
    ],
)
def test_a_date_is_written_in_words(language, day, written):
    assert load_texts(language).dates.format_date(day) == written
    assert load_language(language).format_date(day) == written


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("da", "26. december 2025 kl. 06.08"),
        ("en", "26 December 2025 at 06:08"),
        ("nb", "26. desember 2025 kl. 06.08"),
        ("sv", "26 december 2025 kl. 06.08"),
    ],
)
def test_a_moment_has_its_time_of_day_unless_only_the_day_is_known(language, written):
    dates = load_texts(language).dates
    assert dates.format_moment(datetime(2025, 12, 26, 6, 8)) == written
    assert dates.format_moment(datetime(2025, 12, 26)) == dates.format_date(date(2025, 12, 26))


@pytest.mark.parametrize(
    ("language", "months"),
    [
        ("da", "januar februar marts april maj juni juli august september oktober november december"),
        ("en", "January February March April May June July August September October November December"),
        ("nb", "januar februar mars april mai juni juli august september oktober november desember"),
        ("sv", "januari februari mars april maj juni juli augusti september oktober november december"),
    ],
)
def test_the_months_have_their_names_and_short_ones_that_begin_alike(language, months):
    dates = load_texts(language).dates
    assert dates.months == tuple(months.split())
    for month, short in zip(dates.months, dates.months_short, strict=True):
        assert month.startswith(short.rstrip("."))


def test_a_year_has_twelve_months():
    with pytest.raises(ConfigError, match="months_short has 1 months"):
        DateWords("{day}", "{date}", ("a",) * 12, ("a",))


@pytest.mark.parametrize(
    ("language", "days", "told"),
    [
        ("da", 1, "Data slutter 2. oktober 2026, 1 dag før indekstidspunktet."),
        ("da", 45, "Data slutter 19. august 2026, 45 dage før indekstidspunktet."),
        ("en", 1, "The data end on 2 October 2026, 1 day before the index moment."),
        ("nb", 1, "Dataene slutter 2. oktober 2026, 1 dag før indekstidspunktet."),
        ("nb", 45, "Dataene slutter 19. august 2026, 45 dager før indekstidspunktet."),
        ("sv", 1, "Uppgifterna slutar den 2 oktober 2026, 1 dag före indextidpunkten."),
        ("sv", 45, "Uppgifterna slutar den 19 augusti 2026, 45 dagar före indextidpunkten."),
    ],
)
def test_a_warning_dates_the_end_of_the_data(language, days, told):
    end = datetime.fromordinal(INDEX.toordinal() - days)
    assert render_warnings([], INDEX, end, language=language) == [told]


# Texts of the pages


@pytest.mark.parametrize("texts", PAGES, ids=["page", "outputs", "warnings"])
def test_pages_hold_the_same_texts_and_placeholders_in_every_language(texts):
    assert tuple(sorted(texts)) == LANGUAGES
    danish = {path: list_fields(text) for path, text in list_paths(texts["da"])}
    for language in LANGUAGES:
        assert {path: list_fields(text) for path, text in list_paths(texts[language])} == danish


@pytest.mark.parametrize(("texts", "language"), list(product(PAGES, LANGUAGES)))
def test_no_page_claims_a_cause(texts, language):
    shown = [text for path, text in list_paths(texts[language]) if path[-1] not in DENIALS]
    assert shown
    assert [text for text in shown if find_words(text, CAUSE_WORDS[language])] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_have_plain_dashes_and_quotes(language):
    text = (
        resources.files("somv_risk.scoring.reasons").joinpath(f"{language}.toml").read_text(encoding="utf-8")
    )
    titles = [definition.title[language] for definition in load_definitions()]
    assert not re.search("[\u2010-\u2015\u2018-\u201f\u2026\u00a0]", text + " ".join(titles))


# Titles


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_definition_of_the_catalogue_has_a_title_in_the_language(language):
    titles = [definition.title[language] for definition in load_definitions()]
    assert all(titles)
    assert [title for title in titles if find_words(title, CAUSE_WORDS[language])] == []


OWN = {
    "id": "own",
    "theme": "bursts",
    "unit": "events",
    "measure": "count",
    "events": "stays",
    "windows": [90],
}


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("da", "Egne ophold: 2 de seneste 3 måneder."),
        ("en", "Own stays: 2 in the past 3 months."),
        ("nb", "Egne opphold: 2 de siste 3 månedene."),
        ("sv", "Own stays: 2 de senaste 3 månaderna."),
    ],
)
def test_a_title_that_is_missing_falls_back_on_english(language, told):
    title = {"da": "egne ophold", "en": "own stays", "nb": "egne opphold"}
    (feature,) = Definition(**OWN, title=title).features()
    assert render_sentence(feature, 2, 1.0, language).startswith(told)


@pytest.mark.parametrize("missing", TITLED)
def test_a_title_in_danish_and_in_english_is_needed(missing):
    title = {"da": "egne ophold", "en": "own stays", "nb": "egne opphold", "sv": "egna vistelser"}
    assert Definition(**OWN, title=title).title_in("sv") == "egna vistelser"
    del title[missing]
    with pytest.raises(ConfigError, match="no title in each language"):
        Definition(**OWN, title=title)


def test_a_title_in_a_language_of_no_use_is_refused():
    title = {"da": "egne ophold", "en": "own stays", "fi": "omat jaksot"}
    with pytest.raises(ConfigError, match="only in languages of the library"):
        Definition(**OWN, title=title)
