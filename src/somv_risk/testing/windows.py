"""Windows: whether a builder of features and outcomes cuts time as it should, case by case."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal, Protocol, get_args

import polars as pl

from somv_risk.errors import ConfigError, WindowError
from somv_risk.testing.window_cases import (
    CAPABILITIES,
    Answer,
    Capability,
    Case,
    Question,
    load_window_cases,
)

Verdict = Literal["right", "wrong", "error", "not offered"]
VERDICTS: Final = get_args(Verdict)
_LONGEST_ERROR: Final = 120


class Builder(Protocol):
    """What is tested: an adapter that hands a question on to some builder of windows."""

    def __call__(self, events: pl.DataFrame, cohort: pl.DataFrame, question: Question, /) -> Sequence[Answer]:
        """Return one answer per cohort row, in cohort order, None for null; see `Case` for the frames."""


def check_windows(
    answer: Builder,
    offers: Collection[Capability] = CAPABILITIES,
    *,
    cases: Iterable[Case] | None = None,
) -> pl.DataFrame:
    """Ask a builder of windows every case, and tell how it fared.

    Parameters
    ----------
    answer
        The builder behind an adapter of about ten lines.
    offers
        What the builder can be asked; everything by default. The measures of `Question`, and `between`
        (windows that end before the index), `known_at` (events that become known after they start),
        `censoring` (data that end before the horizon does). A case that needs anything else is not asked.
    cases
        The cases of `load_window_cases` by default.

    Returns
    -------
    One row per case: `case`, `rule`, `verdict`, `expected`, `answered` (the answers, or the error). A
    verdict is `right`, `wrong`, `error` or `not offered`; refusing a case that may be refused is right.

    Raises
    ------
    ConfigError
        If `offers` names something unknown.

    Examples
    --------
    >>> from datetime import timedelta
    >>> def count_to_the_last_moment(events, cohort, question):
    ...     by_person = events.rows_by_key("person_id", named=True)
    ...     length = timedelta(days=question.days)
    ...     return [
    ...         sum(index - length <= event["started_at"] <= index for event in by_person.get(person, []))
    ...         for person, index in cohort.iter_rows()
    ...     ]
    >>> found = check_windows(count_to_the_last_moment, offers=["count"])
    >>> found.filter(verdict="wrong").select("case", "expected", "answered").row(0)
    ('event_at_the_index', '0, 1', '1, 2')
    """
    if unknown := sorted(set(offers) - CAPABILITIES):
        raise ConfigError(f"A builder cannot offer {unknown}. Known are {sorted(CAPABILITIES)}.")
    chosen = load_window_cases() if cases is None else cases
    rows = [_check_case(case, answer, offers) for case in chosen]
    columns = ("case", "rule", "verdict", "expected", "answered")
    return pl.DataFrame(
        rows, schema=dict.fromkeys(columns, pl.String) | {"verdict": pl.Enum(VERDICTS)}, orient="row"
    )


def assert_windows_conform(
    answer: Builder,
    offers: Collection[Capability] = CAPABILITIES,
    *,
    cases: Iterable[Case] | None = None,
) -> None:
    """Demand that a builder of windows is right in every case that it can be asked.

    Parameters
    ----------
    answer, offers, cases
        As in `check_windows`.

    Raises
    ------
    WindowError
        If a case is answered wrongly or with an error, or none could be asked; the message names the cases.
    ConfigError
        If `offers` names something unknown.

    Examples
    --------
    >>> assert_windows_conform(lambda events, cohort, question: [0] * cohort.height, offers=["between"])
    Traceback (most recent call last):
    somv_risk.errors.WindowError: No case could be asked. ...
    """
    asked = check_windows(answer, offers, cases=cases).filter(pl.col("verdict") != "not offered")
    failed = asked.filter(pl.col("verdict") != "right")
    if asked.is_empty():
        raise WindowError("No case could be asked. Offer at least one measure, such as count.")
    if failed.height:
        raise WindowError(
            f"{failed.height} of {asked.height} window cases are not answered as they should be:\n"
            + "\n".join(_tell(*row) for row in failed.iter_rows())
        )


def _check_case(case: Case, answer: Builder, offers: Collection[Capability]) -> tuple[str, ...]:
    verdict, answered = _ask(case, answer) if case.needs <= set(offers) else ("not offered", "")
    return case.name, case.rule, verdict, _join(case.expected), answered


def _ask(case: Case, answer: Builder) -> tuple[Verdict, str]:
    try:
        answers = answer(case.events, case.cohort, case.question)
        is_right = case.is_answered_by(answers)
    except Exception as error:  # noqa: BLE001 - a builder may fail in any way, and the others are still asked
        return "right" if case.may_refuse else "error", _describe(error)
    return "right" if is_right else "wrong", _join(answers)


def _join(answers: Iterable[Answer]) -> str:
    return ", ".join("null" if answer is None else f"{answer}" for answer in answers)


def _describe(error: Exception) -> str:
    first_line, *_ = [*str(error).splitlines(), ""]
    return f"{type(error).__name__}: {first_line}"[:_LONGEST_ERROR]


def _tell(case: str, rule: str, verdict: str, expected: str, answered: str) -> str:
    return f"- {case} ({verdict}): {rule} Expected {expected}; got {answered}."
