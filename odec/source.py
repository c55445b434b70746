"""The text of a model file, and places in it."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

from odec.diagnostics import Diagnostic, OdecError, Span

# A model file is written by hand; a file beyond this size is a mistake (a data file, a core dump).
LARGEST_FILE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Source:
    """A model's text with `\\n` line ends and no byte-order mark, and the name it is called by in messages.

    >>> source = Source.from_text("x' = -x\\r\\nstate x = 1")
    >>> source.position(8)
    (2, 1)
    """

    text: str
    name: str = "<text>"
    _line_starts: tuple[int, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = [0]
        starts.extend(i + 1 for i, character in enumerate(self.text) if character == "\n")
        object.__setattr__(self, "_line_starts", tuple(starts))

    @classmethod
    def from_text(cls, text: str, name: str = "<text>") -> Source:
        """The source with line ends made one: CRLF and lone CR count as LF, so that lines are counted the same way."""
        return cls(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), name)

    @classmethod
    def from_file(cls, path: str | Path) -> Source:
        """The source in `path`, which must be UTF-8 text. Raises OdecError where it cannot be read."""
        path = Path(path)
        data = _bytes_of(path)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise OdecError.of(
                "E0002",
                f"`{path}` is not UTF-8 text: byte {data[error.start]:#04x} in line {line}",
                help="save the file as UTF-8",
            ) from None
        if "\0" in text:
            raise OdecError.of(
                "E0002", f"`{path}` is not a text file: it holds a NUL byte", help="is this a model file?"
            )
        return cls.from_text(text, str(path))

    @property
    def digest(self) -> str:
        """SHA-256 of the text, the same for every kind of line end."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()

    def position(self, offset: int) -> tuple[int, int]:
        """(line, column), both from 1, of a place in the text; a tab is one column."""
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its end."""
        start = self._line_starts[number - 1]
        stop = self._line_starts[number] - 1 if number < len(self._line_starts) else len(self.text)
        return self.text[start:stop]

    def excerpt(self, span: Span) -> str:
        """The text of a span."""
        return self.text[span.start : span.stop]

    def error(self, code: str, message: str, span: Span, help: str = "") -> Diagnostic:
        """An error at a place in this text."""
        return Diagnostic(code, message, span=span, source=self, help=help)

    def warning(self, code: str, message: str, span: Span, help: str = "") -> Diagnostic:
        """A warning at a place in this text."""
        return Diagnostic(code, message, span=span, source=self, help=help, severity="warning")


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise OdecError.of(
                "E0001", f"`{path}` is a folder, not a model file", help="name a file, such as `model.ode`"
            )
        if path.stat().st_size > LARGEST_FILE:
            raise OdecError.of(
                "E0002", f"`{path}` is larger than {LARGEST_FILE // 2**20} MiB", help="is this a model file?"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise OdecError.of("E0001", f"there is no file `{path}`", help="check the name and the folder") from None
    except OSError as error:
        raise OdecError.of(
            "E0001", f"`{path}` cannot be read: {error.strerror}", help="check the file's permissions"
        ) from None
