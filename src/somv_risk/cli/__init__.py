"""The command line: the same verbs as the library.

One module per family of commands; `_app` lists them in the order of the help. A command imports what it works
with when it is called, so that the help does not wait for LightGBM.
"""

from somv_risk.cli._app import app, main
from somv_risk.cli._exit_codes import (
    ALL_CODES,
    EXIT_ALARMS,
    EXIT_BUCKETS_FAILED,
    EXIT_CODES,
    EXIT_CODES_HELP,
    EXIT_NOT_PROMOTED,
    EXIT_ROWS_SET_ASIDE,
    find_exit_code,
)
from somv_risk.cli._options import Language

__all__ = [
    "ALL_CODES",
    "EXIT_ALARMS",
    "EXIT_BUCKETS_FAILED",
    "EXIT_CODES",
    "EXIT_CODES_HELP",
    "EXIT_NOT_PROMOTED",
    "EXIT_ROWS_SET_ASIDE",
    "Language",
    "app",
    "find_exit_code",
    "main",
]
