"""One filesystem layer: local paths and object stores alike, atomic writes, names that cannot leave their folder."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import posixpath
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any, BinaryIO

import fsspec
import xxhash
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from autoclave.corpus.machine import machine_error
from autoclave.errors import InputError, MissingDependencyError

PARTIAL = ".partial"
"""Marks a file that is still being written; a name that holds it is never listed, and a new run removes it."""


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the filesystem of `url` and the path on it; MissingDependencyError names the extra of an absent one."""
    if "://" not in url:  # a colon is a letter of a file's name like any other
        return LocalFileSystem(), os.path.abspath(os.path.expanduser(url))
    try:
        return url_to_fs(url)
    except ImportError as error:
        scheme = url.split("://", 1)[0]
        raise MissingDependencyError(f"{scheme} filesystem", scheme, f"reading {url}") from error


def open_read(url: str, block_bytes: int | None = None) -> BinaryIO:
    """Open a file for reading; InputError where there is none.

    block_bytes: how much of a file on a store is fetched at once; None for what the store's library takes (megabytes).
    """
    fs, path = filesystem(url)
    try:
        return open(path, "rb") if isinstance(fs, LocalFileSystem) else fs.open(path, "rb", block_size=block_bytes)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{url}: no such file") from error
    except Exception as error:
        fault = machine_error(error, url)
        if fault is None:
            raise
        raise fault from error


@contextlib.contextmanager
def naming(path: str, *, always: bool = False) -> Iterator[None]:
    """Give errors of the machine that name no file (a write to a full disk) the name of this one; or all (always)."""
    try:
        yield
    except OSError as error:
        if (error.filename is None or always) and error.errno is not None:
            error.filename = path
        raise


class HashingFile:
    """A binary file being written that knows its size and checksum; what Arrow's writers and zstd need of a file."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        """name: of the file as people know it, for messages"""
        self._file, self._name = file, name
        self._hash = xxhash.xxh3_128()
        self.size = 0
        self.mode = "wb"

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        with naming(self._name):
            self._file.write(view)
        self._hash.update(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        with naming(self._name):
            self._file.flush()

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    @property
    def closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        """Left to the context manager that made it, so that a writer's close does not publish the file early."""

    @property
    def checksum(self) -> str:
        """xxh3-128 of everything written so far, in hexadecimal."""
        return self._hash.hexdigest()


class Folder:
    """A directory, local or on an object store, whose files appear whole or not at all."""

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = str(url).rstrip("/") or "/"
        self.fs, self.root = filesystem(self.url)
        self.is_local = isinstance(self.fs, LocalFileSystem)

    def __repr__(self) -> str:
        return f"Folder({self.url!r})"

    def child(self, name: str) -> Folder:
        """Return the sub-folder `name`."""
        self.path(name)
        return Folder(f"{self.url}/{name}")

    def path(self, name: str) -> str:
        """Return the full URL of `name`; ValueError where the name would leave the folder."""
        clean = posixpath.normpath(name)
        if clean.startswith(("/", "..")) or clean == ".":
            raise ValueError(f"'{name}' is not a name inside {self.url}")
        return f"{self.url}/{clean}"

    def _inner(self, name: str) -> str:
        self.path(name)
        return f"{self.root}/{posixpath.normpath(name)}"

    def exists(self, name: str) -> bool:
        return bool(self.fs.exists(self._inner(name)))

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, None where there is none."""
        try:
            return int(self.fs.info(self._inner(name))["size"])
        except FileNotFoundError:
            return None

    def files(self, pattern: str) -> list[str]:
        """Return the sorted names of finished files that match a pattern such as "commits/*.json"."""
        parent, _, leaf = pattern.rpartition("/")
        base = self._inner(parent) if parent else self.root
        try:
            entries = self.fs.ls(base, detail=False, refresh=True) if not self.is_local else os.listdir(base)
        except (FileNotFoundError, NotADirectoryError):
            return []
        names = sorted(posixpath.basename(str(entry).rstrip("/")) for entry in entries)
        prefix = f"{parent}/" if parent else ""
        return [prefix + name for name in names if fnmatch.fnmatchcase(name, leaf) and PARTIAL not in name]

    def open_read(self, name: str) -> BinaryIO:
        return open_read(self.path(name))

    @contextlib.contextmanager
    def open_write(self, name: str) -> Iterator[HashingFile]:
        """Write a file that appears, whole, when the block ends without an error (rename, or one object put)."""
        target = self._inner(name)
        if not self.is_local:
            with tempfile.NamedTemporaryFile() as scratch:  # a store knows no rename: one put, of what is whole
                yield HashingFile(scratch, scratch.name)
                with naming(scratch.name):
                    scratch.flush()
                try:
                    self.fs.put_file(scratch.name, target)
                except Exception as error:
                    fault = machine_error(error, self.path(name))
                    if fault is None:
                        raise
                    raise fault from error
            return
        os.makedirs(posixpath.dirname(target), exist_ok=True)
        partial = posixpath.join(posixpath.dirname(target), f".{posixpath.basename(target)}{PARTIAL}-{os.getpid()}")
        try:
            with naming(target, always=True):
                local = open(partial, "wb")  # noqa: SIM115 - closed below, where a fault of the disk is named by the target
            try:
                yield HashingFile(local, target)
                with naming(target):
                    local.flush()
                    os.fsync(local.fileno())
            finally:
                with contextlib.suppress(OSError):  # of what could not be flushed; said already
                    local.close()
            os.replace(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise

    def read_bytes(self, name: str) -> bytes:
        with self.open_read(name) as file:
            return file.read()

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a small file atomically."""
        with self.open_write(name) as file:
            file.write(data)

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all it holds; nothing happens where there is none."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm(self._inner(name), recursive=True)

    def remove_partials(self) -> None:
        """Remove what killed writers left below this folder (an object store keeps none)."""
        if not self.is_local:
            return
        for parent, _, names in os.walk(self.root):
            for name in names:
                if PARTIAL in name:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(posixpath.join(parent, name))


def input_fingerprint(url: str) -> str:
    """Return what tells one version of an input file from another: its size and ETag, or size and modification time."""
    fs, path = filesystem(url)
    try:
        info = fs.info(path)
    except FileNotFoundError as error:
        raise InputError(f"{url}: no such file") from error
    return version_of(info)


def version_of(info: Mapping[str, Any]) -> str:
    """Return `input_fingerprint` from what the filesystem says of a file."""
    version = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified") or ""
    return f"{info['size']}:{version}"


def content_fingerprint(url: str) -> str:
    """Return the checksum (xxh3-128) of a local file, so that a copy is the same; of others `input_fingerprint`.

    For models, indexes and code, which travel with jobs and get new modification times. Raises InputError where there
    is no such file.
    """
    if not isinstance(filesystem(url)[0], LocalFileSystem):
        return input_fingerprint(url)
    checksum = xxhash.xxh3_128()
    with open_read(url) as file:
        while piece := file.read(1 << 22):
            checksum.update(piece)
    return checksum.hexdigest()


def local_versions(*paths: str) -> tuple[tuple[int, int] | None, ...]:
    """Return (size, modification time) of local files, None for others: a cheap key for what is kept in memory.

    A process that lives on then loads a model or an index again after it was made anew under the same name.
    """
    found: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)
