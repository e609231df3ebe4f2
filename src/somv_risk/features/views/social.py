"""Views of social benefits and municipal services."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from somv_risk.features._events import Array, Events
from somv_risk.features._kinds import Extent, ValueKind
from somv_risk.features._loops import NO_VALUE, Mask
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import Timeline
from somv_risk.features.views.view import Source, View, flag_new, flag_values, join_events, make_events
from somv_risk.registers import schema as s

OUTSIDE_LABOUR_MARKET: Final = ("social_assistance", "sickness", "rehabilitation", "early_retirement")


def build_benefit_spells_view(timeline: Timeline) -> Events:
    """Build one event per spell on one benefit, with whether another benefit came before it."""
    return join_events(timeline.see(s.SOCIAL_BENEFITS), timeline, s.BENEFIT, _flag_benefits)


def _flag_benefits(benefit: Coded, before: Array) -> dict[str, Mask]:
    return flag_values(benefit, s.BENEFITS) | {
        "public": ~benefit.are("self_support"),
        "switch": (before != NO_VALUE) & (benefit.codes != benefit.codes[before]),
    }


def build_outside_labour_market_view(timeline: Timeline) -> Events:
    """Build one event per spell outside the labour market, whichever benefits it was made of."""
    benefits = timeline.see(s.SOCIAL_BENEFITS)
    return join_events(benefits.take(benefits.get(s.BENEFIT).are(*OUTSIDE_LABOUR_MARKET)), timeline)


def build_service_spells_view(timeline: Timeline) -> Events:
    """Build one event per spell of one municipal service."""
    return join_events(timeline.see(s.SOCIAL_SERVICES), timeline, s.SERVICE, _flag_services)


def _flag_services(service: Coded, _before: Array) -> dict[str, Mask]:
    return flag_values(service, s.SERVICES)


def build_services_view(timeline: Timeline) -> Events:
    """Build one event per known row of a municipal service, as it was granted."""
    services = timeline.see(s.SOCIAL_SERVICES)
    provider = services.get(s.PROVIDER)
    return make_events(
        services,
        timeline,
        flags={"new_provider": flag_new(services, provider)},
        coded={
            s.SERVICE: services.get(s.SERVICE),
            s.PARAGRAPH: services.get(s.PARAGRAPH),
            s.PROVIDER: provider,
        },
    )


BENEFIT_SPELLS: Final = View(
    build_benefit_spells_view,
    tables=(s.SOCIAL_BENEFITS,),
    extent=Extent.JOINED,
    flags=(*s.BENEFITS, "public", "switch"),
    values=MappingProxyType({s.BENEFIT: ValueKind.NAME}),
    sources=(Source(s.SOCIAL_BENEFITS, is_joined=True, text=s.BENEFIT),),
    version=2,
)
OUTSIDE_LABOUR_MARKET_SPELLS: Final = View(
    build_outside_labour_market_view,
    tables=(s.SOCIAL_BENEFITS,),
    extent=Extent.JOINED,
    sources=(Source(s.SOCIAL_BENEFITS, is_joined=True, text=s.BENEFIT, only=OUTSIDE_LABOUR_MARKET),),
    version=2,
)
SERVICE_SPELLS: Final = View(
    build_service_spells_view,
    tables=(s.SOCIAL_SERVICES,),
    extent=Extent.JOINED,
    flags=s.SERVICES,
    values=MappingProxyType({s.SERVICE: ValueKind.NAME}),
    sources=(Source(s.SOCIAL_SERVICES, is_joined=True, text=s.SERVICE),),
    version=2,
)
SERVICES: Final = View(
    build_services_view,
    tables=(s.SOCIAL_SERVICES,),
    extent=Extent.LASTING,
    flags=("new_provider",),
    values=MappingProxyType(dict.fromkeys((s.SERVICE, s.PARAGRAPH, s.PROVIDER), ValueKind.NAME)),
    texts=(s.SERVICE, s.PARAGRAPH, s.PROVIDER),
    sources=(Source(s.SOCIAL_SERVICES),),
    version=2,
)
VIEWS: Final[Mapping[str, View]] = {
    "benefit_spells": BENEFIT_SPELLS,
    "outside_labour_market_spells": OUTSIDE_LABOUR_MARKET_SPELLS,
    "service_spells": SERVICE_SPELLS,
    "services": SERVICES,
}
