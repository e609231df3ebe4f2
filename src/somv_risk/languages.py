"""Languages: those the library speaks, and what stands in where a title is not there in one of them."""

from collections.abc import Mapping
from typing import Final

LANGUAGES: Final = ("da", "en", "nb", "sv")
# What somebody of their own adds is titled in these at least; the others fall back on the last.
TITLED: Final = ("da", "en")
FALLBACK: Final = "en"


def pick_title(title: Mapping[str, str], language: str) -> str:
    """Pick the title in a language, or the English one where there is none in it.

    Examples
    --------
    >>> pick_title({"da": "alder", "en": "age"}, "da"), pick_title({"da": "alder", "en": "age"}, "sv")
    ('alder', 'age')
    """
    return title.get(language) or title[FALLBACK]
