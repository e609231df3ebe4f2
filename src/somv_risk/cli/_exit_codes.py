"""Exit codes: what a script is told of how a command ended."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from somv_risk import errors

EXIT_CODES: Final[Mapping[type[errors.SomvRiskError], int]] = MappingProxyType(
    {
        errors.SourceError: 3,
        errors.InputError: 4,
        errors.IdentityError: 5,
        errors.ConfigError: 6,
        errors.ModelError: 7,
        errors.CohortError: 8,
        errors.SystemLibraryError: 9,
        errors.StoreVersionError: 20,
        errors.OtherTablesError: 21,
        errors.EmptyBucketError: 22,
        errors.MisplacedPersonError: 23,
        errors.IndexTimeError: 24,
        errors.FolderInUseError: 25,
        errors.OtherRunError: 26,
        errors.OtherDefinitionsError: 28,
    }
)
EXIT_ROWS_SET_ASIDE: Final = 10
EXIT_ALARMS: Final = 11
EXIT_NOT_PROMOTED: Final = 14
EXIT_BUCKETS_FAILED: Final = 27

EXIT_CODES_HELP: Final = (
    "Exit codes: 0 done; 2 wrong call; 3 file or folder; 4 table; 5 CPR-like ids; 6 configuration; "
    "7 model; 8 nobody left; 9 system library; 10 rows set aside (check); "
    "11 something beyond its limit (monitor); 14 not promoted (promote); 20 store of another version; "
    "21 absent tables; 22 empty bucket; 23 person in two buckets; 24 index time outside the data; "
    "25 folder in use; 26 folder of another run; 27 done, without buckets that cannot be read; "
    "28 other definitions of features."
)
