"""One name for one tokenizer: what says whether token ids may be mixed, trained on or scored together."""

from __future__ import annotations

import json

import xxhash

from autoclave.errors import SchemaError


def tokenizer_fingerprint(tokenizer_json: str) -> str:
    """Return the xxh3-128 of the canonical form (sorted keys, no spaces) of a tokenizer.json, in hexadecimal.

    Formatting and the order of keys do not change it; any token, merge or rule does.
    """
    canonical = json.dumps(json.loads(tokenizer_json), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return xxhash.xxh3_128_hexdigest(canonical.encode())


def require_same_tokenizer(expected: str, found: str, *, where: str, remedy: str) -> None:
    """Raise SchemaError where two fingerprints differ; `where` names what carries `found`."""
    if expected != found:
        raise SchemaError(f"{where}: made with tokenizer {found[:12]}, not {expected[:12]}; {remedy}")
