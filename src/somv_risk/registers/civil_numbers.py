"""Civil registration numbers: the forms in which they are written, and the one form of each number.

Whether something is such a number is decided by its date and its length. The check digit decides nothing:
Danish numbers issued since 2007 need not satisfy it.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

RULE_VERSION: Final = 1  # a pseudonym is made of the number that this rule finds

NUMBER: Final = "number"
SHAPE: Final = "shape"
TEN_DIGITS: Final = "9999999999"
_PARTS, _JOINED = "parts", "joined"

_DAY: Final = "(?:0[1-9]|[12][0-9]|3[01])"
_DAY_AND_60: Final = "(?:6[1-9]|[78][0-9]|9[01])"  # replacement and coordination numbers
_ANY_DAY: Final = f"(?:{_DAY}|{_DAY_AND_60})"
_MONTH: Final = "(?:0[1-9]|1[0-2])"
_NORWEGIAN_DAY: Final = f"(?:{_DAY}|4[1-9]|[56][0-9]|7[01])"
_NORWEGIAN_MONTH: Final = f"(?:{_MONTH}|4[1-9]|5[0-2]|6[6-9]|7[0-7]|8[1-9]|9[0-2])"
# Whoever is younger than a hundred years has a short Swedish number; fixed, as the rule reads no clock.
_FROM_1927: Final = "(2[7-9]|[3-9][0-9])"
_FROM_2000: Final = "([01][0-9]|2[0-6])"
_LETTER_OR_DIGIT: Final = "[0-9A-ZÆØÅ]"
_LAST_FOUR: Final = "(?:[0-9]{4}|[0-9][A-ZÆØÅ]{2}[0-9]|[0-9]{3}[A-Y])"
DANISH_NUMBER: Final = f"^{_ANY_DAY}{_MONTH}[0-9]{{6}}$"


@dataclass(frozen=True, slots=True)
class Form:
    """A way to write a number: the pattern of the text, in its parts or joined, and the number it is."""

    written: Literal["parts", "joined"]
    pattern: str
    number: str


# The first that fits counts. The Danish forms come first, of which pseudonyms have always been made.
FORMS: Final = (
    # Danish, and replacement numbers with letters (DDMMYY1AB2); Icelandic and Finnish ones look the same.
    Form("joined", f"^({_ANY_DAY}{_MONTH}[0-9]{{2}}{_LAST_FOUR})$", "${1}"),
    Form("parts", f"^({_ANY_DAY}{_MONTH}[0-9]{{2}})-({_LETTER_OR_DIGIT}{{4}})$", "${1}${2}"),
    Form("joined", f"^({_ANY_DAY}{_MONTH})(?:18|19|20)([0-9]{{2}}{_LAST_FOUR})$", "${1}${2}"),
    # A spreadsheet eats the first zero, and may part the digits in threes.
    Form("parts", f"^([1-9]{_MONTH}[0-9]{{2}})-?([0-9]{{4}})$", "0${1}${2}"),
    Form("parts", f"^([1-9]{_MONTH})-([0-9]{{3}})-([0-9]{{3}})$", "0${1}${2}${3}"),
    # Norwegian: day plus 40 in D numbers, month plus 40 in auxiliary, 65 and 80 in made-up ones.
    Form("joined", f"^({_NORWEGIAN_DAY}{_NORWEGIAN_MONTH}[0-9]{{7}})$", "${1}"),
    # Swedish: short, with 60 on the day, with the century, and of those over a hundred (+).
    Form("joined", f"^([0-9]{{2}}{_MONTH}{_DAY}[0-9]{{4}})$", "${1}"),
    Form("parts", f"^([0-9]{{2}}{_MONTH}{_DAY_AND_60})-([0-9]{{4}})$", "${1}${2}"),
    Form("joined", f"^(?:19{_FROM_1927}|20{_FROM_2000})({_MONTH}{_ANY_DAY}[0-9]{{4}})$", "${1}${2}${3}"),
    Form("joined", f"^((?:18|19|20)[0-9]{{2}}{_MONTH}{_ANY_DAY}[0-9]{{4}})$", "${1}"),
    Form("parts", f"^{_FROM_1927}({_MONTH}{_ANY_DAY})\\+([0-9]{{4}})$", "18${1}${2}${3}"),
    Form("parts", f"^{_FROM_2000}({_MONTH}{_ANY_DAY})\\+([0-9]{{4}})$", "19${1}${2}${3}"),
    # Finnish with a letter or + for the century.
    Form("parts", f"^({_DAY}{_MONTH}[0-9]{{2}}[+A-FU-Y][0-9]{{3}}[0-9A-Y])$", "${1}"),
    # Faroese.
    Form("parts", f"^({_DAY}{_MONTH}[0-9]{{2}})-?([0-9]{{3}})$", "${1}${2}"),
)
_ANY_FORM: Final = {
    written: "|".join(form.pattern for form in FORMS if form.written == written)
    for written in (_PARTS, _JOINED)
}

_LABELS: Final = "DK|GL|FO|IS|NO|SE|FI|CPR|CPR-?NR|CPR-?NUMMER|PERSONNUMMER|PNR|FNR"
_BETWEEN: Final = r"[^\p{L}\p{Nd}]*"
# Six digits without a letter among them, then three to eight letters and digits: few other texts are so.
_MAY_BE_A_NUMBER: Final = (
    rf"(?i)^{_BETWEEN}(?:(?:{_LABELS.replace('-?', _BETWEEN)}){_BETWEEN})?"
    rf"\d(?:{_BETWEEN}\d){{5}}(?:{_BETWEEN}[\p{{L}}\p{{Nd}}]){{3,8}}{_BETWEEN}$"
)
_INVISIBLE: Final = ("Cf", "Mn")
_DECIMALS: Final = r"([0-9]{4})[.,]0{1,2}([^\p{L}\p{Nd}]*)$"
_BETWEEN_PARTS: Final = r"[^\p{L}\p{Nd}+]+"
_LABEL: Final = f"^(?:{_LABELS})-*([0-9])"


def looks_like_number(text: pl.Expr) -> pl.Expr:
    """Whether a text has the form of a Nordic civil registration number, in any spelling."""
    return text.map_batches(
        lambda values: read_numbers(values)[NUMBER].is_not_null(),
        return_dtype=pl.Boolean,
        is_elementwise=True,
    )


def may_be_number(text: pl.Expr) -> pl.Expr:
    """Whether a text is so written that it can be a number: what is not need not be read."""
    return text.str.contains(_MAY_BE_A_NUMBER)


def read_numbers(values: pl.Series) -> pl.DataFrame:
    """Read the civil registration numbers in texts.

    Returns
    -------
    One row per text: `number` in its one form, null if the text is none, and `shape` of a text that might be
    one: 9 for each digit and - between its parts; A for each place if there are letters.

    Examples
    --------
    >>> read_numbers(pl.Series(["010190-1234", "DK 101901234", "c1"])).rows()
    [('0101901234', '999999-9999'), ('0101901234', '999999999'), (None, None)]
    """
    texts = values.cast(pl.String)
    places = texts.str.contains(_MAY_BE_A_NUMBER).arg_true()
    read = _read(texts.gather(places))
    return pl.DataFrame({name: _give_none(len(texts)).scatter(places, read[name]) for name in read.columns})


def _read(texts: pl.Series) -> pl.DataFrame:
    is_plain = texts.str.contains("^[0-9]+$")
    parts = _put(texts, ~is_plain, _part)
    shapes = pl.Series(["9" * 14]).new_from_index(0, len(texts)).str.head(texts.str.len_chars())
    return pl.DataFrame(
        {
            NUMBER: _find_numbers(parts),
            SHAPE: _put(shapes, ~is_plain, lambda _: _describe(parts.filter(~is_plain))),
        }
    )


def _put(values: pl.Series, mask: pl.Series, function: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Replace the values under a mask by what a function makes of them."""
    return values.clone().scatter(mask.arg_true(), function(values.filter(mask)))


