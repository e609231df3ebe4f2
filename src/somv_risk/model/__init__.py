"""Model: the fitted model: encoding, calibration, baselines and its files."""
