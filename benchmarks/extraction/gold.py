"""Pages with their right texts, from the open sets: what extraction is fitted on and measured with."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import lxml.html
import zstandard
from warcio.archiveiterator import ArchiveIterator

from benchmarks.data import DATA


@dataclass(frozen=True)
class Page:
    """One page. text: its right text, None where only segments are known; wanted, unwanted: segments that belong into
    the text, and that do not; markdown: the right text with its structure, where there is one."""

    group: str
    name: str
    html: bytes
    text: str | None = None
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    markdown: str | None = None
    parts: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def host(self) -> str:
        """What pages of one site share: no site is in two folds."""
        found = re.search(r"//(?:www\.)?([^/]+)", self.name)
        return found.group(1) if found else self.name.split("/")[0].rstrip("0123456789")


def article_pages() -> Iterator[Page]:
    """The article extraction benchmark: 181 English pages, texts by hand."""
    truth = json.loads(zstandard.decompress((DATA / "extract_aeb/ground-truth.json.zst").read_bytes(), 1 << 28))
    for path in sorted((DATA / "extract_aeb/html").glob("*.html.gz")):
        name = path.name.removesuffix(".html.gz")
        yield Page("articles", truth[name].get("url") or name, gzip.decompress(path.read_bytes()),
                   truth[name]["articleBody"])


def segment_pages() -> Iterator[Page]:
    """trafilatura's evaluation pages: 539, mostly German, with wanted and unwanted segments."""
    gold = json.loads((DATA / "extract_trafilatura/gold.json").read_text(encoding="utf-8"))
    with open(DATA / "extract_trafilatura/pages.warc.gz", "rb") as file:
        for record in ArchiveIterator(file):
            url = record.rec_headers.get_header("WARC-Target-URI")
            if record.rec_type == "response" and url in gold:
                segments = gold[url]
                yield Page("segments", url, record.content_stream().read(), wanted=tuple(segments["with"]),
                           unwanted=tuple(segments["without"]))


@cache
def _archive(path: str) -> dict[str, bytes]:
    data = zstandard.ZstdDecompressor().stream_reader((DATA / path).read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
            if member.isfile()
        }


def readability_pages() -> Iterator[Page]:
    """Readability's test pages, with the text of its expected results, which people checked."""
    files = _archive("extract_readability/pages.tar.zst")
    for name in sorted(files):
        if name.endswith("/source.html"):
            folder = name.removesuffix("/source.html")
            tree = lxml.html.document_fromstring(files[f"{folder}/expected.html"].decode() or "<p></p>")
            text = "\n".join(part for part in (line.strip() for line in tree.itertext()) if part)
            yield Page("readability", PurePosixPath(folder).name, files[name], text)


_FRONT_MATTER = re.compile(r"\A```json\n.*?\n```\n+", re.DOTALL)


def defuddle_pages() -> Iterator[Page]:
    """Defuddle's test pages with their expected Markdown."""
    files = _archive("extract_defuddle/fixtures.tar.zst")
    for name in sorted(files):
        expected = name.replace("/fixtures/", "/expected/").replace(".html", ".md")
        if "/fixtures/" in name and expected in files:
            markdown = _FRONT_MATTER.sub("", files[expected].decode())
            yield Page("defuddle", PurePosixPath(name).stem, files[name], plain(markdown), markdown=markdown)


def goose_pages() -> Iterator[Page]:
    """goose3's test pages that have a text; many of these are the beginning of the text only."""
    files = _archive("extract_goose3/tests.tar.zst")
    for name in sorted(files):
        page = name.removesuffix(".json") + ".html"
        if name.endswith(".json") and page in files:
            text = json.loads(files[name]).get("expected", {}).get("cleaned_text")
            if text and len(text) > 400:
                yield Page("goose", PurePosixPath(name).stem, files[page], text)


def chinese_pages() -> Iterator[Page]:
    """Chinese news pages with the texts of another extractor (GNE), which its makers keep as its right results."""
    files = _archive("html_zh_gne/pages.tar.zst")
    results = files[next(name for name in files if name.endswith("result.txt"))].decode()
    for name, body in re.findall(r">>>>+(\S+?)>>>>+\n(.*?)\n<<<<", results, re.DOTALL):
        found = next((file for file in files if file.endswith(name)), None)
        content = json.loads(body).get("content", "")
        if found and len(content) > 80:
            yield Page("chinese", PurePosixPath(name).parent.name + "/" + PurePosixPath(name).name, files[found],
                       content)


def structured_pages() -> Iterator[Page]:
    """llm-webkit's bench and WebMainBench's samples: pages with code, formulas, tables, and their parts by hand."""
    files = _archive("extract_llmwebkit/bench.tar.zst")
    for name in sorted(files):
        page = name.replace("/groundtruth/", "/origin/").replace(".jsonl", ".html")
        if "/groundtruth/" in name and page in files:
            gold = json.loads(files[name].decode().splitlines()[0])
            parts = [part for one in gold.get("content_list") or [] for part in one]
            yield Page("structured", PurePosixPath(name).stem, files[page], plain(gold.get("content") or "") or
                       "\n".join(_part_text(part) for part in parts), parts=tuple(parts))
    lines = zstandard.ZstdDecompressor().stream_reader(
        (DATA / "extract_webmainbench_sample/sample_dataset.jsonl.zst").read_bytes()
    ).read()
    for line in lines.decode().splitlines():
        row = json.loads(line)
        parts = [part for one in row["groundtruth_content_list"] for part in one] if isinstance(
            row["groundtruth_content_list"], list) else []
        markdown = row["groundtruth_content"]
        yield Page("structured", row["url"], row["html"].encode(), plain(markdown), markdown=markdown,
                   parts=tuple(parts))


def _part_text(part: dict[str, Any]) -> str:
    content = part.get("content")
    return " ".join(_strings(content))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key in ("c", "content", "title_content", "code_content", "math_content", "html", "items"):
            if key in value:
                yield from _strings(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def handbook_pages(every: int = 25) -> Iterator[Page]:
    """Some pages of the Debian handbook in eight languages; all but the navigation is text."""
    files = _archive("html_debian_handbook/handbook.tar.zst")
    for number, name in enumerate(sorted(files)):
        if number % every or not name.endswith(".html"):
            continue
        tree = lxml.html.document_fromstring(files[name])
        for node in tree.xpath("//*[contains(@class,'docnav') or @id='title' or self::script or self::head]"):
            node.drop_tree()
        yield Page("handbook", f"handbook{number // (8 * every)}/{name}", files[name], tree.text_content())


_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\s+\"[^\"]*\")?\)")
_MARKS = re.compile(r"^[ \t]*(?:#{1,6}|[-*+]|\d+\.|>+)[ \t]+|^```\w*$|[*_`]{1,3}|^\|[-| :]+\|$", re.MULTILINE)


def plain(markdown: str) -> str:
    """The words of a Markdown text: links are their texts, pictures and marks go."""
    return _MARKS.sub("", _LINK.sub(r"\1", re.sub(r"!\[[^\]]*\]\([^)]*\)", "", markdown))).replace("|", " ")


SETS = {
    "articles": article_pages,
    "segments": segment_pages,
    "readability": readability_pages,
    "defuddle": defuddle_pages,
    "goose": goose_pages,
    "chinese": chinese_pages,
    "structured": structured_pages,
    "handbook": handbook_pages,
}


def pages(*names: str) -> list[Page]:
    """All pages of the sets named, of all sets where none is."""
    return [page for name in names or SETS for page in SETS[name]()]