def _find_numbers(parts: pl.Series) -> pl.Series:
    """Find the number of each text, null where there is none."""
    written = pl.DataFrame({_PARTS: parts, _JOINED: parts.str.replace_all("-", "", literal=True)})
    fits = written.select(pl.any_horizontal(pl.col(name).str.contains(_ANY_FORM[name]) for name in _ANY_FORM))
    number = pl.lit(None, pl.String)
    for form in reversed(FORMS):
        text = pl.col(form.written)
        number = (
            pl.when(text.str.contains(form.pattern))
            .then(text.str.replace(form.pattern, form.number))
            .otherwise(number)
        )
    found = written.filter(fits.to_series()).select(number.alias(NUMBER)).to_series()
    return _give_none(len(parts)).scatter(fits.to_series().arg_true(), found)


def _give_none(count: int) -> pl.Series:
    return pl.Series([None], dtype=pl.String).new_from_index(0, count)


def _describe(parts: pl.Series) -> pl.Series:
    digits = parts.str.replace_all("[0-9]", "9")
    return _put(digits, digits.str.contains(r"\p{L}"), lambda texts: texts.str.replace_all("[^-+]", "A"))


def _part(texts: pl.Series) -> pl.Series:
    """Write texts in capitals and digits, whatever stands between them as one hyphen, without a label."""
    foreign = texts.str.contains(r"[^\x00-\x7f]").arg_true()
    plain = texts.scatter(foreign, [_simplify(text) for text in texts.gather(foreign)])
    parts = plain.str.to_uppercase().str.replace(_DECIMALS, "${1}${2}").str.replace_all(_BETWEEN_PARTS, "-")
    return parts.str.strip_chars("-+").str.replace(_LABEL, "${1}")


def _simplify(text: str) -> str:
    """Write full-width letters and digits of other scripts as plain ones, and leave out what nobody sees."""
    seen = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) not in _INVISIBLE)
    return "".join(str(unicodedata.decimal(c, c)) for c in seen)
