"""Served: the model as MLflow loads and serves it: raw histories in, risk, rank and reasons out."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from pydantic import BaseModel, ConfigDict

from somv_risk.calls.notices import one_call
from somv_risk.errors import (
    AbsentTablesWarning,
    CohortError,
    ConfigError,
    EligibilityWarning,
    IdentityError,
    InputError,
    OtherTablesError,
)
from somv_risk.model.definitions import check_definitions
from somv_risk.model.model import RiskModel, load_model
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.payload import (
    INPUTS,
    Options,
    Question,
    build_histories,
    read_moment,
    read_options,
    read_questions,
    tell_field,
)
from somv_risk.scoring.score import score
from somv_risk.sources import from_frames

if TYPE_CHECKING:
    import pandas as pd

FOLDER: Final = "risk_model"
REFUSED: Final = (InputError, IdentityError, ConfigError, CohortError, OtherTablesError)
SAID_IN_THE_ANSWER: Final = (EligibilityWarning, AbsentTablesWarning)
# The file MLflow keeps with the model and runs to load it: it holds no logic, so the installed code answers.
# The method is inherited, or MLflow would check a question first and put all of it into its error.
CODE: Final = '''"""The model as MLflow loads it; the code is that of the installed library."""

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from somv_risk.tracking import ServedModel


class Model(ServedModel, PythonModel):
    """Raw histories in; risk, rank and reasons out."""


set_model(Model())
'''


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReasonRow(_Part):
    """One reason."""

    theme: str
    feature: str
    value: float | None = None
    contribution: float
    changeable: bool
    text: str


class ScoreRow(_Part):
    """One citizen's score, as `score` returns it."""

    person_id: str
    index_time: str
    risk: float
    percentile: float
    rank: int
    flagged: bool | None = None
    known_or_new: str
    reasons: list[ReasonRow]
    unfinished_risk: float | None = None
    warnings: list[str]


class Answer(_Part):
    """The answer to one question: the scores, highest first, and who is not eligible for one."""

    scores: list[ScoreRow]
    not_eligible: list[str]


class ServedModel:
    """What MLflow asks: a list of questions (typed nested JSON), or frames of whole tables in a mapping."""

    model: RiskModel

    def load_context(self, context: Any) -> None:  # noqa: ANN401 - MLflow's own
        """Load the trees and what they mean from text and JSON.

        Raises
        ------
        OtherDefinitionsError
            If features count something else in the installed library than when the model was trained.
        """
        self.model = load_model(Path(context.artifacts[FOLDER]))
        check_definitions(self.model)

    def predict(
        self,
        context: Any,  # noqa: ANN401 - MLflow's own
        model_input: list[Question],
        params: dict[str, Any] | None = None,
    ) -> list[Answer]:
        """Answer questions, or score the persons in frames.

        Parameters
        ----------
        model_input
            A list of questions, each answered as one call of `score`. Or, from Python, a mapping of frames
            by table (Polars, pandas or Arrow) and of the options of a question, such as `index_time`; the
            answer then is a pandas frame as `score` returns it.
        """
        del context, params
        given: Any = model_input
        try:
            if isinstance(given, Mapping):
                scored: Any = self._score_frames(given)
                return scored  # type: ignore[no-any-return]  # what evaluators ask, from Python alone
            return [
                self._answer(one, f"{INPUTS}[{n}]") for n, one in enumerate(read_questions(_to_list(given)))
            ]
        except REFUSED as error:
            raise build_refusal(tell_field(error, INPUTS)) from None

    def _answer(self, question: Question, place: str) -> Answer:
        try:
            histories = build_histories(question, place)
            scores = _score(self.model, histories, question, place)
        except REFUSED as error:
            raise InputError(tell_field(error, place)) from None
        asked = histories.persons.select(s.PERSON_ID).collect()[s.PERSON_ID].to_list()
        scored = set() if scores is None else set(scores[s.PERSON_ID])
        rows = [] if scores is None else scores.with_columns(_write_moment()).to_dicts()
        return Answer.model_validate(
            {"scores": rows, "not_eligible": [person for person in asked if person not in scored]}
        )

    @one_call()
    def _score_frames(self, given: Mapping[str, Any]) -> "pd.DataFrame":
        frames = {name: frame for name, frame in given.items() if name in s.TABLES}
        options = read_options({name: value for name, value in given.items() if name not in s.TABLES})
        data_end = read_moment(options.data_end, f"{INPUTS}.data_end")
        histories = from_frames(**frames, data_end=data_end)
        scores = _score(self.model, histories, options, INPUTS)
        if scores is None:
            raise CohortError("Nobody is eligible. Check persons and index time.")
        return scores.to_pandas()


def _score(model: RiskModel, histories: Histories, options: Options, place: str) -> pl.DataFrame | None:
    """Score everybody eligible; None if nobody is."""
    moment = read_moment(options.index_time, f"{place}.{s.INDEX_TIME}")
    arguments = options.list_arguments() | {s.INDEX_TIME: moment}
    try:
        with warnings.catch_warnings():
            for kind in SAID_IN_THE_ANSWER:
                warnings.simplefilter("ignore", kind)
            return score(model, histories, **arguments)
    except CohortError:
        return None


def _write_moment() -> pl.Expr:
    return pl.col(s.INDEX_TIME).dt.strftime("%Y-%m-%dT%H:%M:%S")


def _to_list(given: object) -> object:
    """Take questions that were read as objects for what they say; MLflow hands over either."""
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        return [one.model_dump() if isinstance(one, BaseModel) else one for one in given]
    return given


def build_refusal(text: str) -> Exception:
    """Build the error that MLflow's server answers with status 400 and this text, and nothing but it.

    The server puts the whole question, with all that it says of a citizen, before the text of an error;
    so this one keeps the text it was made with.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - slow to import
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE  # noqa: PLC0415

    class Refusal(MlflowException):
        @property
        def message(self) -> str:
            return text

        @message.setter
        def message(self, _: str) -> None:
            """Keep the text."""

    return Refusal(text, error_code=INVALID_PARAMETER_VALUE)
