"""Corpora on which each setting of a stage shows: a few documents each, made for it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa

from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents
from autoclave.corpus.storage import Folder

ENGLISH = """The harbour had been quiet since early morning, and the fishing boats lay side by side at the old pier.
Martha walked down to the water with a basket on her arm, because her brother was to come home that day.
Write to martha@harbour.example or come to the pier; the boats are at 93.184.216.34 for all that we know.
He had spent three years at sea, and nobody in the village could say what he might look like by now.
"""
CHINESE = "清晨的港口十分安静，几艘渔船并排停在码头边。老人提着篮子慢慢走到水边，因为她的弟弟在今天就要回到家乡了。"
FRENCH = "Le port était calme depuis le matin, et les bateaux de pêche dormaient côte à côte. " * 3
# One line for each of C4's rules.
LINES = (
    """She came home late in the evening, and nobody had waited for her.
'I had not thought that you would come,' he said, 'but here you are'
Two words.
A line without an end mark stands here among the others
This line holds a word of the length """
    + "o" * 1200
    + """ and ends as it should.
The bridge was built in that year [12] and it was closed in the next one [citation needed].
Please switch javascript on to see the rest of this page.
We use cookies, and our privacy policy says what for in many words.

   An indented line of some words ends here.
The last line of this text is as long as the others are.
"""
)
POLICY = "We use cookies on this page, and you may switch them off.\n\n"


def write_documents(folder: Path, texts: list[str], shards: int = 1, **columns: list[object]) -> Path:
    """Write the texts as a stage would, dealt out to shards, with signals `quality` and `length` in the ledger."""
    for shard in range(shards):
        rows = range(shard, len(texts), shards)
        chosen = {name: [values[row] for row in rows] for name, values in columns.items()}
        batch = make_documents([texts[row] for row in rows], f"crawl{shard}/x.jsonl", **chosen)
        verdicts = Verdicts.keep_all(batch.num_rows)
        verdicts.signals = {
            "quality": pa.array([float(row) for row in rows], pa.float32()),
            "length": pa.array([-float(row) for row in rows], pa.float32()),
        }
        with ShardOutput(Folder(folder), "source", f"{shard:06d}") as output:
            output.write(batch, verdicts)
            output.commit(f"source {shard}", [])
    return folder


def pages(folder: Path) -> Path:
    """Raw files for extract: HTML, JSONL with two fields of text, a WARC file with a page that was not found."""
    folder.mkdir(parents=True)
    (folder / "page.html").write_text(
        f"<html><body><nav><a href=/x>Elsewhere</a></nav><article><p>{ENGLISH}</p></article></body></html>"
    )
    rows = [{"text": "Short text.", "body": ENGLISH}, {"text": ENGLISH, "body": "Another body."}]
    rows.append({"text": f"{ENGLISH} A caf\ufffd, a na\ufffdve r\ufffdle.", "body": "A third one."})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    body = b"<html><body><p>There is no such page here, and there never was one.</p></body></html>"
    http = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n" + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\nContent-Length: {len(http)}\r\n"
    head += "WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
    head += "Content-Type: application/http; msgtype=response\r\n\r\n"
    (folder / "gone.warc").write_bytes(head.encode() + http + b"\r\n\r\n")
    return folder


def mixed(folder: Path) -> Path:
    """Documents for clean: three languages, personal data, what C4's rules look at; labelled as German at first."""
    texts = [ENGLISH, CHINESE, FRENCH, "Hello there.", LINES, POLICY + ENGLISH]
    return write_documents(folder, texts, language=["de"] * len(texts))


def repeats(folder: Path) -> Path:
    """Documents for dedup: equal, equal but for white space, alike to several degrees, with lines and passages shared
    within a host and across hosts."""
    rng = random.Random(5)
    words = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in "aeiou" for c in ("n", "r", "st", "l", "m")]

    def text(count: int) -> list[str]:
        return rng.choices(words, k=count)

    base = text(120)
    texts, hosts = [], []
    for changed in (0, 0, 2, 3, 4, 6, 9, 14):
        other = list(base)
        for place in rng.sample(range(10, 110), changed):
            other[place] = "changed"
        texts.append(" ".join(other) + (" and one more word" if changed == 3 else ""))
        hosts.append("near.example")
    texts += ["Some words\n that stand here twice.", "Some words that stand \n\n here twice."]
    hosts += ["near.example"] * 2
    for number in range(6):
        shared = [
            "READ more, of this" if number == 3 else "Read more of this",
            "Subscribe to our newsletter now and do not miss a single one of our letters",
        ]
        paragraph = " ".join(text(4)) + "\n" + " ".join(text(4)) + "\n" + shared[number % 2]
        texts.append(f"{' '.join(text(30))}\n{shared[0]}\n{shared[1]}\n\n{paragraph}\n\nOne paragraph of all.\nof them")
        hosts.append("a.example" if number < 4 else "b.example")
    passage = " ".join(text(60))
    texts += [f"{' '.join(text(30))} {passage} {' '.join(text(30))}" for _ in range(3)]
    hosts += ["c.example"] * 3
    return write_documents(folder, texts, 2, host=hosts)


def to_learn(folder: Path) -> Path:
    """Documents for tokenize, selfclean and train: two languages in two shards, one of them rare, some texts long."""
    rng = random.Random(1)
    words, signs = [f"{a}{b}stone{c}" for a in "bdfglm" for b in "aeiou" for c in "nrl"], "清洗语料的模型自己训练"
    texts = [" ".join(rng.choices(words, k=rng.randrange(5, 60))) for _ in range(60)]
    texts += ["".join(rng.choices(signs, k=rng.randrange(5, 40))) for _ in range(10)]
    texts += ["ÀÉ rare Ø signs ÿ " + "=" * 40]
    languages = ["en"] * 60 + ["zh"] * 10 + ["en"]
    return write_documents(folder, texts, 2, language=languages)
