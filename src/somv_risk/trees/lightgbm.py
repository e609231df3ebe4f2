"""LightGBM: the one place that imports LightGBM, with advice where the system lacks its runtime."""

from somv_risk.errors import SystemLibraryError

try:
    import lightgbm
except OSError as error:  # the OpenMP runtime is a system library that pip cannot bring
    raise SystemLibraryError(
        f"LightGBM cannot start ({error}). Install the OpenMP runtime: apt-get install -y libgomp1"
    ) from None

__all__ = ["lightgbm"]
