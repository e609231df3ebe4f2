"""Definitions: whether what a model was trained with still means the same in this library."""

from collections.abc import Collection
from typing import Final

from somv_risk.calls.notices import give_notice
from somv_risk.errors import DefinitionWarning, OtherDefinitionsError
from somv_risk.features import count_version, load_definitions
from somv_risk.model.model import RiskModel

SHOWN_NAMES: Final = 10


def list_other_definitions(model: RiskModel) -> list[str]:
    """List the features that count something else than when the model was trained, in the model's order.

    A feature of the catalogue is compared with the catalogue. One of your own travels with the model: of it
    only the events and the measure are the library's, and can have changed.
    """
    catalogue = {definition.id: definition for definition in load_definitions()}
    return [
        feature.name
        for feature in model.features
        for definition in [catalogue.get(feature.definition.id, feature.definition)]
        if feature.version != count_version(definition)
    ]


def check_definitions(model: RiskModel, allow: Collection[str] = ()) -> None:
    """Check that every feature counts what it counted when the model was trained.

    Parameters
    ----------
    allow
        With "definitions" in it there is a warning in place of the error.

    Raises
    ------
    OtherDefinitionsError
        If one counts something else.

    Warns
    -----
    DefinitionWarning
        If one does, and that is allowed.
    """
    fact = _tell_difference(list_other_definitions(model))
    if not fact:
        return
    if "definitions" not in allow:
        raise OtherDefinitionsError(
            f"{fact} Train it again, or allow it (allow=['definitions'], --allow definitions): "
            "the risks are then estimated from other numbers than it has learnt from."
        )
    give_notice(f"{fact} The risks are estimated with these.", DefinitionWarning)


def warn_of_definitions(model: RiskModel) -> None:
    """Warn of features that count something else than when the model was trained.

    Warns
    -----
    DefinitionWarning
        If there are any.
    """
    check_definitions(model, ["definitions"])


def _tell_difference(names: Collection[str]) -> str:
    if not names:
        return ""
    shown = ", ".join([*names][:SHOWN_NAMES])
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"The model was trained with other definitions than this library has of {shown}{more}."
