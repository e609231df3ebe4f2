"""A made-up region: people with latent troubles, and the register rows that these leave behind."""

from somv_risk.simulate.region import simulate, simulate_store
from somv_risk.simulate.tables import simulate_tables

__all__ = ["simulate", "simulate_store", "simulate_tables"]
