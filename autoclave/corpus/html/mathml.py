"""Presentation MathML to TeX, for formulas that come without their source."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree.ElementTree import Element

_DEPTH = 60
# Signs and letters that have a command in TeX; all others stay as they are.
_COMMANDS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ϵ": "epsilon", "ζ": "zeta", "η": "eta",
    "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho",
    "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "varphi", "ϕ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi",
    "Ψ": "Psi", "Ω": "Omega", "∑": "sum", "∏": "prod", "∫": "int", "∮": "oint", "∞": "infty", "∂": "partial",
    "∇": "nabla", "√": "surd", "±": "pm", "∓": "mp", "×": "times", "÷": "div", "⋅": "cdot", "·": "cdot", "∗": "ast",
    "∘": "circ", "≤": "le", "≥": "ge", "≠": "ne", "≈": "approx", "≡": "equiv", "∼": "sim", "≃": "simeq", "≅": "cong",
    "∝": "propto", "→": "to", "←": "leftarrow", "↔": "leftrightarrow", "⇒": "Rightarrow", "⇔": "Leftrightarrow",
    "↦": "mapsto", "∈": "in", "∉": "notin", "⊂": "subset", "⊆": "subseteq", "⊃": "supset", "∪": "cup", "∩": "cap",
    "∅": "emptyset", "∀": "forall", "∃": "exists", "¬": "neg", "∧": "wedge", "∨": "vee", "…": "ldots", "⋯": "cdots",
    "⋮": "vdots", "⋱": "ddots", "′": "prime", "ℓ": "ell", "ℏ": "hbar", "ℝ": "mathbb{R}", "ℤ": "mathbb{Z}",
    "ℕ": "mathbb{N}", "ℂ": "mathbb{C}", "ℚ": "mathbb{Q}", "⟨": "langle", "⟩": "rangle", "‖": "Vert", "⊗": "otimes",
    "⊕": "oplus", "≪": "ll", "≫": "gg", "⊥": "perp", "∥": "parallel", "∠": "angle", "°": "circ",
}
_SIGNS = {"−": "-", "\u2061": "", "\u2062": "", "\u2063": "", "\u2064": "", "{": "\\{", "}": "\\}", "%": "\\%",
          "#": "\\#", "&": "\\&", "$": "\\$", "\u00a0": " ", "\u2009": " ", "∣": "\\mid "}
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp lim max min sup inf det dim ker deg gcd "
    "Pr arg".split()
)
_ACCENTS = {"^": "hat", "ˆ": "hat", "~": "tilde", "˜": "tilde", "¯": "bar", "‾": "overline", "→": "vec", "⃗": "vec",
            "˙": "dot", ".": "dot", "¨": "ddot", "ˇ": "check", "⏞": "overbrace", "―": "overline", "_": "underline"}
_VARIANTS = {"bold": "mathbf", "double-struck": "mathbb", "script": "mathcal", "fraktur": "mathfrak",
             "sans-serif": "mathsf", "monospace": "mathtt", "bold-italic": "boldsymbol"}


def mathml_to_tex(root: Element) -> str:
    """Return the TeX of a <math> element.

    Fractions, roots, scripts, limits, tables, fences and accents become their commands, Greek letters and signs theirs;
    elements of other kinds give what is in them.
    """
    return " ".join(_tex(root, 0).split())


def _name(element: Element) -> str:
    return element.tag.rsplit(":", 1)[-1].lower()


def _tex(element: Element, depth: int) -> str:
    name = _name(element)
    if not name or depth > _DEPTH or name in ("annotation", "annotation-xml", "maligngroup", "malignmark", "none"):
        return ""
    if name in ("mi", "mn", "mo", "ms", "mtext"):
        return _token(element, name)
    write = _ELEMENTS.get(name)
    if write is None:
        return "".join(_tex(child, depth + 1) for child in element) or (element.text or "").strip()
    return write(element, [_tex(child, depth + 1) for child in element])


def _token(element: Element, name: str) -> str:
    text = "".join(element.itertext()).strip()
    if name == "mtext":
        return f"\\text{{{text}}}" if text.strip() else " "
    if text in _FUNCTIONS:
        return f"\\{text} "
    written = "".join(f"\\{_COMMANDS[sign]} " if sign in _COMMANDS else _SIGNS.get(sign, sign) for sign in text)
    variant = _VARIANTS.get(element.get("mathvariant", ""))
    if variant and written.strip():
        return f"\\{variant}{{{written.strip()}}}"
    if name == "mi" and len(text) > 1 and text.isalpha() and text.isascii():
        return f"\\mathrm{{{text}}}"
    return written


def _braced(tex: str) -> str:
    return f"{{{tex.strip()}}}"


def _part(parts: list[str], number: int) -> str:
    return parts[number] if number < len(parts) else ""


def _base(tex: str) -> str:
    tex = tex.strip()
    return tex if len(tex) <= 1 or re.fullmatch(r"\\[a-zA-Z]+(?:\{[^{}]*\})?", tex) else f"{{{tex}}}"


def _script(marks: str) -> Callable[[Element, list[str]], str]:
    def write(_: Element, parts: list[str]) -> str:
        scripts = zip(marks, parts[1:], strict=False)
        return _base(_part(parts, 0)) + "".join(f"{mark}{_braced(part)}" for mark, part in scripts if part.strip())

    return write


def _accented(element: Element, parts: list[str]) -> str:
    accent = "".join(element[1].itertext()).strip() if len(element) > 1 else ""
    if accent in _ACCENTS:
        return f"\\{_ACCENTS[accent]}{_braced(_part(parts, 0))}"
    return _script("_" if _name(element) == "munder" else "^")(element, parts)


def _fenced(element: Element, parts: list[str]) -> str:
    opening, closing = element.get("open", "("), element.get("close", ")")
    separator = (element.get("separators", ",").strip() or " ")[:1]
    return f"\\left{_fence(opening)}{separator.join(parts)}\\right{_fence(closing)}"


def _fence(sign: str) -> str:
    return {"{": "\\{", "}": "\\}", "": ".", "⟨": "\\langle ", "⟩": "\\rangle "}.get(sign, sign)


def _table(element: Element, _: list[str]) -> str:
    rows = [
        " & ".join(_tex(cell, 1).strip() for cell in row if _name(cell) == "mtd")
        for row in element
        if _name(row) in ("mtr", "mlabeledtr")
    ]
    return "\\begin{matrix}" + " \\\\ ".join(rows) + "\\end{matrix}"


_ELEMENTS: dict[str, Callable[[Element, list[str]], str]] = {
    "mfrac": lambda _, parts: f"\\frac{_braced(_part(parts, 0))}{_braced(_part(parts, 1))}",
    "msqrt": lambda _, parts: f"\\sqrt{_braced(''.join(parts))}",
    "mroot": lambda _, parts: f"\\sqrt[{_part(parts, 1).strip()}]{_braced(_part(parts, 0))}",
    "msub": _script("_"),
    "msup": _script("^"),
    "msubsup": _script("_^"),
    "munder": _accented,
    "mover": _accented,
    "munderover": _script("_^"),
    "mfenced": _fenced,
    "mtable": _table,
    "mspace": lambda _, parts: " ",
    "mphantom": lambda _, parts: "",
}
