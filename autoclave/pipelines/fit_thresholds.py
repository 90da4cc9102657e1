"""`python -m autoclave.pipelines.fit_thresholds REFERENCE TARGET --language xx`: limits for another language.

Both are folders of documents (a stage's output, or JSONL or Parquet): texts of comparable good quality, such as
Wikipedia, in English and in the language. Prints YAML for `clean.thresholds`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile

import pyarrow as pa
import yaml

from autoclave.cleaning.chain import CleanSettings, build_filters
from autoclave.cleaning.dialects import DEFAULT_DIALECT
from autoclave.cleaning.thresholds import fit_thresholds
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import AutoclaveError
from autoclave.pipelines.engine import InProcessEngine
from autoclave.pipelines.stage import Silent
from autoclave.pipelines.standalone import open_documents_folder


def read_texts(argument: str, limit: int) -> pa.StringArray:
    """Return the first `limit` texts of a folder of documents."""
    found: list[pa.Array] = []
    with tempfile.TemporaryDirectory() as scratch:
        for shard in open_documents_folder(argument, Folder(scratch), InProcessEngine(), Silent()):
            for batch in read_documents(shard.path, ["text"]):
                found.append(batch.column("text"))
                if sum(map(len, found)) >= limit:
                    break
    return pa.concat_arrays(found).slice(0, limit)


def main() -> None:
    """Fit and print; exit codes as everywhere (2 where the request was wrong)."""
    parser = argparse.ArgumentParser(prog="python -m autoclave.pipelines.fit_thresholds", description=__doc__)
    parser.add_argument("reference", help="folder of documents in the language whose limits are known")
    parser.add_argument("target", help="folder of documents in the other language")
    parser.add_argument("--language", required=True, help="code of the target's language")
    parser.add_argument("--reference-language", default="en")
    parser.add_argument("--dialect", default=DEFAULT_DIALECT)
    parser.add_argument("--documents", type=int, default=20_000, help="most documents of each")
    given = parser.parse_args()
    try:
        settings = CleanSettings(language=None, transforms=[], dialect=given.dialect)
        fitted = fit_thresholds(
            build_filters(settings),
            read_texts(given.reference, given.documents),
            read_texts(given.target, given.documents),
            language=given.language,
            reference_language=given.reference_language,
        )
    except AutoclaveError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    yaml.safe_dump({"thresholds": fitted}, sys.stdout, sort_keys=False)


if __name__ == "__main__":
    main()
