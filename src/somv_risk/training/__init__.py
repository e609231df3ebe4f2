"""Training: from histories and a configuration to a fitted model."""
