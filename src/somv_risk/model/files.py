"""Model files: text in a folder, written so that the old model or the new one loads at every moment."""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from somv_risk.cohort.outcomes import TARGET_NAME
from somv_risk.errors import ModelError

MODEL_VERSION: Final = 2
MODEL_FILE: Final = "model.json"
CARD_FILE: Final = "CARD.md"
FILES: Final = "files"  # in the description: the file of each target's trees
HEADS: Final = "heads"
ATTEMPTS: Final = 20  # at reading, while others are written
_TREES: Final = re.compile(rf"{TARGET_NAME.pattern}-[0-9a-f]{{16}}\.txt")
_PART: Final = re.compile(r"\..+\.part")


class Stored(NamedTuple):
    """What a folder holds: the description as text and as data, and the trees of each target."""

    text: str
    data: dict[str, Any]
    trees: dict[str, str]


def write_model(folder: Path, data: Mapping[str, Any], trees: Mapping[str, str], card: str) -> None:
    """Write a model in place of the one that is there, if there is one.

    All is written beside what is there, then renamed, the description last; what no description names is
    removed at the end. Whoever stops it at any moment leaves the old model or the new one.

    Raises
    ------
    ModelError
        If the folder cannot be written; the model that was there stays.
    """
    names = {
        target: f"{target}-{sha256(text.encode()).hexdigest()[:16]}.txt" for target, text in trees.items()
    }
    files = {names[target]: text for target, text in trees.items()}
    files |= {CARD_FILE: card, MODEL_FILE: json.dumps({**data, FILES: names}, indent=1)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _hold(folder) as held:
            earlier = _list_earlier(folder, trees)
            _write_parts(folder, files)
            for name in files:
                _name_part(folder, name).replace(folder / name)
            os.fsync(held)
            for name in earlier - set(files):
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(
            f"The model cannot be saved in {folder} ({error.strerror}); what was there stays. "
            "Make room, or choose another folder."
        ) from None


def _name_file(target: str, trees: str) -> str:
    return f"{target}-{sha256(trees.encode()).hexdigest()[:16]}.txt"


@contextmanager
def _hold(folder: Path) -> Iterator[int]:
    """Hold a folder against others who save into it; where a disk knows no locks, nobody is held off."""
    held = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX)
        yield held
    finally:
        os.close(held)


def _write_parts(folder: Path, files: Mapping[str, str]) -> None:
    try:
        for name, text in files.items():
            with _name_part(folder, name).open("w", encoding="utf-8") as part:
                part.write(text)
                part.flush()
                os.fsync(part.fileno())
    except OSError:
        for name in files:
            with suppress(OSError):
                _name_part(folder, name).unlink(missing_ok=True)
        raise


def _name_part(folder: Path, name: str) -> Path:
    return folder / f".{name}.part"


def _list_earlier(folder: Path, targets: Mapping[str, str]) -> set[str]:
    """List the files of earlier models, also of those whose writing was stopped, and nothing of others."""
    plain = {f"{target}.txt" for target in (*targets, *_list_targets(folder))}
    ours = (_TREES.fullmatch, _PART.fullmatch, plain.__contains__)
    return {file.name for file in folder.iterdir() if any(is_one(file.name) for is_one in ours)}


def _list_targets(folder: Path) -> list[str]:
    """List the targets of the model that is there; none if it cannot be read."""
    try:
        heads = dict(json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))[HEADS])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []
    return [name for name in heads if TARGET_NAME.fullmatch(name)]


def read_model(folder: Path) -> Stored:
    """Read a model; where another is just put in its place, that one.

    Raises
    ------
    ModelError
        If a file is missing, is no text or JSON, or is of another version; if a file that is named lies
        anywhere else than in the folder.
    """
    for attempt in range(1, ATTEMPTS + 1):
        text = _read(folder / MODEL_FILE)
        data = _parse(folder / MODEL_FILE, text)
        try:
            return Stored(text, data, {t: _read(folder / name) for t, name in list_files(data).items()})
        except ModelError:
            if attempt == ATTEMPTS or _read(folder / MODEL_FILE) == text:
                raise
    raise AssertionError


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError(f"{file} is not JSON. Restore the model folder.") from None
    found = data.get("model_version") if isinstance(data, dict) else None
    if found != MODEL_VERSION:
        raise ModelError(
            f"The model has version {found}; this library reads {MODEL_VERSION}. Train it again."
        )
    return dict(data)


def list_files(data: Mapping[str, Any]) -> dict[str, str]:
    """List the file of each target's trees; a description that names none is of an earlier version.

    Raises
    ------
    ModelError
        If a name is none that `write_model` gives.
    """
    heads = data.get(HEADS)
    named = data.get(FILES, {target: f"{target}.txt" for target in heads or ()})
    if not isinstance(heads, dict) or not isinstance(named, dict) or set(named) != set(heads):
        raise ModelError(f"{MODEL_FILE} does not say where the trees are. Restore the model folder.")
    for target, name in named.items():
        if not TARGET_NAME.fullmatch(target) or not _is_of(target, name):
            raise ModelError(
                f"{MODEL_FILE} names a file of trees as this library does not. Restore the model folder."
            )
    return named


def _is_of(target: str, name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(rf"{target}(-[0-9a-f]{{16}})?\.txt", name) is not None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ModelError(
            f"Model file {file} is missing or unreadable. Give the folder that train wrote."
        ) from None
