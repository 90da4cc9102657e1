"""The self-cleaning stage: train small models on the corpus, score every document with one that has not seen it, drop
both tails, draw a sample for people; and round again.

Phases, each resumable shard by shard (see running/stage.py; what they do to a shard is in shards.py):

    census              bytes by host, so that folds can be balanced               once
    strata, sample,     BPE on a sample of the corpus, unless one is given         once
      train
    round-r/tokens      the documents that are left, as token shards, a file a fold
    round-r/models      one model a fold, trained on all the other folds
    round-r/scores      every document's bits per byte under the model of its fold
    round-r/histograms  scores counted by stratum; round-r/bands.json: the quantiles
    (the stage itself)  documents, ledger, dropped; sample/ for people
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.cleaning.selfclean.folds import HOST_BUCKETS, large_buckets
from autoclave.cleaning.selfclean.sample import Candidate, smallest, write_sample
from autoclave.cleaning.selfclean.thresholds import Band, find_bands, merge_histograms
from autoclave.corpus.checksums import read_checked
from autoclave.corpus.commits import Commit
from autoclave.errors import MissingDependencyError, RunError
from autoclave.pipelines.running.attempts import Resources
from autoclave.pipelines.running.stage import DocumentShard, Stage, StageContext
from autoclave.pipelines.selfclean.models import train_fold
from autoclave.pipelines.selfclean.settings import FoldSettings, NoSettings, SelfcleanSettings
from autoclave.pipelines.selfclean.shards import (
    apply_bands,
    count_hosts,
    count_scores,
    fold_tokens,
    read_histogram,
    score_shard,
)
from autoclave.pipelines.tokenize.sample import SampleSettings, train_on_sample
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.shards import TOKENIZER
from autoclave.tokenize.training import TokenizerSettings

Bands = dict[str, Band]


def run_selfclean(context: StageContext[SelfcleanSettings]) -> None:
    """Run the rounds, then write what is kept and dropped, with every score in the ledger, and the sample."""
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError("torch", "train", "the stage selfclean")
    settings = context.settings
    large = _census(context)
    tokenizer = _tokenizer(context)
    bands: list[Bands] = []
    scores: list[dict[str, DocumentShard]] = []
    for number in range(1, settings.rounds + 1):
        found, files = _round(context, number, tokenizer, large, bands, scores)
        bands.append(found)
        scores.append(files)
        dropped = _dropped_share(context, number, found)
        context.results[f"{context.name}: share dropped in round {number}"] = round(dropped, 4)
        if dropped < settings.stop_share and number < settings.rounds:
            context.progress.message(f"{context.name}: round {number} dropped {dropped:.2%}; no further round")
            break
    _apply(context, bands, scores)
    _write_sample(context)


def _census(context: StageContext[SelfcleanSettings]) -> list[int]:
    """Return the host buckets that are too large to keep in one fold."""
    tasks = [context.task(s.name, [s], phase="census", settings=NoSettings()) for s in context.inputs]
    commits = context.map_shards(count_hosts, tasks, phase="census")
    sizes = np.zeros(HOST_BUCKETS, dtype=np.int64)
    folder = context.phase_folder("census")
    for commit in commits:
        with pa.ipc.open_file(pa.BufferReader(read_checked(folder, f"hosts/{commit.shard}.arrow"))) as file:
            table = file.read_all()
        np.add.at(sizes, table.column("bucket").to_numpy(), table.column("bytes").to_numpy())
    return [int(bucket) for bucket in large_buckets(sizes, context.settings.folds)]


def _tokenizer(context: StageContext[SelfcleanSettings]) -> DocumentShard:
    """Return the file of the tokenizer that is given, or of one trained on the corpus."""
    settings = context.settings
    path = settings.tokenizer or context.phase_folder("train").path(TOKENIZER)
    if settings.tokenizer is None:
        training = TokenizerSettings(vocabulary_size=settings.vocabulary_size)
        encoder = train_on_sample(context, training, SampleSettings())
    else:
        encoder = Encoder.open(path)
    return DocumentShard("tokenizer", path, encoder.fingerprint, 0)


def _round(
    context: StageContext[SelfcleanSettings],
    number: int,
    tokenizer: DocumentShard,
    large: list[int],
    bands: Sequence[Bands],
    scores: Sequence[dict[str, DocumentShard]],
) -> tuple[Bands, dict[str, DocumentShard]]:
    """Tokens, models, scores and bands of one round; returns the bands and the score file of each shard."""
    settings = context.settings
    phase = f"round-{number}/tokens"
    folds = FoldSettings(settings.models, settings.strata)
    tasks = [
        context.task(
            shard.name,
            [shard, tokenizer, *(files[shard.name] for files in scores if shard.name in files)],
            phase=phase,
            settings=folds,
            large=large,
            bands=msgspec.to_builtins(list(bands)),
        )
        for shard in context.inputs
    ]
    tokens = context.map_shards(fold_tokens, tasks, phase=phase)
    models = _train_models(context, number, tokenizer, tokens)
    scored = _score(context, number, tokens, models)
    return _find_bands(context, number, scored), scored


def _output(context: StageContext[SelfcleanSettings], phase: str, commit: Commit, name: str) -> DocumentShard:
    """Return an output file of a phase as the input of a later one."""
    path = context.phase_folder(phase).path(name)
    return DocumentShard(commit.shard, path, commit.outputs[name].checksum, commit.counts.get("documents", 0))


def _train_models(
    context: StageContext[SelfcleanSettings], number: int, tokenizer: DocumentShard, tokens: Sequence[Commit]
) -> list[DocumentShard]:
    """Train one model a fold, on the token files of all the other folds, and return the models' folders."""
    settings = context.settings
    phase = f"round-{number}/models"
    tasks = []
    for fold in range(settings.models):
        used = [other for other in range(settings.models) if other != fold or settings.models == 1]
        files = [
            _output(context, f"round-{number}/tokens", commit, f"tokens/{commit.shard}.fold-{other}.arrow")
            for commit in tokens
            for other in used
        ]
        tasks.append(context.task(f"{fold:06d}", [tokenizer, *files], phase=phase, settings=settings.model))
    needs = Resources(settings.model.threads, settings.model.gpus, limited=False)
    commits = context.map_shards(train_fold, tasks, phase=phase, resources=needs)
    if len(commits) < settings.models:
        raise RunError(f"{context.name}: an evaluation model could not be trained: {context.failures[-1].message}")
    for commit in commits:
        loss = commit.counts["loss_millinats"] / 1000
        context.results[f"{context.name}: final loss of model {number}.{int(commit.shard) + 1}, nats a token"] = loss
    return [
        DocumentShard(
            commit.shard,
            context.phase_folder(phase).child(f"models/{commit.shard}").url,
            commit.outputs[f"models/{commit.shard}/model.safetensors"].checksum,
            0,
        )
        for commit in commits
    ]


