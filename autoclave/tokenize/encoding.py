"""Text to token ids, in batches, and back."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from autoclave.corpus.checksums import check
from autoclave.corpus.storage import open_read
from autoclave.errors import AutoclaveWarning, SchemaError
from autoclave.tokenize.fingerprints import tokenizer_fingerprint
from autoclave.tokenize.foreign import (
    control_tokens,
    require_lossless,
    require_text_stays_text,
    without_settings,
)
from autoclave.tokenize.training import BOS_ID, EOS_ID, PATTERN, SPECIALS

BATCH_CHARACTERS = 1 << 20
"""Characters encoded by one call: an encoding in memory takes some 100 bytes a token."""

PIECE_CHARACTERS = 1 << 18
"""A longer text is encoded in pieces, cut where the pattern always ends a piece."""

PRE_TOKENIZER = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
"""What tokenizer.json says of a pre-tokenizer that `split_text` knows where to cut for."""

_LINE_START = re.compile(r"(?<=\n)(?=\S)")
_WORD_START = re.compile(r"(?<=[A-Za-z])(?= [A-Za-z])")


class Encoder:
    """A trained tokenizer: ids of texts, texts of ids."""

    def __init__(self, tokenizer_json: str) -> None:
        """Take the text of a tokenizer.json; what of a foreign one is switched off or refused: tokenize/foreign.py.

        Raises SchemaError where it is something else, or not fit for a corpus.
        """
        try:
            self.json, switched_off = without_settings(tokenizer_json)
            encoding_json, names = control_tokens(self.json, SPECIALS)
            self._tokenizer = Tokenizer.from_str(encoding_json)
        except Exception as error:  # the library raises bare Exception for any malformed file
            raise SchemaError(f"not a tokenizer.json ({error}); train one with 'autoclave tokenizer train'") from error
        self._tokenizer.encode_special_tokens = True  # the text "</s>" is text
        self.fingerprint = tokenizer_fingerprint(self.json)
        if switched_off:
            warnings.warn(
                f"tokenizer {self.fingerprint[:12]}: {', '.join(switched_off)} switched off: texts are encoded whole",
                AutoclaveWarning,
                stacklevel=2,
            )
        self.vocabulary_size: int = 1 + max(self._tokenizer.get_vocab().values(), default=0)
        self.bos_id, self.eos_id = BOS_ID, EOS_ID
        self.dtype = np.dtype(np.uint16 if self.vocabulary_size <= 1 << 16 else np.uint32)
        if [self._tokenizer.id_to_token(index) for index in range(len(SPECIALS))] != list(SPECIALS):
            raise SchemaError(f"tokenizer {self.fingerprint[:12]}: ids 0, 1, 2 are not {', '.join(SPECIALS)}")
        # The library numbers added tokens anew where their ids leave a gap.
        self._controls = {name: int(self._tokenizer.token_to_id(name) or 0) for name in (*SPECIALS, *names)}
        self._splits = json.loads(self.json)["pre_tokenizer"] == PRE_TOKENIZER
        require_text_stays_text(lambda text: self._tokenizer.encode(text, add_special_tokens=False).ids, self._controls)
        require_lossless(lambda text: self.decode(self._encode([text])[1]))

    @classmethod
    def open(cls, path: str) -> Encoder:
        """Read a tokenizer.json.

        Raises InputError where there is none, DamageError where it is not what was written, SchemaError where it is
        something else.
        """
        check(path)
        with open_read(path) as file:
            data = file.read()
        try:
            return cls(data.decode())
        except (SchemaError, UnicodeDecodeError) as error:
            raise SchemaError(f"{path}: {error}") from error

    def encode_arrow(self, texts: pa.Array) -> pa.ListArray:
        """Return the ids of a string array, without special tokens: list<uint16 | uint32>, one row a text."""
        offsets, values = self.encode(texts.to_pylist())
        if offsets[-1] > np.iinfo(np.int32).max:
            raise ValueError(f"a batch of {offsets[-1]} tokens does not fit a list array; give smaller batches")
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return (offsets int64 [N+1], ids uint16 or uint32 [offsets[N]]) of N texts, without special tokens.

        Raises SchemaError where the tokenizer writes a control token for a text.
        """
        offsets, ids = self._encode(texts)
        if len(ids) and np.isin(ids, list(self._controls.values())).any():
            raise SchemaError(f"tokenizer {self.fingerprint[:12]}: writes a control token for a text; use another one")
        return offsets, ids

    def _encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.zeros(len(texts) + 1, dtype=np.int64)
        chunks: list[np.ndarray] = []
        for rows, pieces in self._chunks(texts):
            encodings = self._tokenizer.encode_batch_fast(pieces, add_special_tokens=False)
            for row, encoding in zip(rows, encodings, strict=True):
                ids = encoding.ids
                lengths[row + 1] += len(ids)
                chunks.append(np.array(ids, dtype=self.dtype))
        return np.cumsum(lengths), np.concatenate(chunks) if chunks else np.empty(0, dtype=self.dtype)

    def _chunks(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
        """Yield (row of each piece, pieces), in order, about BATCH_CHARACTERS at a time."""
        rows: list[int] = []
        pieces: list[str] = []
        size = 0
        for row, text in enumerate(texts):
            for piece in split_text(text) if self._splits else (text,):
                rows.append(row)
                pieces.append(piece)
                size += len(piece)
                if size >= BATCH_CHARACTERS:
                    yield rows, pieces
                    rows, pieces, size = [], [], 0
        if pieces:
            yield rows, pieces

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Return the text of ids (integer[n]); special tokens are left out, incomplete UTF-8 becomes U+FFFD."""
        return str(self._tokenizer.decode([int(i) for i in ids if i >= len(SPECIALS)], skip_special_tokens=False))


def split_text(text: str, size: int = PIECE_CHARACTERS) -> Iterator[str]:
    """Yield `text` in pieces whose encodings, put together, are the encoding of the whole.

    PATTERN always ends a piece between a line end and a character that is not white space (everything that takes a line
    end takes white space only after it), and before the space between two ASCII words. Cuts are made at the first such
    place after `size` characters; a text that has none stays whole.
    """
    start = 0
    while len(text) - start > size:
        found = _LINE_START.search(text, start + size, start + 2 * size) or _WORD_START.search(text, start + size)
        if found is None:
            break
        yield text[start : found.start()]
        start = found.start()
    yield text[start:]
