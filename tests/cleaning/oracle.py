"""The signals again, slowly and plainly in Python strings: what the kernels are held to.

Nothing here shares code with the kernels. Words come from `str.split`, or are given (the tokens of the package, whose
own rules are tested by examples), so that what is compared is the statistics.
"""

from __future__ import annotations

import re
from collections import Counter
from statistics import median

STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
CURATOR_ELLIPSES = ("...", "[...]", "…", "(...)", "[…]", "-»", "read more..", "read more")


def share(part: float, whole: float, empty: float = 0.0) -> float:
    return part / whole if whole else empty


def ascii_lower(text: str) -> str:
    """Lower-case A-Z only: phrases are compared in ASCII (K, the Kelvin sign, is no k)."""
    return "".join(chr(ord(c) | 0x20) if "A" <= c <= "Z" else c for c in text)


def second_occurrences(items: list[str]) -> tuple[int, int]:
    seen: set[str] = set()
    count = chars = 0
    for item in items:
        if item in seen:
            count += 1
            chars += len(item)
        seen.add(item)
    return count, chars


def members(items: list[str]) -> tuple[int, int]:
    counts = Counter(items)
    repeated = [item for item in items if counts[item] > 1]
    return len(repeated), sum(map(len, repeated))


def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def first_most_common(items: list) -> tuple:
    counts = Counter(items)
    best = max(counts.values())
    return next(item for item in items if counts[item] == best), best


# Gopher quality


def quality_datatrove(text: str, words: list[str], punctuation: set[str]) -> dict[str, float]:
    plain = [word for word in words if any(c not in punctuation for c in word)]
    lines = text.splitlines()
    return {
        "word_count": len(plain),
        "mean_word_length": share(sum(map(len, plain)), len(plain)),
        "hash_ratio": share(text.count("#"), len(words)),
        "ellipsis_ratio": share(text.count("...") + text.count("…"), len(words)),
        "bullet_line_ratio": share(sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_line_ratio": share(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)),
        "alphabetic_word_ratio": share(sum(any(c.isalpha() for c in word) for word in words), len(words)),
        "stop_word_count": len(STOP_WORDS & set(words)),
    }


def quality_paper(text: str, words: list[str]) -> dict[str, float]:
    lines = [line for line in text.split("\n") if line.strip()]
    return {
        "word_count": len(words),
        "mean_word_length": share(sum(map(len, words)), len(words)),
        "hash_ratio": share(text.count("#"), len(words)),
        "ellipsis_ratio": share(text.count("...") + text.count("…"), len(words)),
        "bullet_line_ratio": share(
            sum(line.lstrip().startswith(("•", "-")) or line.startswith(("●", "•", "*", "-")) for line in lines),
            len(lines),
        ),
        "ellipsis_line_ratio": share(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)),
        "alphabetic_word_ratio": share(sum(any(c.isalpha() for c in word) for word in words), len(words)),
        "stop_word_count": sum(bool({word, word.capitalize(), word.upper()} & set(words)) for word in STOP_WORDS),
    }


def quality_dclm(text: str) -> dict[str, float]:
    plain = [word for word in re.split("[\x00\t\n\x0b\x0c\r ]", text) if word and word[0].isalnum()]
    words = text.split()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return {
        "word_count": len(plain),
        "mean_word_length": share(sum(map(len, words)), len(words)),
        "symbol_ratio": share(sum(text.count(mark) for mark in ("#", "...", ". . .", "…")), len(words)),
        "bullet_line_ratio": share(sum(line.startswith(("●", "•", "*", "-")) for line in lines), len(lines)),
        "ellipsis_line_ratio": share(sum(line.endswith(("...", ". . .", "…")) for line in lines), len(lines)),
        "alphabetic_word_ratio": share(sum(any(c.isalpha() for c in word) for word in words), len(words)),
        "stop_word_count": sum(ascii_lower(word) in STOP_WORDS for word in words),
    }


def quality_dolma(text: str) -> dict[str, float]:
    words, lines = text.split(), re.split("\n+", text)
    return {
        "word_count": len(words),
        "median_word_length": median(min(len(word), 1023) for word in words) if words else 0.0,
        "symbol_ratio": share(sum("#" in word or "…" in word for word in words), len(words)),
        "bullet_line_ratio": share(sum(line.startswith(("*", "-")) for line in lines), len(lines)),
        "ellipsis_line_ratio": share(sum(line.endswith("…") for line in lines), len(lines)),
        "alphabetic_word_ratio": share(sum(any(c.isalpha() for c in word) for word in words), len(words)),
        "stop_word_count": sum(word in STOP_WORDS for word in words),
    }


