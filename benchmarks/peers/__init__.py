"""Peers: other builders of features, each in an environment of its own, held against the same cases."""
