"""Signals: a command that the system ends clears away what it had begun, as one that is interrupted."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from somv_risk.cli._console import print_to_stderr

# Without them on Windows, where nothing of the kind is sent.
_ASKED: Final = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_FIRST_CODE: Final = 128  # a shell's exit code of a process that a signal has ended


@contextmanager
def end_on_signals() -> Iterator[None]:
    """End what is done meanwhile when the system asks, with the exit code that a shell expects.

    A signal that is ignored, as under `nohup`, stays so. The first one counts, so that clearing away is not
    cut short. Whatever error the end makes on its way out, such as one in a library's callback, is no error.
    """
    asked: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        for each in _ASKED:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(_FIRST_CODE + number)

    is_main = threading.current_thread() is threading.main_thread()
    heeded = [each for each in _ASKED if is_main and signal.getsignal(each) is signal.SIG_DFL]
    try:
        for each in heeded:
            signal.signal(each, end)
        yield
    except BaseException:
        if not asked:
            raise
        name = signal.Signals(asked[0]).name
        print_to_stderr(f"Ended by {name}. What was not finished is removed; start again.")
        sys.exit(_FIRST_CODE + asked[0])
    finally:
        for each in heeded:
            signal.signal(each, signal.SIG_DFL)
