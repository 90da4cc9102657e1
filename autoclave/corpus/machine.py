"""Faults of the machine, told from those of the data: disks, stores, permissions, credentials; each with its remedy."""

from __future__ import annotations

import errno

from autoclave.errors import MachineError

AGAIN = "then run the same command again"
_DISK = f"free some space, or choose another folder, {AGAIN}"
_REMEDIES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("no space is left on the disk", _DISK),
    errno.EDQUOT: ("the disk quota is used up", _DISK),
    errno.EFBIG: ("the file would be larger than is allowed here", f"raise the limit (ulimit -f), {AGAIN}"),
    errno.EROFS: ("the file system is read-only", f"choose another folder, or mount it writable, {AGAIN}"),
    errno.EACCES: ("permission denied", f"give this user the right (chmod, chown), or choose another folder, {AGAIN}"),
    errno.EPERM: ("operation not permitted", f"give this user the right, or choose another folder, {AGAIN}"),
    errno.EIO: ("Input/output error of the device", f"check the disk and its cables (dmesg), {AGAIN}"),
    errno.EMFILE: ("too many open files", f"raise the limit (ulimit -n), {AGAIN}"),
    errno.ENFILE: ("too many open files on this machine", f"close some, {AGAIN}"),
    errno.ENOMEM: ("the machine has no memory left", f"use fewer --workers, {AGAIN}"),
    errno.ESTALE: ("the network file system lost the file", f"mount it again, {AGAIN}"),
    errno.ENODEV: ("the device is gone", f"attach it again, {AGAIN}"),
    errno.ENXIO: ("the device is gone", f"attach it again, {AGAIN}"),
}
_NETWORK = frozenset(
    getattr(errno, name)
    for name in ("ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "ETIMEDOUT")
)
_NAMED = {
    errno.ENOENT: ("no such file or directory", "check the path"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another path"),
    errno.EISDIR: ("is a folder, where a file is needed", "choose another path"),
    errno.EEXIST: ("is there already, and is not a folder", "choose another path, or remove it"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one"),
    errno.ELOOP: ("symbolic links lead in a circle", "choose another path"),
}
"""What a command's arguments may cause; within a shard the same may come from a filter of one's own, and is no stop."""

_STORES = ("botocore", "aiobotocore", "s3fs", "gcsfs", "google.auth", "google.api_core", "azure", "aiohttp", "urllib3")
_CREDENTIALS = ("credential", "accessdenied", "invalidaccesskey", "signaturedoesnotmatch", "expiredtoken", "forbidden")


def machine_error(error: BaseException, place: str | None = None, *, named: bool = False) -> MachineError | None:
    """Return the MachineError that an exception amounts to, None where it is not the machine's.

    place: what was worked on, for exceptions that do not say. named: count paths that are not there or of the wrong
    kind as well, which is right for what a person named and wrong within a shard.
    """
    if isinstance(error, MachineError):
        return error
    kind = type(error)
    if kind.__module__.startswith(_STORES):
        return _of_store(error, place)
    if not isinstance(error, OSError):
        return None
    path = error.filename or place
    where = f"{path}: " if path is not None else ""
    known = _REMEDIES | (_NAMED if named and path is not None else {})
    if error.errno in known:
        cause, remedy = known[error.errno]
        return MachineError(f"{where}{cause}; {remedy}")
    if isinstance(error, PermissionError):  # of a store, which gives no number
        return MachineError(f"{where}permission denied ({_line(error)}); check the credentials and rights, {AGAIN}")
    if error.errno in _NETWORK or isinstance(error, (ConnectionError, TimeoutError)):
        return MachineError(
            f"{where}no answer ({_line(error)}); check the network and the store, {AGAIN}", passing=True
        )
    return None


def _of_store(error: BaseException, place: str | None) -> MachineError:
    """The fault of an object store's client library: credentials, or a store that cannot be reached."""
    where = f"{place}: " if place is not None else ""
    words = f"{type(error).__name__} {error}".lower().replace(" ", "")
    if any(word in words for word in _CREDENTIALS):
        return MachineError(f"{where}the store refuses ({_line(error)}); check the credentials and rights, {AGAIN}")
    return MachineError(f"{where}the store does not answer ({_line(error)}); check the network, {AGAIN}", passing=True)


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
