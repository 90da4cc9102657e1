"""One document's story, stage by stage, and the duplicates that it stood among."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import msgspec
import pyarrow.compute as pc

from autoclave.errors import InputError
from autoclave.pipelines.reading.ledgers import (
    DocumentRow,
    Event,
    StageView,
    fetch_documents,
    load_events,
    read_ledger,
    read_shards,
    shard_of,
)


class Story(msgspec.Struct, kw_only=True):
    """What became of a document, stage by stage; representatives: documents that stayed in its place, by id."""

    doc_id: str
    events: list[Event]
    representatives: dict[str, DocumentRow] = {}


class Cluster(msgspec.Struct, kw_only=True):
    """Documents that were dropped as duplicates of one that stayed."""

    representative: str
    members: list[str]
    size: int
    """With the representative; members may be cut short, this is not."""


def find_ids(stages: Sequence[StageView], key: str) -> list[bytes]:
    """Return the ids that `key` names: a document's id in hexadecimal (8 digits or more of its start), or its URL.

    Raises InputError where no document of the run has it.
    """
    is_id = 8 <= len(key) <= 32 and all(digit in "0123456789abcdef" for digit in key.lower())
    found: dict[bytes, None] = {}
    for stage in stages:
        if is_id:
            for _, batch in read_ledger(stage, ["doc_id"]):
                found |= dict.fromkeys(i for i in batch.column("doc_id").to_pylist() if i.hex().startswith(key.lower()))
        else:
            for kind in ("documents", "dropped"):
                for _, batch in read_shards(stage, kind, ["doc_id", "url"]):
                    ids = batch.column("doc_id").filter(pc.equal(batch.column("url"), key).fill_null(False))
                    found |= dict.fromkeys(ids.to_pylist())
        if found:
            return list(found)
    raise InputError(f"no document with the {'id' if is_id else 'URL'} {key} in this run")


def tell_story(stages: Sequence[StageView], doc_id: bytes) -> Story:
    """Return what every stage made of a document, up to where it was dropped."""
    story = Story(doc_id=doc_id.hex(), events=[])
    for stage in stages:
        shard = shard_of(stage, doc_id)
        if shard is None:
            continue
        event = load_events(stage, [(doc_id, shard)])[0]
        story.events.append(event)
        other = event.verdict.duplicate_of
        if other is not None:
            place = shard_of(stage, bytes.fromhex(other))
            if place is not None:
                found = fetch_documents(stage, {place: {bytes.fromhex(other)}})
                story.representatives |= {row.doc_id: row for row in found.values()}
    return story


def find_clusters(stage: StageView, count: int = 20, members: int = 10) -> list[Cluster]:
    """Return the largest groups of duplicates of a stage, with up to `members` of the dropped ones of each."""
    clusters: dict[bytes, Cluster] = {}
    for _, batch in read_ledger(stage, ["doc_id", "duplicate_of"]):
        batch = batch.filter(batch.column("duplicate_of").is_valid())
        for doc_id, other in zip(*(batch.column(i).to_pylist() for i in ("doc_id", "duplicate_of")), strict=True):
            cluster = clusters.setdefault(other, Cluster(representative=other.hex(), members=[], size=1))
            cluster.size += 1
            if len(cluster.members) < members:
                cluster.members.append(doc_id.hex())
    return heapq.nsmallest(count, clusters.values(), key=lambda cluster: (-cluster.size, cluster.representative))


def cluster_of(stage: StageView, doc_id: bytes, count: int = 20) -> list[Event]:
    """Return the documents of the cluster that a document is in at a stage: the one that stayed, then up to `count`
    dropped ones, by id. Empty where the document was not in a cluster."""
    places: dict[bytes, tuple[str, bytes | None]] = {}
    for shard, batch in read_ledger(stage, ["doc_id", "duplicate_of"]):
        for one, other in zip(*(batch.column(i).to_pylist() for i in ("doc_id", "duplicate_of")), strict=True):
            if other is not None or one == doc_id:
                places[one] = (shard, other)
    if doc_id not in places:
        return []
    representative = places[doc_id][1] or doc_id
    members = sorted(one for one, (_, other) in places.items() if other == representative)[:count]
    if not members:
        return []
    home = places[representative][0] if representative in places else shard_of(stage, representative)
    first = [] if home is None else [(representative, home)]
    return load_events(stage, first + [(one, places[one][0]) for one in members])
