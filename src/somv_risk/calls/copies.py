"""Copies: read-only mappings, which many values hold, can be pickled and copied with these values."""

import copyreg
from collections.abc import Callable
from types import MappingProxyType
from typing import Any


def allow_copies() -> None:
    """Let read-only mappings be pickled and copied, by what they hold; Python refuses it.

    Examples
    --------
    >>> import copy
    >>> allow_copies()
    >>> copy.deepcopy(MappingProxyType({"age": 44}))
    mappingproxy({'age': 44})
    """
    copyreg.pickle(MappingProxyType, _take_apart)


def _take_apart(
    mapping: MappingProxyType[Any, Any],
) -> tuple[Callable[..., MappingProxyType[Any, Any]], tuple[dict[Any, Any]]]:
    return _put_together, (dict(mapping),)


def _put_together(content: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(content)
