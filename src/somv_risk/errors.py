"""Errors: one sentence of fact, one of cure, and never a person's values."""


class SomvRiskError(Exception):
    """Base of every error this library raises on purpose."""


class InputError(SomvRiskError, ValueError):
    """A table cannot be used: a column is missing, has a wrong type, or a required table is absent."""


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


class LeakageError(SomvRiskError, AssertionError):
    """A feature changed when something that was not yet known was changed."""


class WindowError(SomvRiskError, AssertionError):
    """A builder of windows answers a case otherwise than counting by hand does."""
