"""CSV files: read in blocks of whole lines, each counted before it is parsed, in any encoding."""

import codecs
import csv
import gzip
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from somv_risk.calls.notices import give_notice
from somv_risk.calls.shown import show
from somv_risk.errors import ConfigError, InputError, SourceError, SourceWarning
from somv_risk.files.file_faults import GZIP_MARK, find_disguise, name_fault

Places = npt.NDArray[np.intp]

SEPARATORS: Final = (";", "\t", ",", "|")
UTF_8: Final = "utf-8"
BYTES_PER_BLOCK: Final = 8 * 2**20
# Nobody writes such a line; where there seems to be one, a quotation mark was never closed.
LONGEST_LINE: Final = 8 * BYTES_PER_BLOCK
_QUOTE: Final = b'"'
_NO_HEADER: Final = "has a header that cannot be read. Deliver a line of column names"
_WIDE_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file in UTF-8, how many rows they are, and how many lines stand before them."""

    content: bytes
    rows: int
    lines_before: int


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file and how it is written: what parts its cells and lines, and what its header says."""

    path: Path
    encoding: str
    separator: str
    line_end: bytes
    header: bytes
    lines_of_header: int
    names: tuple[str, ...]
    quote: bytes = _QUOTE

    @classmethod
    def open(cls, path: Path, encoding: str = UTF_8, *, unquoted: Collection[str] = ()) -> Self:
        """Look at the beginning of a file; between `unquoted` separators a quotation mark is a letter.

        Raises
        ------
        SourceError
            If it cannot be read, or its first line is no header.
        InputError
            If the header names a column twice.
        """
        with name_fault(path):
            start = next(_read_text(path, encoding), b"")
        bare = start.lstrip(b"\r\n")
        line_end = _find_line_end(bare)
        header = bare[: _find_end_of_header(bare, line_end)].rstrip(b"\r\n")
        if b"\0" in header:
            raise _refuse(path, _describe_encoding(header, encoding))
        if not header.strip():
            raise _refuse(path, "is empty. Deliver it with a line of column names")
        separator = max(SEPARATORS, key=lambda mark: header.count(mark.encode()))
        names = _read_names(path, header, separator, encoding)
        quote = b"" if separator in unquoted else _QUOTE
        lines = 1 + _count_lines(start[: len(start) - len(bare)] + header, line_end)
        return cls(path, encoding, separator, line_end, header, lines, names, quote)

    @property
    def columns(self) -> pl.Schema:
        """The names of the columns; all cells are text."""
        return pl.Schema(dict.fromkeys(self.names, pl.String()))

    def read(self) -> Iterator[pl.DataFrame]:
        """Read all cells as text, block by block; every line becomes a row.

        Raises
        ------
        SourceError
            If a line cannot be read; it says which one, and never what stands in it.
        """
        short = 0
        with name_fault(self.path):
            for block in self._cut():
                yield self._parse(block)
                short = short or self._find_short_line(block)
        if short:
            self._warn_of_short_lines(short)

    def read_whole(self) -> pl.DataFrame:
        """Read all cells as text."""
        return pl.concat(chain([pl.DataFrame(schema=self.columns)], self.read()))

    def scan(self) -> pl.LazyFrame:
        """Scan the cells: whoever collects them reads the file from the beginning."""

        def read(
            columns: list[str] | None, wanted: pl.Expr | None, most: int | None, _batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            left = most
            for rows in self.read():
                kept = rows if left is None else rows.head(left)
                left = None if left is None else left - kept.height
                chosen = kept if wanted is None else kept.filter(wanted)
                yield chosen if columns is None else chosen.select(columns)

        return register_io_source(read, schema=self.columns, is_pure=True)

    def count(self) -> int:
        """Count the rows, without a look at their cells."""
        with name_fault(self.path):
            return sum(block.rows for block in self._cut())

    def _cut(self) -> Iterator[Block]:
        """Cut the lines below the header into blocks; only the last one may lack its line end."""
        waiting, lines = b"", self.lines_of_header
        for text in self._read_below_header():
            waiting += text
            rows, end = _find_ends(waiting, self.line_end, self.quote)
            if not end and len(waiting) > LONGEST_LINE:
                raise self._refuse_open_quote(lines)
            block = Block(waiting[:end], rows, lines)
            if rows:
                yield self._check(block)
            lines += _count_lines(block.content, self.line_end)
            waiting = waiting[end:]
        if waiting and waiting != b"\x1a":  # DOS marks the end of a file so
            yield self._check_last(Block(waiting, 1, lines))

    def _read_below_header(self) -> Iterator[bytes]:
        pieces, start = _read_text(self.path, self.encoding), b""
        for piece in pieces:
            start = (start + piece).lstrip(b"\r\n")
            if len(start) > len(self.header) + len(b"\r\n"):
                break
        yield from chain([_drop_line_end(start[len(self.header) :])], pieces)

    def _check(self, block: Block) -> Block:
        """Check what Polars would pass over: bytes of no text, and lines that end otherwise."""
        if b"\0" in block.content:
            raise _refuse(self.path, _describe_encoding(block.content, self.encoding))
        if _has_other_line_ends(block.content, self.line_end, self.quote):
            raise _refuse(
                self.path,
                "has lines that end in a carriage return (CR) and others that end in a line feed (LF): its "
                "rows are not certain. Write it with one kind of line ends",
            )
        return block

    def _check_last(self, block: Block) -> Block:
        if self.quote and block.content.count(self.quote) % 2:
            raise self._refuse_open_quote(block.lines_before)
        self._check(block)
        text = block.content.decode(errors="replace")
        cells = max(self._count_cells(text), default=(0, 0))[1]
        if text.strip() and cells < len(self.names):
            raise _refuse(
                self.path,
                f"ends within line {block.lines_before + 1}, which has {cells} cells of {len(self.names)}. "
                "Copy it again, whole",
            )
        return block

    def _parse(self, block: Block) -> pl.DataFrame:
        # With the header before it, no blank line of a block is taken for what stands above a header.
        content = io.BytesIO(self.header + self.line_end + block.content)
        try:
            rows = pl.read_csv(
                content,
                separator=self.separator,
                eol_char=self.line_end.decode(),
                quote_char=self.quote.decode() or None,
                infer_schema=False,
                new_columns=self.names,
            )
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            rows = None
        if rows is None or rows.height != block.rows or tuple(rows.columns) != self.names:
            raise self._refuse_block(block)
        return rows

    def _find_short_line(self, block: Block) -> int:
        """Find the first line that has fewer cells than there are columns; 0 if there is none."""
        places = _find_outside(block.content, self.separator.encode(), self.quote)
        if len(places) >= block.rows * (len(self.names) - 1):
            return 0
        counted = self._count_cells(block.content.decode())
        return next((block.lines_before + line for line, cells in counted if cells < len(self.names)), 0)

    def _warn_of_short_lines(self, line: int) -> None:
        give_notice(
            f"File {self.path} has lines with fewer cells than columns, the first of them line {line}. Their "
            "missing cells are read as empty; if the file is damaged, deliver it again.",
            SourceWarning,
        )

    def _refuse_block(self, block: Block) -> SourceError:
        """Say which line of a block cannot be read, and why."""
        try:
            text = block.content.decode()
        except UnicodeDecodeError:
            return _refuse(self.path, _describe_encoding(block.content, self.encoding))
        for line, cells in self._count_cells(text):
            if cells > len(self.names):
                return _refuse(
                    self.path,
                    f"has {cells} cells in line {block.lines_before + line}, and {len(self.names)} columns. "
                    f"Quote the texts that hold a {self.separator!r}",
                )
        return _refuse(
            self.path,
            f"has a quotation mark where none can stand, between lines {block.lines_before + 1} and "
            f"{block.lines_before + _count_lines(block.content, self.line_end)}. Double the marks within "
            "quoted texts, and quote the texts that hold one",
        )

    def _count_cells(self, text: str) -> Iterator[tuple[int, int]]:
        """Count the cells of each row, beside the number of the line on which it ends."""
        lines = io.StringIO(text, newline="")
        if self.quote:
            reader = csv.reader(lines, delimiter=self.separator)
        else:
            reader = csv.reader(lines, delimiter=self.separator, quoting=csv.QUOTE_NONE)
        try:
            yield from ((reader.line_num, len(cells)) for cells in reader)
        except csv.Error:
            return

    def _refuse_open_quote(self, lines_before: int) -> SourceError:
        return _refuse(
            self.path,
            f"has a quotation mark in or after line {lines_before + 1} that is never closed. Double the "
            "marks within quoted texts, or copy the file again, whole",
        )


def check_encoding(encoding: str | None) -> str:
    """Check that an encoding is known; without one it is UTF-8.

    Raises
    ------
    ConfigError
        If it is not known.

    Examples
    --------
    >>> check_encoding("Latin-1"), check_encoding(None)
    ('iso8859-1', 'utf-8')
    """
    try:
        name = codecs.lookup(encoding or UTF_8).name
        " ".encode(name)
    except (LookupError, TypeError, ValueError):
        raise ConfigError(
            f"Encoding {show(encoding)} is unknown. Give one such as utf-8, cp1252 or utf-16."
        ) from None
    return UTF_8 if name == "utf-8-sig" else name


def _read_text(path: Path, encoding: str) -> Iterator[bytes]:
    """Read a file in pieces of UTF-8, without a byte order mark."""
    with path.open("rb") as opened:
        start = opened.peek(len(codecs.BOM_UTF8))
        if said := find_disguise(start) if not start.startswith(GZIP_MARK) else "":
            raise _refuse(path, said)
        pieces = _read_pieces(gzip.GzipFile(fileobj=opened) if start.startswith(GZIP_MARK) else opened)
        yield from _drop_mark(path, pieces) if encoding == UTF_8 else _decode(path, pieces, encoding)


def _read_pieces(opened: io.BufferedIOBase) -> Iterator[bytes]:
    while piece := opened.read(BYTES_PER_BLOCK):
        yield piece


def _drop_mark(path: Path, pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, b"")
    if first.startswith(_WIDE_MARKS):
        raise _refuse(path, _describe_encoding(first, UTF_8))
    yield from chain([first.removeprefix(codecs.BOM_UTF8)], pieces)


def _decode(path: Path, pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        yield decoder.decode(next(pieces, b"")).removeprefix("\ufeff").encode()
        for piece in pieces:
            yield decoder.decode(piece).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError:
        raise _refuse(
            path, f"is not written in the encoding {encoding}. Name the encoding it is written in"
        ) from None


def _describe_encoding(content: bytes, encoding: str) -> str:
    """Say in what encoding a text seems to be written, and how to say so."""
    if encoding != UTF_8:
        return (
            f"is damaged, or not written in the encoding {encoding}. Deliver it again, or name its encoding"
        )
    if content.startswith(_WIDE_MARKS):
        return (
            "is written in the encoding UTF-16, not UTF-8. Read it with encoding utf-16, or write it in UTF-8"
        )
    if b"\0" in content:
        return (
            "holds bytes that are zero: it is damaged, or written in the encoding UTF-16. "
            "Deliver it again, or read it with encoding utf-16-le"
        )
    return (
        "is not written in the encoding UTF-8; its letters beyond a to z look like cp1252 (Windows, Excel) "
        "or latin-1. Read it with encoding cp1252, or write it in UTF-8"
    )


def _read_names(path: Path, header: bytes, separator: str, encoding: str) -> tuple[str, ...]:
    try:
        text = header.decode()
    except UnicodeDecodeError:
        raise _refuse(path, _describe_encoding(header, encoding)) from None
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error:
        raise _refuse(path, _NO_HEADER) from None
    if any(mark in name for name in names for mark in "\r\n"):
        raise _refuse(path, _NO_HEADER)  # a quotation mark too many joins the header with what follows it
    # Spreadsheets leave columns without a name beside the others.
    named = [name if name.strip() else f"column_{number}" for number, name in enumerate(names, start=1)]
    first = {name: number for number, name in reversed(list(enumerate(named, start=1)))}
    # A file without a header has values there, which no message may show.
    twice = [(first[name], number) for number, name in enumerate(named, start=1) if first[name] != number]
    if twice:
        raise InputError(
            f"File {path} has the same name above columns {twice[0][0]} and {twice[0][1]}. Give each column "
            "a name of its own."
        )
    return tuple(named)


def _find_line_end(text: bytes) -> bytes:
    """Find what ends the lines: the first mark outside quotation marks, where cells may hold either."""
    feed, carriage = (_find_end_of_header(text, mark) for mark in (b"\n", b"\r"))
    return b"\r" if carriage + 1 < feed else b"\n"


def _find_end_of_header(text: bytes, line_end: bytes) -> int:
    """Find where the first line ends that is not within quotation marks."""
    end = -1
    while (end := text.find(line_end, end + 1)) != -1:
        if text.count(_QUOTE, 0, end) % 2 == 0:
            return end
    return len(text)


def _drop_line_end(text: bytes) -> bytes:
    return text[2:] if text.startswith(b"\r\n") else text[1:]


def _find_ends(text: bytes, line_end: bytes, quote: bytes) -> tuple[int, int]:
    """Count the line ends outside quotation marks, and find where the last one ends."""
    if not quote or quote not in text:
        return _count_lines(text, line_end), text.rfind(line_end) + 1
    places = _find_outside(text, line_end, quote)
    return len(places), int(places[-1]) + 1 if len(places) else 0


def _find_outside(text: bytes, mark: bytes, quote: bytes) -> Places:
    """Find where a mark stands outside quotation marks: after an even number of them."""
    values = np.frombuffer(text, np.uint8)
    places: Places = np.flatnonzero(values == ord(mark))
    if not len(places) or not quote or quote not in text:
        return places
    is_quote = (values[: places[-1] + 1] == ord(quote)).view(np.uint8)
    between = np.add.reduceat(is_quote, np.concatenate([[0], places[:-1]]), dtype=np.uint8)
    is_outside = np.cumsum(between, dtype=np.uint8) % 2 == 0  # what overflows is even
    outside: Places = places[is_outside]
    return outside


def _has_other_line_ends(text: bytes, line_end: bytes, quote: bytes) -> bool:
    """Whether a carriage return or a line feed stands outside quotation marks and ends no line."""
    if line_end == b"\r":
        return b"\n" in text and len(_find_outside(text, b"\n", quote)) > 0
    if b"\r" not in text:
        return False
    following = np.frombuffer(text + b"\n", np.uint8)[_find_outside(text, b"\r", quote) + 1]
    return bool((following != ord(b"\n")).any())


def _count_lines(text: bytes, line_end: bytes) -> int:
    # Five times as fast as counting in bytes.
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(line_end)))


def _refuse(path: Path, said: str) -> SourceError:
    return SourceError(f"File {path} {said}.")
