"""Formulas of pages as TeX."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest

from autoclave.extraction.engines import extract_page
from autoclave.extraction.mathml import mathml_to_tex


@pytest.mark.parametrize(
    ("markup", "tex"),
    [
        ("<mfrac><mi>a</mi><mi>b</mi></mfrac>", r"\frac{a}{b}"),
        ("<msup><mi>x</mi><mn>2</mn></msup>", "x^{2}"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_{i}^{2}"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        ("<mover><mi>v</mi><mo>→</mo></mover>", r"\vec{v}"),
        ("<mi>sin</mi><mi>θ</mi><mo>≤</mo><mn>1</mn>", r"\sin \theta \le 1"),
        ("<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>", r"\sum_{i=1}^{n}"),
        ("<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr></mtable>", r"\begin{matrix}1 & 0\end{matrix}"),
    ],
)
def test_mathml_without_its_source(markup: str, tex: str) -> None:
    assert mathml_to_tex(fromstring(f"<math>{markup}</math>")) == tex


ANNOTATED = '<math{}><semantics><mi>x</mi><annotation encoding="application/x-tex">{}</annotation></semantics></math>'
WIKIPEDIA = r'<math alttext="{\displaystyle F_{d}}"><mi>F</mi></math>'


@pytest.mark.parametrize(
    ("formula", "written"),
    [
        (r'<math alttext="{\displaystyle k^{2}}"><mi>k</mi></math>', "$k^{2}$"),
        (ANNOTATED.format(' display="block"', "E=1"), "$$E=1$$"),
        (
            f'<span class="katex"><span class="katex-mathml">{ANNOTATED.format("", "x &lt; 1")}</span>'
            '<span class="katex-html" aria-hidden="true">x&lt;1</span></span>',
            "$x < 1$",
        ),
        (
            '<span class="MathJax_Preview">p</span><span class="MathJax">drawn</span>'
            '<script type="math/tex; mode=display">y_1</script>',
            "$$y_1$$",
        ),
        ('<img class="latex" src="https://s0.wp.com/latex.php?latex=z" alt="z^2">', "$z^2$"),
        (
            f'<span class="mwe-math-element"><span style="display:none">{WIKIPEDIA}</span>'
            r'<img class="mwe-math-fallback-image-inline" alt="{\displaystyle F_{d}}"></span>',
            "$F_{d}$",
        ),
    ],
)
def test_formulas_of_pages_once_and_in_place(formula: str, written: str) -> None:
    text = extract_page(f"<p>before {formula} after</p>", "autoclave-all").text
    assert text == f"before {written} after"
