"""Evaluation: what a model is worth on persons and a period that trained nothing."""
