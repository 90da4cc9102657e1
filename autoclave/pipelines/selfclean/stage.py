"""The self-cleaning stage: train small models on the corpus, score every document with one that has not seen it, drop
what a decision finds bad, draw a sample for people; and round again.

Phases, each resumable shard by shard (see running/stage.py; what they do to a shard is in shards.py and scores.py, how
a round decides in deciding.py):

    census              bytes by host, so that folds can be balanced               once
    strata, sample,     BPE on a sample of the corpus, unless one is given         once
      train
    trusted/...         token file and model of trusted text, if any               once
    round-r/tokens      the documents that are left, as token shards, a file a fold
    round-r/models      one model a fold, trained on all the other folds
    round-r/scores      the table of scores: a row a document, by the model of its fold
    round-r/sample      rows that the method is fitted on
    round-r/histograms  badness counted by stratum
    round-r/losses      what each language, source and host would lose; round-r/decision.json, round-r/report.json
    (the stage itself)  documents, ledger, dropped; sample/ for people
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.cleaning.selfclean.decisions import Decision
from autoclave.cleaning.selfclean.folds import HOST_BUCKETS, large_buckets
from autoclave.cleaning.selfclean.sample import Candidate, smallest, write_sample
from autoclave.corpus.checksums import read_checked
from autoclave.corpus.commits import Commit
from autoclave.errors import MissingDependencyError, RunError
from autoclave.pipelines.running.attempts import Resources
from autoclave.pipelines.running.stage import DocumentShard, Stage, StageContext
from autoclave.pipelines.selfclean.deciding import decide_round, read_labels
from autoclave.pipelines.selfclean.models import train_fold, trusted_version, write_trusted
from autoclave.pipelines.selfclean.scores import score_shard
from autoclave.pipelines.selfclean.settings import FoldSettings, NoSettings, ScoreSettings, SelfcleanSettings
from autoclave.pipelines.selfclean.shards import apply_decisions, count_hosts, fold_tokens
from autoclave.pipelines.tokenize.sample import SampleSettings, train_on_sample
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.shards import TOKENIZER
from autoclave.tokenize.training import TokenizerSettings


def run_selfclean(context: StageContext[SelfcleanSettings]) -> None:
    """Run the rounds, then write what is kept and dropped, with every score in the ledger, and the sample."""
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError("torch", "train", "the stage selfclean")
    settings = context.settings
    labels = read_labels(settings.labels)
    large = _census(context)
    tokenizer = _tokenizer(context)
    trusted = _trusted_model(context, tokenizer)
    decisions: list[Decision] = []
    scores: list[dict[str, DocumentShard]] = []
    for number in range(1, settings.rounds + 1):
        files = _score_round(context, number, tokenizer, large, trusted, decisions, scores)
        decision, dropped = decide_round(context, number, files, labels)
        decisions.append(decision)
        scores.append(files)
        context.results[f"{context.name}: share dropped in round {number}"] = round(dropped, 4)
        reason = stop_reason(dropped, settings.stop_share)
        if reason is not None:
            context.progress.message(f"{context.name}: round {number}: {reason}")
            break
    _apply(context, decisions, scores)
    _write_sample(context)


def stop_reason(dropped: float, stop_share: float) -> str | None:
    """Say why there is no further round after one that dropped this share of its documents, None where there may be."""
    if dropped == 0:
        return "nothing more is found; no further round"
    if dropped < stop_share:
        return (
            f"only {dropped:.2%} of the documents were dropped, less than stop_share {stop_share:.2%}; no further round"
        )
    return None


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


def _trusted_model(context: StageContext[SelfcleanSettings], tokenizer: DocumentShard) -> DocumentShard | None:
    """Return the folder of a model of the text that somebody vouches for, None where nobody does."""
    settings = context.settings
    if settings.trusted is None:
        return None
    task = context.task(
        "000000",
        [tokenizer],
        phase="trusted/tokens",
        settings=NoSettings(),
        trusted=trusted_version(settings.trusted),
        _trusted=settings.trusted,
    )
    [commit] = context.map_shards(write_trusted, [task], phase="trusted/tokens")
    file = _output(context, "trusted/tokens", commit, f"tokens/{commit.shard}.fold-0.arrow")
    task = context.task("000000", [tokenizer, file], phase="trusted/models", settings=settings.model)
    needs = Resources(settings.model.threads, settings.model.gpus, limited=False)
    [model] = context.map_shards(train_fold, [task], phase="trusted/models", resources=needs)
    return _model(context, "trusted/models", model)


def _score_round(
    context: StageContext[SelfcleanSettings],
    number: int,
    tokenizer: DocumentShard,
    large: list[int],
    trusted: DocumentShard | None,
    decisions: Sequence[Decision],
    scores: Sequence[dict[str, DocumentShard]],
) -> dict[str, DocumentShard]:
    """Tokens, models and scores of one round; returns the score file of each shard."""
    phase = f"round-{number}/tokens"
    tasks = [
        context.task(
            shard.name,
            [shard, tokenizer, *(files[shard.name] for files in scores)],
            phase=phase,
            settings=FoldSettings(context.settings.models),
            large=large,
            decisions=msgspec.to_builtins(list(decisions)),
        )
        for shard in context.inputs
        if all(shard.name in files for files in scores)
    ]
    tokens = context.map_shards(fold_tokens, tasks, phase=phase)
    models = _train_models(context, number, tokenizer, tokens)
    return _score(context, number, tokens, [*models, *([trusted] if trusted else [])])


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
        inputs = [tokenizer, *files]
        tasks.append(context.task(f"{fold:06d}", inputs, phase=phase, settings=settings.model, early=settings.early))
    needs = Resources(settings.model.threads, settings.model.gpus, limited=False)
    commits = context.map_shards(train_fold, tasks, phase=phase, resources=needs)
    if len(commits) < settings.models:
        raise RunError(f"{context.name}: an evaluation model could not be trained: {context.failures[-1].message}")
    for commit in commits:
        loss = commit.counts["loss_millinats"] / 1000
        context.results[f"{context.name}: final loss of model {number}.{int(commit.shard) + 1}, nats a token"] = loss
    return [_model(context, phase, commit) for commit in commits]


def _model(context: StageContext[SelfcleanSettings], phase: str, commit: Commit) -> DocumentShard:
    """Return a trained model's folder as the input of a later phase."""
    folder = context.phase_folder(phase).child(f"models/{commit.shard}")
    return DocumentShard(
        commit.shard, folder.url, commit.outputs[f"models/{commit.shard}/model.safetensors"].checksum, 0
    )


