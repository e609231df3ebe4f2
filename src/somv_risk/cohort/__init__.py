"""Cohort: time and who: windows, the as-of view, stays, eligible persons, outcomes and splits."""
