"""Shown: how an argument of a call stands in an error, which never holds a person's values."""

from datetime import date
from typing import Final

MOST: Final = 2**63 - 1
_SHOWN_LENGTH: Final = 40


def is_text(value: str) -> bool:
    """Whether text can be written: halves of characters, as broken input has them, cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def show(value: object) -> str:
    """Show an argument that is a number, a name or a moment, cut to a length; of others the type."""
    if not isinstance(value, str | int | float | date | None):
        return show_type(value)
    if isinstance(value, int) and abs(value) > MOST:
        return "a number beyond all counts"
    text = ascii(value) if isinstance(value, str) and not is_text(value) else repr(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}..."


def show_type(value: object) -> str:
    """Show of what type an argument is."""
    return "None" if value is None else f"of type {type(value).__name__}"
