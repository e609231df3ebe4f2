"""Sayings: words that no text of the library may have, and values that every sentence must tell."""

import re
from math import isnan
from string import Formatter

from somv_risk.features import Feature, load_catalogue

# Beginnings of words that would claim why something happened.
CAUSE_WORDS = {
    "da": (
        *("fordi", "skyld", "på grund af", "grundet", "årsag", "forårsag", "derfor", "medfør"),
        *("resulter", "udløs", "som følge af", "takket være", "fører til", "førte til", "idet"),
    ),
    "en": (
        *("because", "cause", "due to", "owing to", "result", "lead to", "leads to", "led to", "therefore"),
        *("thanks to", "consequence", "reason", "explain", "trigger"),
    ),
    "nb": (
        *("fordi", "skyld", "på grunn av", "grunnet", "årsak", "forårsak", "derfor", "dermed", "ettersom"),
        *("medfør", "resulter", "utløs", "som følge av", "takket være", "fører til", "førte til", "idet"),
    ),
    "sv": (
        *("därför", "eftersom", "på grund av", "beror på", "berodde på", "orsak", "förorsak", "därmed"),
        *(
            "medför",
            "resulter",
            "utlös",
            "till följd av",
            "tack vare",
            "leder till",
            "ledde till",
            "föranled",
        ),
    ),
}
# Beginnings of words that blame, or put a label on a person.
STIGMA_WORDS = {
    "da": (
        *("misbrug", "afbrød", "afbrudt", "mod råd", "mod lægens", "udeblev", "udebliv", "svigte", "nægte"),
        *(
            "mødte ikke",
            "kom ikke",
            "komplian",
            "umotiver",
            "ustabil",
            "manipuler",
            "alkoholiker",
            "narkoman",
        ),
        *("afhængig", "hjemløse", "sindssyg", "psykisk syg", "svingdør", "storforbrug", "belast", "socialt"),
        *("ressourcesvag", "ressourcekræv", "tung", "uarbejds", "gengang", "afviger", "beruse", "fuld"),
    ),
    "en": (
        *("abus", "misus", "addict", "alcoholic", "drunk", "junk", "against medical", "against advice"),
        *(
            "abscond",
            "complian",
            "non-complian",
            "noncomplian",
            "refus",
            "fail to",
            "failed",
            "drop",
            "no-show",
        ),
        *("missed", "frequent", "revolving", "mentally ill", "the homeless", "unmotivated", "unstable"),
        *("manipul", "heavy user", "dependen", "burden", "offender", "difficult", "suffer", "victim"),
    ),
    "nb": (
        *("misbruk", "rusmisbruk", "avbrøt", "avbrutt", "mot råd", "mot lege", "uteble", "svikt", "nekt"),
        *("møtte ikke", "kom ikke", "umotiver", "ustabil", "manipuler", "alkoholiker", "narkoman"),
        *("avhengig", "hjemløse", "sinnssyk", "psykisk syk", "svingdør", "storforbruk", "belast", "tung"),
        *("ressurssvak", "ressurskrev", "gjenganger", "avvik", "beruse", r"full\b"),
    ),
    "sv": (
        *("missbruk", "mot råd", "mot läkar", "utebl", "svik", "vägra", "kom inte", "omotiver", "instabil"),
        *("manipul", "alkoholist", "narkoman", "beroende av", "hemlösa", "sinnessjuk", "psykiskt sjuk"),
        *("svängdörr", "storkonsument", "vårdtung", "belast", "resurs", "tung", "avvik", "berusa", r"full\b"),
    ),
}

VALUES = (None, float("nan"), 0, 0.0004, 0.3, 0.4, 0.7, 0.999, 1, 1.5, 2, 12, 37, 59.6, 89.7, 400, 4000)
# Differences and an index that may be below 0.
SIGNED_VALUES = (*VALUES, -0.0004, -0.3, -0.5, -0.6, -1, -1.5, -2, -37, -89.7)
SIGNED_MEASURES = ("trend", "days_trend", "burstiness")
CATEGORIES = (None, "female", "male", "unknown", "376", "0101")
FEATURES = {feature.name: feature for feature in load_catalogue()}


def find_words(text: str, words: tuple[str, ...]) -> list[str]:
    return [word for word in words if re.search(rf"\b{word}", text.lower())]


def values_of(feature: Feature) -> tuple[float | str | None, ...]:
    if feature.is_category:
        return CATEGORIES
    return SIGNED_VALUES if feature.definition.measure in SIGNED_MEASURES else VALUES


def list_fields(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field}


def is_null(value: float | str | None) -> bool:
    return value is None or (isinstance(value, float) and isnan(value))
