"""What is counted: per set and transform what an edit did, per set and language what the filters dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from benchmarks.good_text.differences import Change
from benchmarks.good_text.kinds import LOSS, REDACTION, Judge
from benchmarks.good_text.letters import other_scripts
from benchmarks.good_text.redactions import Redaction, is_right, redactions
from benchmarks.good_text.sets import Document, GoodSet
from benchmarks.good_text.structure import Survival

CHAIN = "the chain"
PERSONAL = "redact_pii"
"""The transform whose redactions are judged."""
EXCERPT = 60
"""Characters of a removed or new text, and of what stands before it, that an example shows."""


def excerpt(text: str, longest: int = EXCERPT) -> str:
    """Return a text in one line, of a longer one its beginning and its end."""
    half = longest // 2
    shown = text if len(text) <= longest else f"{text[:half]}[{len(text) - 2 * half:,} more]{text[-half:]}"
    return shown.replace("\n", "\\n").replace("\t", "\\t")


@dataclass(frozen=True)
class Example:
    """One change as people read it. place: document and line."""

    place: str
    before: str
    removed: str
    put: str

    def __str__(self) -> str:
        return f"{self.place}: {self.before}>>{self.removed}<< -> >>{self.put}<<"


def example(document: Document, text: str, change: Change) -> Example:
    """Return the example of one change of a text."""
    line = text.count("\n", 0, change.start) + 1
    before = excerpt(text[max(0, change.start - EXCERPT // 2) : change.start])
    return Example(f"{document.set}/{document.name}:{line}", before, excerpt(change.removed), excerpt(change.put))


@dataclass
class Edits:
    """What one transform, or the chain, did to the documents of one set.

    letters_lost, letters_new, other_script: letters of the input that are gone, letters that were not there, those of
    a script that is not that of what they replaced: all of changes that are a loss. harmed: documents with a loss.
    longest: bytes of the longest removal of any kind, its kind, its place; longest_loss: the same of losses.
    """

    documents: int = 0
    changed: int = 0
    harmed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    letters_lost: int = 0
    letters_new: int = 0
    other_script: int = 0
    longest: tuple[int, str, Example | None] = (0, "", None)
    longest_loss: tuple[int, Example | None] = (0, None)
    redacted: Counter[str] = field(default_factory=Counter)
    wrongly: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, Redaction]] = field(default_factory=list)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    def add(
        self,
        document: Document,
        of: GoodSet,
        judge: Judge,
        texts: tuple[str, str],
        made: Sequence[Change],
        examples: int,
    ) -> list[tuple[Change, str]]:
        """Count the changes of one document that was changed, and return them with their kinds.

        texts: before and after; examples: how many of a kind are kept, at most one a document.
        """
        before, after = texts
        kinds, lost, new = judge.kinds(made, after)
        self.changed += 1
        if LOSS in kinds:
            self.harmed += 1
            self.letters_lost += lost.total()
            self.letters_new += new.total()
            self.other_script += other_scripts(lost, new)
        for change, kind in zip(made, kinds, strict=True):
            self._add_change(document, of, before, change, kind)
        for kind in dict.fromkeys(kinds):
            shown = self.examples.setdefault(kind, [])
            if len(shown) < examples:
                shown.append(example(document, before, made[kinds.index(kind)]))
        return list(zip(made, kinds, strict=True))

    def _add_change(self, document: Document, of: GoodSet, text: str, change: Change, kind: str) -> None:
        self.kinds[kind] += 1
        size = len(change.removed.encode())
        if size > self.longest[0]:
            self.longest = (size, kind, example(document, text, change))
        if kind == LOSS and size > self.longest_loss[0]:
            self.longest_loss = (size, example(document, text, change))
        if kind == REDACTION:
            for found in redactions(change, text):
                self.redacted[found.kind] += 1
                if of.technical and not is_right(found):
                    self.wrongly[found.kind] += 1
                    self.wrong.append((f"{document.set}/{document.name}", found))


@dataclass
class Drops:
    """What the chain kept of some documents.

    sure: those that are labelled as what they are, with a sure score; alone: how many each filter for itself would
    drop; rules: how often which rule of which filter was the first to say no.
    """

    documents: int = 0
    kept: int = 0
    sure: int = 0
    sure_kept: int = 0
    alone: Counter[str] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __iadd__(self, other: Drops) -> Drops:
        for name in ("documents", "kept", "sure", "sure_kept"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.alone.update(other.alone)
        self.rules.update(other.rules)
        return self

    @property
    def dropped(self) -> float:
        """The share that was dropped."""
        return 1 - self.kept / self.documents if self.documents else 0.0


@dataclass
class Results:
    """Everything that was measured.

    filters: in order; edits: by (set, transform); drops: by (set, language); bad: of pages that people found bad;
    survival: by set; lost: examples of elements that did not survive, by (set, kind of element); recall: (kind, form,
    where it stands) -> [found, written]; counted: the same of all that the bar counts.
    """

    filters: list[str] = field(default_factory=list)
    edits: dict[tuple[str, str], Edits] = field(default_factory=dict)
    drops: dict[tuple[str, str], Drops] = field(default_factory=dict)
    bad: Drops = field(default_factory=Drops)
    survival: dict[str, Survival] = field(default_factory=dict)
    lost: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    recall: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    counted: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def sets(self) -> list[str]:
        """The sets, in order."""
        return list(dict.fromkeys(name for name, _ in self.drops))

    @property
    def transforms(self) -> list[str]:
        """The transforms, in order, and the chain after them."""
        names = dict.fromkeys(name for _, name in self.edits)
        return sorted(names, key=lambda name: name == CHAIN)

    def dropped(self, sets: Collection[str], languages: Collection[str] | None = None) -> Drops:
        """Return what was kept of some sets, and of some languages, together."""
        total = Drops()
        for (name, language), drops in self.drops.items():
            if name in sets and (languages is None or language in languages):
                total += drops
        return total
