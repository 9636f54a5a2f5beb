"""The lines of a text file, bounded in memory; knows nothing of what is on them."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from service.importing.problems import ImportFailed

# The longest book that breaks no rule is some tens of kilobytes, every character escaped.
LONGEST_LINE_BYTES = 2**20

# Large enough that decoding a block at a time costs little, small enough to stay in the processor's cache.
_BLOCK_BYTES = 2**18
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Lines:
    """Iterate a file's lines, each with its line end; counts the bytes read so far. Raises ImportFailed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)
        self._lines_before = 0
        self.byte_count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        rest = b""
        while block := self._file.read(_BLOCK_BYTES):
            if not self.byte_count:
                block = block.removeprefix(_BYTE_ORDER_MARK)
            self.byte_count += len(block)
            whole, end, begun = block.rpartition(b"\n")
            if not end:
                rest += begun
                if len(rest) > LONGEST_LINE_BYTES:
                    number = self._lines_before + 1
                    raise ImportFailed(
                        f"{self._path}, line {number}: is longer than {LONGEST_LINE_BYTES} bytes"
                    )
                continue
            # StringIO splits at LF alone; str.splitlines would also split at characters that titles may have.
            yield from io.StringIO(self._decoded(rest + whole + end), newline="\n")
            rest = begun
        if rest:
            yield self._decoded(rest)

    def _decoded(self, lines: bytes) -> str:
        try:
            text = lines.decode()
        except UnicodeDecodeError as error:
            before = lines[: error.start]
            number = self._lines_before + before.count(b"\n") + 1
            place = error.start - before.rfind(b"\n")
            byte = f"byte {place} of the line, 0x{lines[error.start]:02x}"
            raise ImportFailed(f"{self._path}, line {number}: {byte}, is not UTF-8") from None
        self._lines_before += text.count("\n")
        return text