def quality_curator(text: str) -> dict[str, float]:
    words = text.split()
    lines = [line for line in text.split("\n") if line.strip()]
    bullets = tuple("•‣⁃⁌⁍∙○●◘◦⦾⦿")
    symbols = [w for w in words if w in CURATOR_ELLIPSES or len(re.findall("#+", w)) / len(w) > 0.5]
    return {
        "symbol_ratio": share(len(symbols), len(words)),
        "word_count": len(words),
        "alphabetic_word_ratio": share(sum(any(c.isalpha() for c in word) for word in words), len(words)),
        "stop_word_count": sum(word in STOP_WORDS for word in words),
        "mean_word_length": share(sum(map(len, words)), len(words)),
        "ellipsis_line_ratio": share(
            sum(ascii_lower(line.strip()).endswith(CURATOR_ELLIPSES) for line in lines), len(lines)
        ),
        "bullet_line_ratio": share(sum(line.strip().startswith(bullets) for line in lines), len(lines)),
    }


# Gopher repetition


def repetition_datatrove(text: str, words: list[str]) -> dict[str, float]:
    result: dict[str, float] = {}
    for unit, items in (("paragraph", re.split("\n{2,}", text.strip())), ("line", re.split("\n+", text))):
        count, chars = second_occurrences(items)
        result[f"duplicate_{unit}_ratio"] = share(count, len(items))
        result[f"duplicate_{unit}_character_ratio"] = share(chars, len(text))
    for n in (2, 3, 4):
        found = grams(words, n)
        gram, count = first_most_common(found) if found else ((), 0)
        result[f"top_{n}gram_ratio"] = share(len(" ".join(gram)) * count, len(text))
    for n in range(5, 11):
        seen: set[str] = set()
        repeated = at = 0
        while at < len(words) - n + 1:
            gram = "".join(words[at : at + n])
            if gram in seen:
                repeated += len(gram)
                at += n
            else:
                seen.add(gram)
                at += 1
        result[f"duplicate_{n}gram_ratio"] = share(repeated, len(text))
    return result


def repetition_union(text: str, words: list[str], empty: float = 0.0) -> dict[str, float]:
    result: dict[str, float] = {}
    for unit, mark in (("line", "\n"), ("paragraph", "\n\n")):
        items = [item.strip() for item in text.split(mark) if item.strip()]
        count, chars = members(items)
        result[f"duplicate_{unit}_ratio"] = share(count, len(items), empty)
        result[f"duplicate_{unit}_character_ratio"] = share(chars, sum(map(len, items)), empty)
    total = sum(map(len, words))
    for n in range(2, 11):
        found = grams(words, n)
        counts = Counter(found)
        best = max(counts.values(), default=0)
        if n <= 4:
            longest = max((sum(map(len, gram)) for gram in counts if counts[gram] == best), default=0)
            result[f"top_{n}gram_ratio"] = share(longest * best if best > 1 else 0, total)
        else:
            covered = {i for at, gram in enumerate(found) if counts[gram] > 1 for i in range(at, at + n)}
            result[f"duplicate_{n}gram_ratio"] = share(sum(len(words[i]) for i in covered), total)
    return result


def repetition_dolma(text: str) -> dict[str, float]:
    words, lines = text.split(), re.split("\n+", text)
    total = sum(map(len, words))
    count, chars = members(lines)
    result = {
        "duplicate_line_ratio": share(count, len(lines)),
        "duplicate_line_character_ratio": share(chars, total),
    }
    for n in range(2, 11):
        found = grams(words, n)
        counts = Counter(found)
        if n <= 4:
            gram, best = first_most_common(found) if found else ((), 0)
            result[f"top_{n}gram_ratio"] = share(best * sum(map(len, gram)), total)
        else:
            every = sum(len("".join(gram)) for gram in found)
            repeated = sum(len("".join(gram)) for gram in found if counts[gram] > 1)
            result[f"duplicate_{n}gram_ratio"] = share(repeated, every)
    return result


def repetition_curator(text: str) -> dict[str, float]:
    words = text.split()
    lines = [line for line in text.split("\n") if line.strip()]
    result: dict[str, float] = {}
    for unit, items in (("line", lines), ("paragraph", text.split("\n\n"))):
        count, chars = second_occurrences(items)
        result[f"duplicate_{unit}_ratio"] = share(count, len(items))
        result[f"duplicate_{unit}_character_ratio"] = share(chars, sum(map(len, items)))
    for n in range(2, 11):
        found = grams(words, n)
        name = f"top_{n}gram_ratio" if n <= 4 else f"duplicate_{n}gram_ratio"
        if not found:
            result[name] = 1.0
        elif n <= 4:
            gram = " ".join(first_most_common(found)[0])
            result[name] = share(len(text) - len(text.replace(gram, "")), len(text))
        else:
            result[name] = share(_curator_duplicates(found, n), len(text))
    return result


