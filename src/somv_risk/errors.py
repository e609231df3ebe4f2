"""Errors and warnings: one sentence of fact, one of cure, and never a person's values."""


class SomvRiskError(Exception):
    """Base of every error this library raises on purpose."""


class InputError(SomvRiskError, ValueError):
    """A table cannot be used: a column is missing, has a wrong type, or a required table is absent."""


class TooManySetAsideError(InputError):
    """More rows of a table were set aside than is allowed."""


class IdentityError(SomvRiskError, ValueError):
    """Person ids look like civil registration (CPR) numbers and were not pseudonymised."""


class SourceError(SomvRiskError, OSError):
    """A file or folder is missing or cannot be read or written."""


class ConfigError(SomvRiskError, ValueError):
    """A configuration, feature definition or argument breaks a rule."""


class ModelError(SomvRiskError, ValueError):
    """A model folder is incomplete, altered, or does not fit this library or these tables."""


class CohortError(SomvRiskError, ValueError):
    """Nobody, or nobody with an outcome, is left to work with."""


class SystemLibraryError(SomvRiskError, ImportError):
    """Something of the system is missing, such as the OpenMP runtime."""


class StoreVersionError(SourceError):
    """A store was written by another version of the library."""


class OtherTablesError(ModelError):
    """The histories lack tables that the model was trained with."""


class OtherDefinitionsError(ModelError):
    """A model was trained with other definitions of features than the library has."""


class EmptyBucketError(SourceError):
    """The buckets of a store do not hold the persons that its manifest counts."""


class MisplacedPersonError(InputError):
    """A person stands twice in a store, or in a bucket that is not theirs."""


class IndexTimeError(ConfigError):
    """The index moment lies before the data or after their end."""


class FolderInUseError(SourceError):
    """Another run is writing into the output folder."""


class OtherRunError(ConfigError):
    """The output folder holds a run of another model, store, index moment or other options."""


class LeakageError(SomvRiskError, AssertionError):
    """A feature changed when something that was not yet known was changed."""


class WindowError(SomvRiskError, AssertionError):
    """A builder of windows answers a case otherwise than counting by hand does."""


class SomvRiskWarning(UserWarning):
    """Base of every warning: the result stands, and somebody must know something about it."""


class QuarantineWarning(SomvRiskWarning):
    """More rows of a table were set aside than usual, or lost an attribute that could not be read."""


class StaleDataWarning(SomvRiskWarning):
    """The data end before the index moment."""


class AbsentTablesWarning(SomvRiskWarning):
    """The histories lack tables that the model was trained with, and this was allowed."""


class DefinitionWarning(SomvRiskWarning):
    """A model was trained with other definitions of features than the library has, and this was allowed."""


class ColumnWarning(SomvRiskWarning):
    """A delivered table has columns that are not read."""


class SourceWarning(SomvRiskWarning):
    """A source holds something that is not taken over, or is read otherwise than it stands there."""


class ImplausibleDataWarning(SomvRiskWarning):
    """Contacts without an end, events after a death and the like are counted within bounds."""


class IdentityWarning(SomvRiskWarning):
    """Some values look like civil registration numbers, too few to be sure; or a key is not kept well."""


class EligibilityWarning(SomvRiskWarning):
    """Some of the persons asked for are not eligible and have no score."""


class TrainingWarning(SomvRiskWarning):
    """A model was trained otherwise than asked: a target left out, few events, a short history."""


class ForkWarning(SomvRiskWarning):
    """A process forks after its threads have started; the child may hang."""
