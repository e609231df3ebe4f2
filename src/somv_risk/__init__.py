"""Finds the citizens whom the health system keeps losing, and says in plain words why."""
