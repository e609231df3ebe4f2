"""Machine code: loops in plain Python that numba compiles when they are first called.

Compiled code is kept on disk beside the module, or in the user's cache where that cannot be written to, so
that only the first call after an installation waits for it.
"""

from collections.abc import Callable
from functools import cache, wraps
from types import FunctionType
from typing import Any, TypeVar

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a loop when it is first called, and with it the compiled loops that it calls.

    It must not refer to names of an enclosing function.
    """

    @cache
    def compile_loop() -> Callable[..., Any]:
        from numba import njit  # noqa: PLC0415 - a quarter of a second to import

        called = {name: loop.__globals__.get(name) for name in loop.__code__.co_names}
        loops = {name: getattr(other, "compile_loop", None) for name, other in called.items()}
        inner = {name: compile_inner() for name, compile_inner in loops.items() if compile_inner}
        function = FunctionType(
            loop.__code__, {**loop.__globals__, **inner}, loop.__name__, loop.__defaults__
        )
        function.__qualname__, function.__module__ = loop.__qualname__, loop.__module__
        try:
            machine_code: Callable[..., Any] = njit(function, nogil=True, cache=True)
        except RuntimeError:  # no folder can be written to
            machine_code = njit(function, nogil=True)
        return machine_code

    @wraps(loop)
    def call(*arguments: Any) -> Any:  # noqa: ANN401 - those of the loop
        return compile_loop()(*arguments)

    call.compile_loop = compile_loop  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]
