"""What the chain costs in time and memory, after a check that it is right: `python -m benchmarks`."""
