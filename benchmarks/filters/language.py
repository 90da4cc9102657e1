"""Language identification on labelled sets, with and without the script check, and its speed on whole documents.

    python -m benchmarks.filters.language [--model PATH] [--languages]

Sets: Universal Declaration paragraphs, Tatoeba sentences, lingua's test sentences; only languages that the model knows
count. `--languages` prints the accuracy of each language.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import fasttext
import pyarrow as pa

from autoclave.cleaning.language.codes import short_code
from autoclave.cleaning.language.identification import LanguageIdentifier, bundled_model
from benchmarks.data import add_data_option, read_rows

SETS = {"udhr": "lid_udhr/udhr", "tatoeba": "lid_tatoeba/tatoeba", "lingua": "lid_lingua/lingua_testdata"}
DOCUMENTS = ("zh_laws/laws", "tech_peps/peps")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--languages", action="store_true", help="accuracy of each language")
    add_data_option(parser)
    arguments = parser.parse_args()
    labels = fasttext.load_model(arguments.model or bundled_model()).get_labels()
    known = {short_code(label) for label in labels}
    for title, path in SETS.items():
        found = read_rows(arguments.data / f"{path}.jsonl.zst")
        rows = [(short_code(row["lang"]), row["text"]) for row in found if row.get("kind", "sentences") == "sentences"]
        rows = [row for row in rows if row[0] in known]
        texts = pa.array([text for _, text in rows])
        for check in (False, True):
            identifier = LanguageIdentifier(arguments.model, check_script=check)
            started = time.process_time()
            names = identifier.predict(texts)[0].to_pylist()
            seconds = time.process_time() - started
            count = Counter(language for language, _ in rows)
            right = Counter(language for (language, _), name in zip(rows, names, strict=True) if name == language)
            macro = sum(right[language] / count[language] for language in count) / len(count)
            print(
                f"{title:8} script check {'on ' if check else 'off'} accuracy {right.total() / len(rows):.3f} "
                f"macro {macro:.3f} over {len(count)} languages; en {right['en'] / max(1, count['en']):.3f} "
                f"zh {right['zh'] / max(1, count['zh']):.3f}; {len(rows) / seconds:,.0f} texts/s"
            )
        if arguments.languages:
            print("  " + " ".join(f"{name} {right[name] / count[name]:.2f}" for name in sorted(count)))
    files = [arguments.data / f"{name}.jsonl.zst" for name in DOCUMENTS]
    documents = pa.array([row["text"] for file in files for row in read_rows(file)])
    identifier = LanguageIdentifier(arguments.model)
    started = time.process_time()
    identifier.predict(documents)
    seconds = time.process_time() - started
    print(f"documents: {len(documents) / seconds:,.0f} a second, {documents.nbytes / 1e6 / seconds:.0f} MB/s")


if __name__ == "__main__":
    main()