def _score(
    context: StageContext[SelfcleanSettings], number: int, tokens: Sequence[Commit], models: list[DocumentShard]
) -> dict[str, DocumentShard]:
    """Score every shard; returns its score file by shard name. models: one a fold, then that of trusted text."""
    settings = context.settings
    phase, before = f"round-{number}/scores", f"round-{number}/tokens"
    documents = {shard.name: shard for shard in context.inputs}
    tasks = []
    for commit in tokens:
        names = [f"folds/{commit.shard}.arrow"]
        names += [f"tokens/{commit.shard}.fold-{fold}.arrow" for fold in range(settings.models)]
        files = [_output(context, before, commit, name) for name in names]
        tasks.append(
            context.task(
                commit.shard,
                [documents[commit.shard], *files, *models],
                phase=phase,
                settings=ScoreSettings(settings.model),
                folds=settings.models,
                models=[model.fingerprint for model in models],
                early=settings.early,
            )
        )
    needs = Resources(settings.model.threads, settings.model.gpus, limited=False)
    commits = context.map_shards(score_shard, tasks, phase=phase, resources=needs)
    return {commit.shard: _output(context, phase, commit, f"scores/{commit.shard}.parquet") for commit in commits}


def _apply(
    context: StageContext[SelfcleanSettings],
    decisions: Sequence[Decision],
    scores: Sequence[dict[str, DocumentShard]],
) -> None:
    """Write documents, ledger and dropped texts."""
    tasks = [
        context.task(
            shard.name,
            [shard, *(files[shard.name] for files in scores)],
            expected_documents=shard.documents,
            decisions=msgspec.to_builtins(list(decisions)),
        )
        for shard in context.inputs
        if all(shard.name in files for files in scores)
    ]
    context.map_shards(apply_decisions, tasks)


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
