"""Log lines on their way out."""

import io

import pytest

from service.operations.logs import LineWriter

PIPE_BUF = 4096  # of Linux: a write of up to so many bytes is not broken into by another process's


class Writes(io.StringIO):
    """Remembers what was written at once: from one flush to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def flush(self) -> None:
        self.pieces.append(self.getvalue())
        self.seek(0)
        self.truncate()


@pytest.mark.parametrize("text", ["a" * 100, "é" * 100, "短" * 1000, ""], ids=["ascii", "2", "3", "empty"])
def test_lines_are_written_whole_and_no_more_at_once_than_a_pipe_keeps_together(text):
    stream = Writes()
    lines = [f"{number} {text}\n" for number in range(500)]
    with LineWriter(stream) as writer:
        for line in lines:
            writer.write(line)
    assert "".join(stream.pieces) == "".join(lines)
    assert all(piece.endswith("\n") and len(piece.encode()) <= PIPE_BUF for piece in stream.pieces)
    # A few at a time, not one by one.
    assert len(stream.pieces) <= 2 * len("".join(lines).encode()) / PIPE_BUF + 20


def test_a_line_that_is_longer_is_written_at_once():
    stream = Writes()
    lines = ["short\n", "x" * 10_000 + "\n", "short\n"]
    with LineWriter(stream) as writer:
        for line in lines:
            writer.write(line)
    assert "".join(stream.pieces) == "".join(lines)
    assert any(lines[1] in piece for piece in stream.pieces)
