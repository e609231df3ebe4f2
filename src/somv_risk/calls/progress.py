"""Progress: how far a call has come, told to whoever asks."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]


def ignore_progress(step: str, done: int, total: int) -> None:
    """Tell nobody how far the work has come."""
