"""Exit codes: what a script is told of how a command ended, a record for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from somv_risk import errors


@dataclass(frozen=True, slots=True)
class ExitCode:
    """A code, what it says in a few words, and the error that ends a command with it, if one does."""

    number: int
    words: str
    error: type[errors.SomvRiskError] | None = None


EXIT_ROWS_SET_ASIDE: Final = 10
EXIT_ALARMS: Final = 11
EXIT_NOT_PROMOTED: Final = 14
EXIT_BUCKETS_FAILED: Final = 27

ALL_CODES: Final = (
    ExitCode(0, "done"),
    ExitCode(1, "output no longer read, or an error that was not foreseen"),
    ExitCode(2, "wrong call"),
    ExitCode(3, "file or folder", errors.SourceError),
    ExitCode(4, "table", errors.InputError),
    ExitCode(5, "CPR-like ids", errors.IdentityError),
    ExitCode(6, "configuration", errors.ConfigError),
    ExitCode(7, "model", errors.ModelError),
    ExitCode(8, "nobody left", errors.CohortError),
    ExitCode(9, "system library", errors.SystemLibraryError),
    ExitCode(EXIT_ROWS_SET_ASIDE, "rows set aside (check)"),
    ExitCode(EXIT_ALARMS, "something beyond its limit (monitor)"),
    ExitCode(12, "too many rows set aside (ingest)", errors.TooManySetAsideError),
    ExitCode(EXIT_NOT_PROMOTED, "not promoted (promote)"),
    ExitCode(20, "store of another version", errors.StoreVersionError),
    ExitCode(21, "absent tables", errors.OtherTablesError),
    ExitCode(22, "empty bucket", errors.EmptyBucketError),
    ExitCode(23, "person in two buckets", errors.MisplacedPersonError),
    ExitCode(24, "index time outside the data", errors.IndexTimeError),
    ExitCode(25, "folder in use", errors.FolderInUseError),
    ExitCode(26, "folder of another run", errors.OtherRunError),
    ExitCode(EXIT_BUCKETS_FAILED, "done, without buckets that cannot be read"),
    ExitCode(28, "other definitions of features", errors.OtherDefinitionsError),
    ExitCode(129, "ended by SIGHUP"),
    ExitCode(130, "ended by SIGINT"),
    ExitCode(143, "ended by SIGTERM"),
)

EXIT_CODES: Final[Mapping[type[errors.SomvRiskError], int]] = MappingProxyType(
    {code.error: code.number for code in ALL_CODES if code.error is not None}
)
EXIT_CODES_HELP: Final = f"Exit codes: {'; '.join(f'{code.number} {code.words}' for code in ALL_CODES)}."


def find_exit_code(error: type[BaseException]) -> int:
    """Find the code of an error: its own, or that of the nearest kind that has one."""
    kinds = [kind for kind in error.__mro__ if kind in EXIT_CODES]
    return EXIT_CODES[kinds[0]] if kinds else 1
