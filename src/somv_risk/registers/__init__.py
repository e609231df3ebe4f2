"""Registers: what a delivery is: tables, checks, conversion, identity, codes, and histories."""
