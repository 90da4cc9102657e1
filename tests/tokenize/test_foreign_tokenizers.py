"""Tokenizers that others made: what is switched off, what is refused; a text never becomes a control token."""

from __future__ import annotations

import copy
import json
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from autoclave.corpus.storage import Folder
from autoclave.errors import AutoclaveWarning, SchemaError
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.foreign import PROBES
from autoclave.tokenize.loader import TokenLoader
from autoclave.tokenize.shards import TokenMeaning, TokenShardWriter, write_manifest
from autoclave.tokenize.training import TokenizerSettings, train_tokenizer

TEXT = "First line </s> then <s> more words and <unk>. " * 10


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    texts = ["the server was there and the river flows over stones " * 3, "First line then more words"] * 20
    settings = TokenizerSettings(vocabulary_size=600, han_alphabet="none")
    found: dict[str, Any] = json.loads(train_tokenizer(lambda: texts, settings))
    return found


def changed(ours: dict[str, Any], **changes: Any) -> str:
    """Return our tokenizer with keys changed; those with a dot are inside."""
    found = copy.deepcopy(ours)
    for name, value in changes.items():
        place, _, key = name.rpartition("__")
        (found[place] if place else found)[key] = value
    return json.dumps(found)


def special(content: str, index: int, is_special: bool = True) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": index, "content": content, "special": is_special} | flags


TRUNCATION = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
PADDING = {
    "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
    "pad_token": "<unk>",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("truncation", {"truncation": TRUNCATION}),
        ("padding", {"padding": PADDING}),
        ("dropout", {"model__dropout": 0.5}),
    ],
)
def test_settings_of_use_are_switched_off_and_said(ours: dict[str, Any], name: str, change: dict[str, Any]) -> None:
    plain = Encoder(json.dumps(ours))
    with pytest.warns(AutoclaveWarning, match=f"{name} switched off"):
        encoder = Encoder(changed(ours, **change))
    for text in (TEXT, "short"):
        assert encoder.encode([text])[1].tolist() == plain.encode([text])[1].tolist()
    assert encoder.fingerprint == plain.fingerprint  # the same ids for the same texts
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Encoder(encoder.json).fingerprint == plain.fingerprint  # what is written beside the shards


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"normalizer": {"type": "NFC"}},
        {"normalizer": {"type": "NFKC"}},
        {"normalizer": {"type": "StripAccents"}},
        {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}},
        {"normalizer": {"type": "Replace", "pattern": {"String": "  "}, "content": " "}},
        {"model__byte_fallback": False},
        {"model__byte_fallback": False, "model__unk_token": None},
        {"pre_tokenizer": {"type": "WhitespaceSplit"}},
        {"pre_tokenizer": {"type": "BertPreTokenizer"}},
        {"decoder": None},
        {"decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}},
    ],
)
def test_what_does_not_write_texts_back_is_refused(ours: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(SchemaError, match="does not write texts back as they were"):
        Encoder(changed(ours, **change))


def test_a_template_adds_no_tokens(ours: dict[str, Any]) -> None:
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    found = Encoder(changed(ours, post_processor=template))
    assert found.encode([TEXT])[1].tolist() == Encoder(json.dumps(ours)).encode([TEXT])[1].tolist()


@pytest.mark.parametrize("is_special", [True, False])
@pytest.mark.parametrize("name", ["<s>", "</s>", "<unk>", "<|im_start|>", "<|endoftext|>", "[CLS]"])
def test_a_text_never_becomes_a_control_token(ours: dict[str, Any], name: str, is_special: bool) -> None:
    index = ours["model"]["vocab"].get(name, len(ours["model"]["vocab"]))
    encoder = Encoder(changed(ours, added_tokens=[special(name, index, is_special)]))
    for text in (name, f"a {name} b", f"x{name}y{name}", TEXT):
        ids = encoder.encode([text])[1]
        assert index not in ids.tolist()
        assert ids.min() > 2
        assert encoder.decode(ids) == text


def test_a_byte_level_tokenizer_with_special_tokens() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["a page about tags"] * 9, trainer)
    encoder = Encoder(tokenizer.to_str())
    for text in ("HTML has <s>strike</s> tags", *PROBES):
        ids = encoder.encode([text])[1]
        assert not np.isin(ids, [0, 1, 2]).any()
        assert encoder.decode(ids) == text


def test_a_model_that_reads_names_of_control_tokens_is_refused() -> None:
    """A unigram model finds '<s>' in its vocabulary, whatever is marked as special."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((f"<0x{n:02X}>", -20.0) for n in range(256))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    with pytest.raises(SchemaError, match=r"becomes a control token|does not write texts back"):
        Encoder(tokenizer.to_str())


def test_a_vocabulary_with_holes_is_as_large_as_its_largest_id(ours: dict[str, Any]) -> None:
    vocabulary = copy.deepcopy(ours["model"]["vocab"])
    last = max(vocabulary, key=vocabulary.__getitem__)
    vocabulary[last] = 70_000
    encoder = Encoder(changed(ours, model__vocab=vocabulary))
    assert encoder.vocabulary_size == 70_001
    assert encoder.dtype == np.uint32
    assert encoder.decode(encoder.encode([TEXT + last])[1]) == TEXT + last


def test_ids_outside_of_the_vocabulary_are_named(tmp_path: Any) -> None:
    folder, meaning = Folder(tmp_path), TokenMeaning("f" * 32, 100, 1, 2)
    with folder.open_write("000000.arrow") as file:
        writer = TokenShardWriter(file, meaning)
        tokens = pa.array([[5, 6, 100, 7]], pa.list_(pa.uint16()))
        writer.write(pa.array([b"0" * 16], pa.binary(16)), tokens, pa.array([9], pa.int32()))
        writer.close()
    write_manifest(folder, meaning, [writer.entry("000000.arrow", file.size, file.checksum)])
    loader = TokenLoader(tmp_path, sequence_length=5, batch_size=1, seed=0)
    with pytest.raises(SchemaError, match=r"000000\.arrow: holds the token 100, outside of its vocabulary of 100"):
        loader.batch(0)
