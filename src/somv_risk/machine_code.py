"""Machine code: loops in plain Python that numba compiles when they are first called.

Compiled code is kept on disk beside the module, or in the user's cache where that cannot be written to, so
that only the first call after an installation waits for it, and says so.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import cache, partial, wraps
from hashlib import sha256
from importlib.util import find_spec
from types import FunctionType
from typing import Any, TypeVar

Loop = TypeVar("Loop", bound=Callable[..., Any])


class CompilationWarning(UserWarning):
    """Loops are compiled, which happens once after an installation and takes some seconds."""


def can_compile() -> bool:
    """Whether numba is there."""
    return find_spec("numba") is not None


def compiled(loop: Loop) -> Loop:
    """Compile a loop when it is first called, and with it the compiled loops that it calls.

    These become part of it: to hand arrays over would take longer than a short loop itself. It must not
    refer to names of an enclosing function.
    """

    @wraps(loop)
    def call(*arguments: Any) -> Any:  # noqa: ANN401 - those of the loop
        return _compile(loop)(*arguments)

    call.link = partial(_link, loop)  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


@cache
def _compile(loop: FunctionType) -> Callable[..., Any]:
    from numba import njit  # noqa: PLC0415 - a quarter of a second to import

    _tell_when_compiling()
    try:
        machine_code: Callable[..., Any] = njit(_link(loop), nogil=True, cache=True)
    except RuntimeError:  # no folder can be written to
        machine_code = njit(_link(loop), nogil=True)
    return machine_code


@cache
def _link(loop: FunctionType) -> FunctionType:
    """Return a loop with those that it calls put in."""
    from numba import njit  # noqa: PLC0415

    called = {name: loop.__globals__.get(name) for name in loop.__code__.co_names}
    links = {name: getattr(other, "link", None) for name, other in called.items()}
    linked = {name: link_other() for name, link_other in links.items() if link_other}
    inner = {name: njit(other, nogil=True, inline="always") for name, other in linked.items()}
    function = FunctionType(loop.__code__, {**loop.__globals__, **inner}, loop.__name__, loop.__defaults__)
    # numba keeps code by this name, and does not notice when a loop of another module has changed.
    function.__qualname__ = loop.__qualname__ + _sign(linked)
    function.__module__ = loop.__module__
    return function


def _sign(linked: Mapping[str, FunctionType]) -> str:
    """Sign functions by what they do and the numbers they refer to."""
    if not linked:
        return ""
    said = [
        (function.__qualname__, function.__code__.co_code.hex(), function.__code__.co_consts, numbers)
        for function in linked.values()
        for numbers in [[function.__globals__.get(name) for name in function.__code__.co_names]]
    ]
    plain = [
        (*facts, [number for number in numbers if isinstance(number, int | float)])
        for *facts, numbers in said
    ]
    return "_" + sha256(repr(plain).encode()).hexdigest()[:16]


@cache
def _tell_when_compiling() -> None:
    """Let the first loop that is compiled, rather than loaded, be told of."""
    from numba.core import event  # noqa: PLC0415

    class Teller(event.Listener):
        """Tells once, and of the loops of this library only."""

        is_told = False

        def on_start(self, started: event.Event) -> None:
            function = started.data["dispatcher"].py_func
            if not self.is_told and function.__module__.startswith(f"{__package__}."):
                self.is_told = True
                warnings.warn(
                    "Compiling loops, once after installation: this takes some seconds.",
                    CompilationWarning,
                    stacklevel=2,
                )

        def on_end(self, ended: event.Event) -> None:
            """Nothing is told."""

    event.register("numba:compile", Teller())  # type: ignore[no-untyped-call]
