"""Identity: pseudonyms of persons, and stable numbers drawn from them."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl
from polars._typing import PolarsDataType

from somv_risk.registers import schema as s
from somv_risk.registers.civil_numbers import NUMBER, RULE_VERSION, read_numbers
from somv_risk.registers.keys import compute_check_value, prepare_key

PSEUDONYM_HEX_DIGITS: Final = 32
_HASH_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """How pseudonyms were made: by which rule a number has one form, and a check value of the key."""

    rule: int
    key_check: str


def describe_pseudonyms(key: str | bytes | None) -> Pseudonyms | None:
    """Describe the pseudonyms that a key makes; nothing without a key.

    Raises
    ------
    ConfigError
        As `prepare_key`.
    """
    return None if key is None else Pseudonyms(RULE_VERSION, compute_check_value(prepare_key(key)))


def sign_person(key: str | bytes) -> pl.Expr:
    """Replace `person_id` by a keyed hash (HMAC-SHA-256, 128 bits as text); empty text is null.

    A plain hash would not do: there are so few civil registration numbers that all can be tried. All
    spellings of one such number give one pseudonym; any other text is taken as it stands.

    Raises
    ------
    ConfigError
        As `prepare_key`.
    """
    secret = prepare_key(key)
    text = pl.col(s.PERSON_ID).cast(pl.String).str.strip_chars()
    return (
        pl.when(text != "")
        .then(text)
        .map_batches(lambda ids: _sign_all(ids, secret), return_dtype=pl.String, is_elementwise=True)
        .alias(s.PERSON_ID)
    )


def _sign_all(ids: pl.Series, secret: bytes) -> pl.Series:
    numbers = read_numbers(ids)[NUMBER]
    one_form = numbers.fill_null(ids)
    return _map_unique(one_form, lambda value: _sign(value, secret), pl.String())


def hash_person(salt: str) -> pl.Expr:
    """Hash `person_id` to a whole number in [0, 2^32), the same on every machine and version."""
    return pl.col(s.PERSON_ID).map_batches(
        lambda ids: _map_unique(ids, lambda value: _digest(value, salt), pl.UInt32()),
        return_dtype=pl.UInt32,
        is_elementwise=True,
    )


def _map_unique(ids: pl.Series, function: Callable[[str], str | int], dtype: PolarsDataType) -> pl.Series:
    unique = ids.drop_nulls().unique()
    values = pl.Series([function(value) for value in unique], dtype=dtype)
    return ids.replace_strict(unique, values, default=None, return_dtype=dtype)


def _sign(value: str, secret: bytes) -> str:
    return hmac.new(secret, value.encode(), "sha256").hexdigest()[:PSEUDONYM_HEX_DIGITS]


def _digest(value: str, salt: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{salt}:{value}".encode(), digest_size=_HASH_BYTES).digest())
