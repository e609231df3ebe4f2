"""The store: checked histories on disk, persons hashed into buckets, each bucket whole in itself."""

from somv_risk.store._append import Review, append, append_store, check_only, ingest
from somv_risk.store._delivery import ROWS_PER_BATCH, Batches, Delivery, deliver_frames, deliver_histories
from somv_risk.store._files import check_is_new, lock_folder, make_folder
from somv_risk.store._manifest import (
    MANIFEST,
    STORE_VERSION,
    hash_store,
    is_store,
    list_bucket_files,
    read_manifest,
    read_span,
)
from somv_risk.store._merge import Moment, Moves, merge_events
from somv_risk.store._places import find_bucket
from somv_risk.store._scan import scan_store
from somv_risk.store._verify import FINDINGS, verify_store
from somv_risk.store._write import DEFAULT_BUCKETS, write_blocks, write_store

__all__ = [
    "DEFAULT_BUCKETS",
    "FINDINGS",
    "MANIFEST",
    "ROWS_PER_BATCH",
    "STORE_VERSION",
    "Batches",
    "Delivery",
    "Moment",
    "Moves",
    "Review",
    "append",
    "append_store",
    "check_is_new",
    "check_only",
    "deliver_frames",
    "deliver_histories",
    "find_bucket",
    "hash_store",
    "ingest",
    "is_store",
    "list_bucket_files",
    "lock_folder",
    "make_folder",
    "merge_events",
    "read_manifest",
    "read_span",
    "scan_store",
    "verify_store",
    "write_blocks",
    "write_store",
]
