"""Keys: the secret of which pseudonyms are made, and how much of it could be guessed."""

import hmac
from itertools import pairwise
from typing import Final

from somv_risk.calls.shown import is_text
from somv_risk.errors import ConfigError

MIN_KEY_BYTES: Final = 16
_LEAST_SURPRISES: Final = 5
_KEYBOARD: Final = (
    *(b"1234567890", b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"),
    b"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
)
_COMMON_WORDS: Final = (
    b"password",
    b"passphrase",
    b"adgangskode",
    b"kodeord",
    b"hemmelig",
    b"secret",
    b"nogle",
)
_CHECKED: Final = b"somv_risk: check value of a key"
_CHECK_HEX_DIGITS: Final = 16


def prepare_key(key: str | bytes) -> bytes:
    r"""Make the bytes of a key that was given as text or bytes, and check that nobody guesses it.

    White space around it is no part of it: an editor ends a file with a line break.

    Raises
    ------
    ConfigError
        If the key is neither text nor bytes, is shorter than 16 bytes, or repeats itself, runs along the
        alphabet or the keyboard, or is made of common words.

    Examples
    --------
    >>> prepare_key("b7e14ac09d3f58c2\n")
    b'b7e14ac09d3f58c2'
    """
    if not isinstance(key, str | bytes) or (isinstance(key, str) and not is_text(key)):
        raise ConfigError(
            f"The pseudonymisation key is a {type(key).__name__}. Give text or bytes, "
            "or read a file with read_key."
        )
    secret = (key.encode() if isinstance(key, str) else key).strip()
    if len(secret) < MIN_KEY_BYTES:
        raise ConfigError(
            f"The pseudonymisation key has {len(secret)} bytes. "
            f"Give at least {MIN_KEY_BYTES} random bytes and keep them secret."
        )
    if _count_surprises(secret) < _LEAST_SURPRISES:
        raise ConfigError(
            "The pseudonymisation key can be guessed: it repeats itself, follows the alphabet or the "
            "keyboard, or is a common word. Give random bytes, such as those of: openssl rand -hex 32"
        )
    return secret


def compute_check_value(secret: bytes) -> str:
    """Compute what shows whether two keys are the same, and nothing else about them."""
    return hmac.new(secret, _CHECKED, "sha256").hexdigest()[:_CHECK_HEX_DIGITS]


def _count_surprises(secret: bytes) -> int:
    """Count the bytes that do not follow from those before them."""
    once = secret.lower()[: _find_period(secret.lower())]
    for word in _COMMON_WORDS:
        once = once.replace(word, b"")
    return sum(not _follows(one, other) for one, other in pairwise(once))


def _find_period(text: bytes) -> int:
    """Find after how many bytes a text repeats itself."""
    return next(n for n in range(1, len(text) + 1) if text[n:] == text[:-n])


def _follows(one: int, other: int) -> bool:
    pair = bytes((one, other))
    return abs(other - one) <= 1 or any(pair in row or pair[::-1] in row for row in _KEYBOARD)
