"""Models as n-grams with probabilities and back-offs, and the ARPA files that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from autoclave.corpus.readers.streams import ByteStream
from autoclave.corpus.storage import Folder, open_read
from autoclave.errors import InputError

_ROWS = 1 << 16


@dataclass(frozen=True)
class ArpaModel:
    """A back-off model.

    words: by id, with <unk> 0, <s> 1, </s> 2; for each order k: ngrams int32[U_k, k], probabilities and backoffs
    float32[U_k], log10. Unigrams are in order of their ids, one for every word.
    """

    words: list[bytes]
    ngrams: list[np.ndarray]
    probabilities: list[np.ndarray]
    backoffs: list[np.ndarray]

    @property
    def order(self) -> int:
        """The longest n-grams' length."""
        return len(self.ngrams)


def write_arpa(model: ArpaModel, path: str) -> None:
    """Write an ARPA file; it appears whole or not at all."""
    parent, _, name = path.rpartition("/")
    with Folder(parent or ("/" if path.startswith("/") else ".")).open_write(name) as file:
        counts = "".join(f"ngram {k}={len(ngrams)}\n" for k, ngrams in enumerate(model.ngrams, 1))
        file.write(f"\\data\\\n{counts}\n".encode())
        for k in range(1, model.order + 1):
            file.write(f"\\{k}-grams:\n".encode())
            for block in _lines(model, k):
                file.write(block)
            file.write(b"\n")
        file.write(b"\\end\\\n")


def _lines(model: ArpaModel, k: int) -> Iterator[bytes]:
    ngrams, backoffs = model.ngrams[k - 1], model.backoffs[k - 1]
    for first in range(0, len(ngrams), _ROWS):
        rows = slice(first, first + _ROWS)
        names = [b" ".join([model.words[word] for word in gram]) for gram in ngrams[rows].tolist()]
        lines = []
        for name, value, backoff in zip(names, model.probabilities[k - 1][rows], backoffs[rows], strict=True):
            tail = b"" if k == model.order else b"\t%.9g" % backoff
            lines.append(b"%.9g\t%s%s\n" % (value, name, tail))
        yield b"".join(lines)


def read_arpa(path: str) -> ArpaModel:
    """Read an ARPA file, plain or compressed (gzip, zstd); InputError where it is not one.

    A file without <unk> gets one of log10 probability -100, as with KenLM.
    """
    with open_read(path) as file:
        try:
            return _parse(_text_lines(file))
        except (ValueError, IndexError, KeyError, StopIteration) as error:
            raise InputError(f"{path}: not an ARPA language model ({error}); give what lmplz --arpa writes") from error


def _text_lines(file: BinaryIO) -> Iterator[bytes]:
    data = ByteStream(file)
    buffer = b""
    while piece := data.read(1 << 20):
        lines = (buffer + piece).split(b"\n")
        buffer = lines.pop()
        yield from lines
    yield buffer


def _parse(lines: Iterator[bytes]) -> ArpaModel:
    while next(lines).strip() != b"\\data\\":
        pass
    sizes: list[int] = []
    for line in lines:
        if line.startswith(b"ngram "):
            sizes.append(int(line.split(b"=")[1]))
        elif sizes:
            break
    ids: dict[bytes, int] = {b"<unk>": 0, b"<s>": 1, b"</s>": 2}
    ngrams, probabilities, backoffs = [], [], []
    for k, size in enumerate(sizes, 1):
        while not line.startswith(b"\\%d-grams:" % k):
            line = next(lines)
        grams = np.zeros((size, k), dtype=np.int32)
        values = np.zeros((2, size), dtype=np.float32)
        for row in range(size):
            fields = next(lines).replace(b"\t", b" ").split(b" ")
            values[0, row] = fields[0]
            words = fields[1 : k + 1]
            grams[row] = [ids.setdefault(word, len(ids)) for word in words] if k == 1 else [ids[word] for word in words]
            if len(fields) > k + 1:
                values[1, row] = fields[k + 1]
        ngrams.append(grams)
        probabilities.append(values[0])
        backoffs.append(values[1])
    _order_unigrams(len(ids), ngrams, probabilities, backoffs)
    return ArpaModel(list(ids), ngrams, probabilities, backoffs)


def _order_unigrams(
    count: int, ngrams: list[np.ndarray], probabilities: list[np.ndarray], backoffs: list[np.ndarray]
) -> None:
    """Put unigrams in the order of ids, absent special words with log10 probability -100."""
    places = ngrams[0][:, 0]
    for column, empty in ((probabilities, -100.0), (backoffs, 0.0)):
        ordered = np.full(count, empty, dtype=np.float32)
        ordered[places] = column[0]
        column[0] = ordered
    ngrams[0] = np.arange(count, dtype=np.int32)[:, None]
