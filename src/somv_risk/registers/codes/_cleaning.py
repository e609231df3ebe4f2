"""Cleaning: codes of ICD-10, in whatever way they are written."""

import re
from typing import Final

import polars as pl

# ICD-10 as the Danish classification of the health service (SKS) writes it.
_SKS: Final = r"^D([A-Z][0-9]{2})"
# Dots, and around the code blanks and the marks of a cause and its manifestation.
_MARKS: Final = r"\.|^\s+|[+*†\s]+$"
# Before a letter a blank parts a code from a remark.
_BLANK_INSIDE: Final = r"\s+([0-9])"
_PREFIX: Final = re.compile(r"[A-Z](?:[0-9][0-9A-Z]{0,5})?")


def clean_codes(codes: pl.Series) -> pl.Series:
    """Clean codes: upper case, without dots, blanks before digits, trailing marks and the Danish D.

    Examples
    --------
    >>> clean_codes(pl.Series(["DF10.2", "e11.9+", "D50"])).to_list()
    ['F102', 'E119', 'D50']
    """
    bare = codes.str.to_uppercase().str.replace_all(_MARKS, "").str.replace_all(_BLANK_INSIDE, "$1")
    return bare.str.replace(_SKS, "$1")


def clean_code(code: str) -> str:
    """Clean one code, or the beginning of one, as `clean_codes` does.

    Examples
    --------
    >>> clean_code("dg35")
    'G35'
    """
    bare = re.sub(_BLANK_INSIDE, r"\1", re.sub(_MARKS, "", code.upper()))
    return re.sub(_SKS, r"\1", bare)


def is_beginning(code: str) -> bool:
    """Whether a clean text is the beginning of a code of ICD-10."""
    return bool(_PREFIX.fullmatch(code))