def _score(
    context: StageContext[SelfcleanSettings], number: int, tokens: Sequence[Commit], models: list[DocumentShard]
) -> dict[str, DocumentShard]:
    """Score every shard; returns its score file by shard name."""
    settings = context.settings
    phase, before = f"round-{number}/scores", f"round-{number}/tokens"
    tasks = []
    for commit in tokens:
        names = [f"folds/{commit.shard}.arrow"]
        names += [f"tokens/{commit.shard}.fold-{fold}.arrow" for fold in range(settings.models)]
        files = [_output(context, before, commit, name) for name in names]
        checksums = [model.fingerprint for model in models]
        tasks.append(
            context.task(commit.shard, [*files, *models], phase=phase, settings=settings.model, models=checksums)
        )
    needs = Resources(settings.model.threads, settings.model.gpus, limited=False)
    commits = context.map_shards(score_shard, tasks, phase=phase, resources=needs)
    return {commit.shard: _output(context, phase, commit, f"scores/{commit.shard}.parquet") for commit in commits}


def _find_bands(context: StageContext[SelfcleanSettings], number: int, scores: dict[str, DocumentShard]) -> Bands:
    """Count scores by stratum and return the band of each stratum, also written to bands.json of the round."""
    settings = context.settings
    phase = f"round-{number}/histograms"
    folds = FoldSettings(settings.models, settings.strata)
    tasks = [
        context.task(shard.name, [shard, scores[shard.name]], phase=phase, settings=folds)
        for shard in context.inputs
        if shard.name in scores
    ]
    commits = context.map_shards(count_scores, tasks, phase=phase)
    folder = context.phase_folder(phase)
    total = merge_histograms(read_histogram(read_checked(folder, f"histograms/{c.shard}.json")) for c in commits)
    bands = find_bands(
        total, drop_low=settings.drop_low, drop_high=settings.drop_high, min_documents=settings.min_stratum
    )
    report = {
        name: {**msgspec.to_builtins(band), "low_bits": band.low_bits, "high_bits": band.high_bits}
        for name, band in bands.items()
    }
    data = msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
    context.write_file(f"phases/round-{number}/bands.json", data)
    return bands


def _dropped_share(context: StageContext[SelfcleanSettings], number: int, bands: Bands) -> float:
    """Return the share of a round's documents outside their band."""
    folder = context.phase_folder(f"round-{number}/histograms")
    total = merge_histograms(read_histogram(read_checked(folder, name)) for name in folder.files("histograms/*.json"))
    documents = sum(int(counts.sum()) for counts in total.values())
    kept = sum(int(counts[bands[name].low : bands[name].high + 1].sum()) for name, counts in total.items())
    return (documents - kept) / max(documents, 1)


def _apply(
    context: StageContext[SelfcleanSettings], bands: Sequence[Bands], scores: Sequence[dict[str, DocumentShard]]
) -> None:
    """Write documents, ledger and dropped texts."""
    tasks = [
        context.task(
            shard.name,
            [shard, *(files[shard.name] for files in scores)],
            expected_documents=shard.documents,
            bands=msgspec.to_builtins(list(bands)),
        )
        for shard in context.inputs
        if all(shard.name in files for files in scores)
    ]
    context.map_shards(apply_bands, tasks)


def _write_sample(context: StageContext[SelfcleanSettings]) -> None:
    """Write the sample for people from the candidates of every shard."""
    folder = context.folder
    candidates = (
        msgspec.json.decode(line, type=Candidate)
        for commit in context.commits
        for line in read_checked(folder, f"candidates/{commit.shard}.jsonl").splitlines()
    )
    sample, key = write_sample(smallest(candidates, context.settings.sample))
    context.write_file("sample/sample.jsonl", sample)
    context.write_file("sample/key.jsonl", key)


STAGE = Stage("selfclean", SelfcleanSettings, run_selfclean)
