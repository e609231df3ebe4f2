"""Notes: what a table says beside a number that is missing, or that needs care."""

from typing import Final

LEAST_EVENTS: Final = 10
LEAST_FOR_CURVE: Final = 20
TOO_FEW: Final = f"Fewer than {LEAST_EVENTS} cases with the outcome, or without it: no line can be fitted."
TOO_FEW_FOR_CURVE: Final = (
    f"Fewer than {LEAST_FOR_CURVE} cases with the outcome, or without it, or all risks equal: "
    "no curve can be fitted."
)
NO_SLOPE: Final = (
    "The risks are equal, or set the cases with the outcome wholly apart: no line can be fitted."
)
NEAREST: Final = 1e-9
MOVED: Final = (
    f"Some risks are 0 or 1, which have no log-odds: they count as {NEAREST:.0e} and 1 - {NEAREST:.0e}."
)
NO_RISKS: Final = "This ranking gives no probabilities: there is nothing to calibrate."
NO_GROUP_INTERVAL: Final = "No interval: it is drawn for everybody only."
BY_LOT: Final = "Who is last on the list was drawn by lot among equal scores."
NOBODY: Final = "There is nobody in this part."
NOT_ASKED: Final = "Another way of counting was not given."
NO_INTERVAL: Final = "No interval: in more than a tenth of the draws the number cannot be computed."
NO_DRAWS: Final = "No interval: no draws were asked for."
NO_ORDER: Final = "There are no cases with the outcome, or none without it."
ALL_EQUAL: Final = "All scores are equal: the order is by lot."
NOBODY_FOUND: Final = "The list holds nobody with the outcome."
NO_EVENTS: Final = "No case has the outcome."
NO_AMOUNT: Final = "There were none, or they were not given."
LONGER: Final = "The list is longer than the population: everybody is on it."
NOT_GIVEN: Final = "This reference was not given, so the model is not compared with it."
