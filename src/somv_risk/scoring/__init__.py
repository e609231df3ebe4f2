"""Scoring: risks, reasons and changes of persons, with what their readers must know."""