def _curator_duplicates(found: list[tuple[str, ...]], n: int) -> int:
    seen: Counter = Counter()
    chars = overlap = 0
    for gram in found:
        seen[gram] += 1
        if seen[gram] > 1:
            chars += sum(map(len, gram[overlap:])) + min(n - overlap, n - 1)
            overlap = n
        overlap = max(overlap - 1, 0)
    return chars


# FineWeb and C4


def fineweb(text: str, words: list[str], terminal: set[str]) -> dict[str, float]:
    lines = [line for line in text.split("\n") if line.strip()]
    return {
        "line_count": len(lines),
        "line_punctuation_ratio": share(sum(line[-1] in terminal for line in lines), len(lines)),
        "short_line_ratio": share(sum(len(line) <= 30 for line in lines), len(lines)),
        "repeated_line_character_ratio": share(second_occurrences(lines)[1], len(text.replace("\n", ""))),
        "newline_word_ratio": share(text.count("\n"), len(words)),
    }


def c4_lines(
    text: str, terminal: bool = True, single_quote: bool = True, policies: bool = True, min_words: int = 3
) -> tuple[str, dict[str, int]]:
    """As datatrove does by default; as the paper without single quotes and policies, and with five words."""
    marks = (".", "?", "!", '"', "'") if single_quote else (".", "?", "!", '"')
    kept: list[str] = []
    counts = {"lorem_ipsum_lines": 0, "curly_bracket_lines": 0, "c4_citations_removed": 0}
    lines = text.splitlines()
    for line in lines:
        line = line.strip()
        words = line.split()
        if any(len(word) > 1000 for word in words):
            continue
        counts["c4_citations_removed"] += len(CITATION.findall(line))
        line = CITATION.sub("", line)
        lowered = ascii_lower(line)
        if terminal and (not line.endswith(marks) or line.endswith("...")):
            continue
        if len(words) < min_words:
            continue
        counts["lorem_ipsum_lines"] += "lorem ipsum" in lowered
        if "javascript" in lowered:
            continue
        counts["curly_bracket_lines"] += "{" in line
        if policies and any(policy in lowered for policy in POLICIES):
            continue
        kept.append(line)
    return "\n".join(kept).strip(), {**counts, "c4_lines_dropped": len(lines) - len(kept)}


def c4_dolma(text: str, terminal: bool = True, min_words: int = 3) -> tuple[str, dict[str, int]]:
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    kept = [
        line
        for line in lines
        if (not terminal or line.rstrip().endswith((".", "?", "!", '"'))) and len(line.split()) >= min_words
    ]
    low = [ascii_lower(line) for line in lines]
    return "".join(kept), {
        "curly_bracket_lines": sum("{" in line for line in low),
        "lorem_ipsum_lines": sum("lorem ipsum" in line for line in low),
        "javascript_lines": sum("javascript" in line for line in low),
        "javascript_words": sum(line.split().count("javascript") for line in low),
        "c4_lines_dropped": len(lines) - len(kept),
    }


CURATOR_POLICIES = (*POLICIES, "privacy overview", "privacy & cookies policy", "privacy and cookies policy")


def c4_curator(text: str) -> tuple[str, dict[str, float]]:
    paragraphs, lines = text.split("\n\n"), [line for line in text.split("\n") if line.strip()]
    marked = [any(policy in ascii_lower(paragraph) for policy in CURATOR_POLICIES) for paragraph in paragraphs]
    top = next((i for i, mark in enumerate(marked) if not mark), 0)
    bottom = next((i for i, mark in enumerate(reversed(marked)) if not mark), 0)
    kept = paragraphs
    if sum(marked) == top:
        kept = paragraphs[top:]
    elif sum(marked) == bottom:
        kept = paragraphs[: len(paragraphs) - bottom]
    return "\n\n".join(kept), {
        "lorem_ipsum_paragraphs": sum("lorem ipsum" in ascii_lower(paragraph) for paragraph in paragraphs),
        "c4_boilerplate_paragraph_ratio": share(sum(marked), len(paragraphs)),
        "c4_unpunctuated_line_ratio": share(
            sum(not line.strip().endswith((".", "?", "!", '"', "'")) for line in lines), len(lines)
        ),
        "c4_longest_word": max(map(len, text.split()), default=0),
        "c4_ellipsis_line_ratio": quality_curator(text)["ellipsis_line_ratio"],
        "c4_paragraphs_removed": len(paragraphs) - len(kept),
    }
