"""Identity: pseudonyms of persons, and stable numbers drawn from them."""

import hashlib
import hmac
from collections.abc import Callable

import polars as pl
from polars._typing import PolarsDataType

from somv_risk import schema as s
from somv_risk.errors import ConfigError

MIN_KEY_BYTES = 16
PSEUDONYM_HEX_DIGITS = 32
# Day (replacement numbers add 60 to it), month, year, four digits; the check digit is no test, because
# numbers issued since 2007 need not satisfy it. A spreadsheet eats the first zero.
CPR_PATTERN = r"^(?:0?[1-9]|[1-2]\d|3[01]|6[1-9]|[7-8]\d|9[01])(?:0[1-9]|1[0-2])\d{2}[- ]?\d{4}$"
CPR_DIGITS = 10
_HASH_BYTES = 4


def looks_like_cpr(text: pl.Expr) -> pl.Expr:
    """Whether text has the form of a civil registration number, with or without hyphen and first zero."""
    return text.str.contains(CPR_PATTERN)


def sign_person(key: str | bytes) -> pl.Expr:
    """Replace `person_id` by a keyed hash (HMAC-SHA-256, 128 bits as text); empty text is null.

    A plain hash would not do: there are so few civil registration numbers that all can be tried.

    Raises
    ------
    ConfigError
        If the key is shorter than 16 bytes.
    """
    secret = key.encode() if isinstance(key, str) else key
    if len(secret) < MIN_KEY_BYTES:
        raise ConfigError(
            f"The pseudonymisation key has {len(secret)} bytes. "
            f"Give at least {MIN_KEY_BYTES} random bytes and keep them secret."
        )
    text = pl.col(s.PERSON_ID).cast(pl.String).str.strip_chars()
    # One person's number may come in several forms; all are to give one pseudonym.
    number = text.str.replace_all(r"[- ]", "").str.zfill(CPR_DIGITS)
    signed = pl.when(looks_like_cpr(text)).then(number).when(text != "").then(text)
    return signed.map_batches(
        lambda ids: _map_unique(ids, lambda value: _sign(value, secret), pl.String()),
        return_dtype=pl.String,
        is_elementwise=True,
    ).alias(s.PERSON_ID)


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
