"""The tokenize stage: a tokenizer (trained on a sample, or given), then token shards and their manifest.

Output beside the usual folders: `tokens/<shard>.arrow`, `tokens/tokenizer.json`, and `tokens/manifest.json`, which is
written last. Phases: strata (how much text of each kind there is), sample, train; then the stage itself encodes.
"""

from __future__ import annotations

import tempfile

import msgspec

from autoclave.corpus.checksums import CHECKSUMS, forget, reopen, write_recorded
from autoclave.corpus.storage import Folder
from autoclave.pipelines.running.derived import refuse_idle
from autoclave.pipelines.running.engine import make_engine
from autoclave.pipelines.running.stage import Silent, Stage, StageContext
from autoclave.pipelines.tokenize.encode import TOKENS, encode_shard, finish
from autoclave.pipelines.tokenize.sample import SampleSettings, train_on_sample
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.shards import MANIFEST, TOKENIZER
from autoclave.tokenize.training import TokenizerSettings


class TokenizeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the tokenize stage."""

    tokenizer: str | None = None
    """A tokenizer.json to use; none: train one on this corpus."""
    training: TokenizerSettings = TokenizerSettings()
    """What the trained vocabulary is made of."""
    sample: SampleSettings = SampleSettings()
    """Which text it is trained on."""

    def __post_init__(self) -> None:
        if self.tokenizer is not None:
            refuse_idle(self, ["training", "sample"], "tokenize", "where a tokenizer is given")


def run_tokenize(context: StageContext[TokenizeSettings]) -> None:
    """Run the stage: find or train the tokenizer, encode every shard, write the manifest."""
    settings = context.settings
    tokens = context.folder.child(TOKENS)
    forget(context.folder, f"{TOKENS}/{CHECKSUMS}")
    reopen(tokens, context.name)
    forget(tokens, MANIFEST)
    tokens.remove(MANIFEST)
    if settings.tokenizer:
        encoder = Encoder.open(settings.tokenizer)
    else:
        encoder = train_on_sample(context, settings.training, settings.sample)
    write_recorded(tokens, TOKENIZER, encoder.json.encode(), context.name)
    tasks = context.document_tasks(tokenizer=encoder.fingerprint, _tokenizer=tokens.path(TOKENIZER))
    commits = context.map_shards(encode_shard, tasks)
    manifest = finish(context.folder, encoder, commits)
    context.results |= {
        "tokens": manifest.tokens,
        "vocabulary": encoder.vocabulary_size,
        "bytes per token": round(manifest.text_bytes / max(1, manifest.tokens), 3),
    }


def train_tokenizer_file(documents: str, out: str, *, vocab_size: int, seed: int = 0) -> None:
    """Train a tokenizer on the documents of a folder and write it to the file `out`.

    Raises InputError where the folder holds no documents, RecipeError where the vocabulary is too small.
    """
    from autoclave.pipelines.running.standalone import open_documents_folder  # not needed by workers

    settings = TokenizeSettings(training=TokenizerSettings(vocabulary_size=vocab_size))
    engine = make_engine("local", None)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            context = StageContext("tokenizer", Folder(scratch), settings, seed, engine)
            context.inputs = open_documents_folder(documents, context.folder, engine, Silent())
            encoder = train_on_sample(context, settings.training, settings.sample)
    finally:
        engine.close()
    parent, _, name = out.rpartition("/")
    Folder(parent or ".").write_bytes(name, encoder.json.encode())


STAGE = Stage("tokenize", TokenizeSettings, run_tokenize, writes="tokens")
