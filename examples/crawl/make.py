"""Makes the demo crawl again: serves folders over loopback, fetches them, and stores what came over the wire.

    apt-get download apache2-doc rust-doc       # Debian 12; unpack each with: dpkg-deb -x FILE.deb debian
    python examples/crawl/make.py --debian debian --data ../shared/data --out examples/crawl

The web pages come from the Debian packages, the other texts from folders of JSON lines (README.md lists both, with
licences). Dates, record ids and compression are fixed, so the same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import http.server
import io
import json
import random
import re
import shutil
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

CRAWL_DATE = "2026-11-02T08:00:00Z"
# Reserved names (RFC 2606): the pages were fetched from loopback, not from the projects' own sites.
APACHE, RUST, LAWS = "httpd-docs.example", "rust-docs.example", "laws.example"


class DocumentationServer(http.server.BaseHTTPRequestHandler):
    """Serves a folder per host the way web servers do: gzip for some pages, chunks for others, 301 and 404."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "DemoServer/1.0", ""
    roots: dict[str, Path] = {}  # noqa: RUF012

    def date_time_string(self, timestamp: float | None = None) -> str:
        return "Mon, 02 Nov 2026 08:00:00 GMT"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        target = self.roots[self.headers["Host"]] / path.lstrip("/")
        if target.is_dir() and not path.endswith("/"):
            self._send(301, b"<html><body><h1>Moved</h1></body></html>", "text/html", {"Location": path + "/"})
            return
        if target.is_dir():
            target /= "index.html"
        if not target.is_file():
            self._send(404, b"<html><body><h1>404 Not Found</h1><p>No such page.</p></body></html>", "text/html", {})
            return
        kinds = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
        self._send(200, target.read_bytes(), kinds.get(target.suffix, "text/plain"), {})

    def _send(self, status: int, body: bytes, kind: str, extra: dict[str, str]) -> None:
        turn = len(self.path) % 3 if status == 200 and kind.startswith("text/html") else 2
        self.send_response(status)
        headers = {"Content-Type": kind, **extra}
        if turn == 0:
            body = gzip.compress(body, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if turn == 1:
            headers["Transfer-Encoding"] = "chunked"
            pieces = [body[at : at + 8000] for at in range(0, len(body), 8000)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        else:
            headers["Content-Length"] = str(len(body))
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def fetch(port: int, host: str, path: str) -> tuple[bytes, bytes]:
    """Return (request, response) exactly as they went over the wire."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: autoclave-demo\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        pieces = []
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    return request, b"".join(pieces)


def write_crawl(out: Path, host: str, port: int, paths: list[str], compress: bool) -> None:
    """Fetch the paths of one host and store them as WARC request and response records."""
    with open(out, "wb") as file:
        writer = WARCWriter(file, gzip=compress)
        _write(writer, "warcinfo", None, b"software: examples/crawl/make.py\r\n", "application/warc-fields")
        for path in paths:
            request, response = fetch(port, host, path)
            url = f"http://{host}{path}"
            _write(writer, "request", url, request, "application/http; msgtype=request")
            _write(writer, "response", url, response, "application/http; msgtype=response")


def _write(writer: WARCWriter, kind: str, url: str | None, content: bytes, content_type: str, **more: str) -> None:
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {url} {len(content)}")
    headers = [
        ("WARC-Type", kind),
        ("WARC-Record-ID", f"<urn:uuid:{identity}>"),
        ("WARC-Date", CRAWL_DATE),
        *([("WARC-Target-URI", url)] if url else []),
        *((name.replace("_", "-"), value) for name, value in more.items()),
        ("Content-Type", content_type),
        ("Content-Length", str(len(content))),
    ]
    record = writer.create_warc_record(
        url or "",
        kind,
        payload=io.BytesIO(content),
        length=len(content),
        warc_content_type=content_type,
        warc_headers=StatusAndHeaders("", headers, protocol="WARC/1.0"),
    )
    writer.write_record(record)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a .jsonl.zst file."""
    with open(path, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        for line in io.TextIOWrapper(stream, "utf-8"):
            yield json.loads(line)


def pages(root: Path, pattern: str, limit: int, most: int, seed: int) -> list[str]:
    """Choose up to `most` pages of at most `limit` bytes at random (seeded); return their paths on the server."""
    found = sorted(path for path in root.glob(pattern) if path.is_file() and path.stat().st_size <= limit)
    chosen = random.Random(seed).sample(found, min(most, len(found)))
    return sorted(f"/{path.relative_to(root)}" for path in chosen)


def write_jsonl(out: Path, documents: list[dict[str, Any]]) -> None:
    data = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents).encode()
    out.write_bytes(zstandard.ZstdCompressor(level=19).compress(data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--debian", "--data", "--out"):
        parser.add_argument(name, type=Path, required=True)
    arguments = parser.parse_args()
    apache = arguments.debian / "usr/share/doc/apache2-doc/manual"
    rust = arguments.debian / "usr/share/doc/rust-doc/html"
    DocumentationServer.roots = {APACHE: apache, RUST: rust}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), DocumentationServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port, out, data = server.server_address[1], arguments.out, arguments.data

    chinese = sorted(path for path in apache.glob("zh-cn/**/*.html") if path.is_file())
    own = [path for path in chinese if not path.is_symlink()]
    # Pages that were not translated lead to the English one: the same text under two addresses.
    untranslated = [path for path in chinese if path.is_symlink()][::9]
    english = pages(apache, "en/**/*.html", 70_000, 84, 1)
    extra = [
        "/style/css/manual.css",
        "/images/feather.png",
        "/style/scripts/prettify.js",
        "/en/no-such-page.html",
        "/en/mod",
    ]
    others = pages(apache, "fr/**/*.html", 30_000, 8, 2) + pages(apache, "ja/**/*.html", 30_000, 6, 3)
    asked = english + [f"/{path.relative_to(apache)}" for path in own + untranslated] + others + extra
    write_crawl(out / "httpd-docs.warc.gz", APACHE, port, asked, compress=True)
    book = [*pages(rust, "book/ch*.html", 45_000, 14, 4), "/book/no-such-chapter.html", "/book"]
    write_crawl(out / "rust-docs.warc", RUST, port, book, compress=False)
    # The same pages again under other addresses, as crawlers find them: a parameter that the server does not heed.
    again = [f"{path}?print=1" for path in book if path.endswith(".html")] + pages(
        rust, "book/ch*.html", 45_000, 10, 13
    )
    write_crawl(out / "rust-docs-again.warc.gz", RUST, port, again, compress=True)

    folder = out / "pages"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in pages(rust, "rust-by-example/**/*.html", 37_000, 14, 5) + pages(rust, "nomicon/*.html", 24_000, 12, 6):
        (folder / path.strip("/").replace("/", "-")).write_bytes((rust / path.lstrip("/")).read_bytes())
    write_texts(out, data)
    server.shutdown()


def chapters(data: Path) -> Iterator[dict[str, Any]]:
    """Yield the English novels in parts of about 8,000 characters, cut between paragraphs."""
    for novel in lines(data / "books_eltec/novels.jsonl.zst"):
        if novel["lang"] != "eng":
            continue
        part: list[str] = []
        number = 0
        for paragraph in [*novel["text"].split("\n\n"), None]:
            if paragraph is not None:
                part.append(paragraph)
            if paragraph is None or sum(map(len, part)) > 8_000:
                yield {"id": f"{novel['id']}#{number}", "text": "\n\n".join(part)}
                part, number = [], number + 1


def write_texts(out: Path, data: Path) -> None:
    """Write the parts that are not web pages: WET conversions, JSON lines, Parquet."""
    laws = sorted(lines(data / "zh_laws/laws.jsonl.zst"), key=lambda law: law["id"])
    names: dict[str, list[dict[str, Any]]] = {}
    for law in laws:
        names.setdefault(re.sub(r"\(.*", "", law["id"].rsplit("/", 1)[-1]), []).append(law)
    versions = [law for same in names.values() if len(same) > 1 for law in same][:50]
    single = random.Random(7).sample([same[0] for same in names.values() if len(same) == 1], 50)
    with open(out / "laws.warc.wet.gz", "wb") as file:
        writer = WARCWriter(file, gzip=True)
        _write(writer, "warcinfo", None, b"software: examples/crawl/make.py\r\n", "application/warc-fields")
        for number, law in enumerate(versions + single):
            if len(law["text"]) < 20_000:
                url = f"http://{LAWS}/act/{number}"
                _write(writer, "conversion", url, law["text"].encode(), "text/plain")

    peps = [pep for pep in lines(data / "tech_peps/peps.jsonl.zst") if "public domain" in pep["text"].lower()]
    chosen = random.Random(8).sample([pep for pep in peps if len(pep["text"]) < 30_000], 40)
    sections = [s for s in lines(data / "edu_openstax/sections.jsonl.zst") if 2_000 < len(s["text"]) < 25_000]
    lessons = random.Random(9).sample(sections, 95)
    write_jsonl(
        out / "english.jsonl.zst",
        [{"id": d["id"], "text": d["text"], "language": "en", "collection": "peps"} for d in chosen]
        + [{"id": d["id"], "text": d["text"], "language": "en", "collection": "openstax"} for d in lessons]
        + [{**part, "language": "en", "collection": "novels"} for part in chapters(data)],
    )

    technical = [
        document
        for document in lines(data / "zh_techdocs/docs.jsonl.zst")
        if document["id"].startswith("reactjs+") and len(document["text"]) < 20_000
    ]
    classical = [d for d in lines(data / "zh_classical/books.jsonl.zst") if len(d["text"]) < 15_000]
    poems = list(lines(data / "zh_poetry/poems.jsonl.zst"))
    rows = (
        random.Random(10).sample(technical, min(90, len(technical)))
        + random.Random(11).sample(classical, 220)
        + random.Random(12).sample(poems, 150)
    )
    table = pa.table(
        {
            "text": [d["text"] for d in rows],
            "id": [d["id"] for d in rows],
            "title": pa.array([d.get("title") for d in rows], pa.string()),
        }
    )
    pq.write_table(table, out / "chinese.parquet", compression="zstd", compression_level=19, row_group_size=200)


if __name__ == "__main__":
    main()
