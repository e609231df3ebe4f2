"""Calls: what a call of the library is given, and how it warns whoever called."""
