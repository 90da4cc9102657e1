"""rensa's R-MinHash with the splitting it needs, run by the Python of its own environment (one core).

    PYTHON benchmarks/peers/rensa_minhash.py TEXTS NUM_PERM

TEXTS is a file of one text a line. Prints CPU seconds for splitting into 5-word shingles and signatures of all texts.
"""

import sys
import time
from pathlib import Path

from rensa import RMinHash


def main() -> None:
    texts = Path(sys.argv[1]).read_text().splitlines()
    num_perm = int(sys.argv[2])
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        for first in range(0, len(texts), 500):
            sets = []
            for text in texts[first : first + 500]:
                words = text.split()
                sets.append([" ".join(words[i : i + 5]) for i in range(len(words) - 4)])
            RMinHash.digest_matrix_from_token_sets(sets, num_perm=num_perm, seed=1)
        best = min(best, time.process_time() - started)
    print(best)


if __name__ == "__main__":
    main()
