"""Find public functions that take or return arrays and do not say of which shape and dtype: part of `make check`.

    python docs/check_docstrings.py [FOLDER]    (default: autoclave)

The annotations decide whether a function is looked at. Its docstring must then state
- dtypes: a name as NumPy, PyTorch or Arrow has it (uint8, float32, bool, string), a kind (integer, floating-point), or
  the word dtype ("q's dtype"). An annotation that holds one dtype only (pa.StringArray) has stated it.
- shapes: axes in brackets ([n], [batch, time], [documents + 1]), or in words: one a document, as long as x, shape.
- of record batches and tables instead: their schema (DOCUMENT_SCHEMA, `schema`), or their columns' dtypes.

A method may leave this to its class's docstring, or to the method that it overrides. A field of a public class is held
to the same, by the class's docstring or the string below it. What the string below a named type says (`Columns =
dict[str, np.ndarray]`) need not be said again. Names with a leading underscore are private; code without annotations
(Triton) is not seen.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

NAMES = r"(?:u?int(?:8|16|32|64)|integer|b?float(?:16|32|64)|bool|(?:large_)?(?:string|binary|utf8)|list<\w+|timestamp)"
DTYPE = re.compile(rf"\b(?:{NAMES}|dtypes?|integers|floating[- ]point|object arrays?)\b", re.IGNORECASE)
SHAPE = re.compile(
    r"(?<![\w\])])\[(?:\.\.\., ?)?[A-Za-z][^\[\]]*\]"  # [n], [..., width]; not x[i], nor the interval [0, 1]
    rf"|\b{NAMES},? ?(?:\[[^\[\]]+\]|(?:an?|per) [a-z]|of [a-z]+ \+ 1)"  # int64[85], bool a line, int64 of rows + 1
    r"|\b(?:one|once) (?:[\w'-]+ ){0,4}(?:an?|per|for each|for every|of each|of every) [a-z]"
    r"|\bas (?:long|many) as\b|\bsame (?:length|size)\b|\bshape[sd]?\b|\b(?:elements|entries|of two) long\b",
    re.IGNORECASE,
)
BATCHES = {"RecordBatch", "Table"}
UNTYPED = {"ndarray", "NDArray", "Tensor", "Array", "ChunkedArray"}
OPAQUE = {"Callable", "Literal"}
LIBRARIES = {"np", "numpy", "npt", "pa", "pyarrow", "torch"}


@dataclass
class Names:
    """What the package defines, by bare name: schema constants, types that stand for arrays, and classes.

    types: name -> the kinds of array it stands for (see `kinds`), empty where its own docstring states them.
    """

    schemas: set[str] = field(default_factory=set)
    types: dict[str, set[str]] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)


def kinds(annotation: ast.expr | None, types: dict[str, set[str]]) -> set[str]:
    """Return which kinds of array an annotation names: 'batch', 'array' (dtype open), 'typed' (dtype in its name)."""
    if annotation is None:
        return set()
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return kinds(ast.parse(annotation.value, mode="eval").body, types)
    if isinstance(annotation, ast.Call) or (
        isinstance(annotation, ast.Subscript) and last_name(annotation.value) in OPAQUE
    ):
        return set()
    if isinstance(annotation, ast.Attribute):
        return kind_of(annotation.attr) if ast.unparse(annotation.value) in LIBRARIES else set()
    if isinstance(annotation, ast.Name):
        return types.get(annotation.id, kind_of(annotation.id) if annotation.id in UNTYPED else set())
    children = (child for child in ast.iter_child_nodes(annotation) if isinstance(child, ast.expr))
    return set().union(*(kinds(child, types) for child in children))


def last_name(expression: ast.expr) -> str:
    """Return the bare name of a.b.C or of a.b.C[...]."""
    return ast.unparse(expression).split("[")[0].split(".")[-1]


def kind_of(name: str) -> set[str]:
    if name in BATCHES:
        return {"batch"}
    if name in UNTYPED:
        return {"array"}
    return {"typed"} if name.endswith("Array") else set()


def missing(found: set[str], text: str, schemas: set[str]) -> list[str]:
    """Return what `text` does not state of arrays of these kinds: 'dtypes', 'shapes', or both."""
    dtype, shape = bool(DTYPE.search(text)), bool(SHAPE.search(text))
    schema = any(re.search(rf"\b{name}\b", text) for name in ("schema", *schemas))
    result = []
    if not dtype and ("array" in found or ("batch" in found and not schema)):
        result.append("dtypes")
    if not shape and found & {"array", "typed"}:
        result.append("shapes")
    return result


def read_names(trees: dict[Path, ast.Module]) -> Names:
    """Return what the rules need to know of the whole package."""
    names = Names()
    for tree in trees.values():
        for statement, after in zip(tree.body, [*tree.body[1:], ast.Pass()], strict=True):
            if isinstance(statement, ast.ClassDef):
                names.classes[statement.name] = statement
            if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
                continue
            name, value = statement.targets[0].id, statement.value
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "pa.schema":
                names.schemas.add(name)
            elif name[:1].isupper() and not name.isupper() and kinds(value, {}):
                found = kinds(value, {})
                names.types[name] = found if missing(found, string_of(after), names.schemas) else set()
    return names


def string_of(statement: ast.stmt) -> str:
    """Return the text of a statement that is nothing but a string, else ''."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return str(statement.value.value)
    return ""


def inherited(kind: ast.ClassDef, method: str, names: Names) -> str:
    """Return the docstrings of the same method, and of its class, in the bases that the package defines."""
    texts = []
    for base in kind.bases:
        parent = names.classes.get(last_name(base))
        if parent is None or parent is kind:
            continue
        texts += [ast.get_docstring(parent) or "", inherited(parent, method, names)]
        texts += [
            ast.get_docstring(m) or "" for m in parent.body if isinstance(m, ast.FunctionDef) and m.name == method
        ]
    return "\n".join(texts)


def public(name: str) -> bool:
    return not name.startswith("_")


def check_class(kind: ast.ClassDef, names: Names) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (line, name, what is missing) of a class's fields and methods."""
    own = ast.get_docstring(kind) or ""
    for member, after in zip(kind.body, [*kind.body[1:], ast.Pass()], strict=True):
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name) and public(member.target.id):
            found, text = kinds(member.annotation, names.types), f"{own}\n{string_of(after)}"
            yield member.lineno, f"{kind.name}.{member.target.id}", missing(found, text, names.schemas)
    for line, name, found, text in functions(kind.body, names):
        context = f"{own}\n{text}\n{inherited(kind, name, names)}"
        yield line, f"{kind.name}.{name}", missing(found, context, names.schemas)


def functions(body: list[ast.stmt], names: Names) -> Iterator[tuple[int, str, set[str], str]]:
    """Yield (line, name, kinds of array, docstring) of the public functions among some statements."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and public(node.name):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg]
            annotations = [node.returns, *(argument.annotation for argument in arguments if argument is not None)]
            found = set().union(*(kinds(annotation, names.types) for annotation in annotations))
            yield node.lineno, node.name, found, ast.get_docstring(node) or ""


def check_module(tree: ast.Module, names: Names) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (line, name, what is missing) of a module's public functions and classes."""
    for line, name, found, text in functions(tree.body, names):
        yield line, name, missing(found, text, names.schemas)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and public(node.name):
            yield from check_class(node, names)


def faults(folder: Path) -> list[str]:
    """Return one message a fault, 'file:line: name states no ...', for the Python files below `folder`."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))}
    names = read_names(trees)
    found = []
    for path, tree in trees.items():
        if any(part.startswith("_") and not part.startswith("__") for part in path.relative_to(folder).parts):
            continue
        for line, name, absent in check_module(tree, names):
            if absent:
                found.append(f"{path}:{line}: {name}: its docstring states no {' and no '.join(absent)}")
    return found


def main() -> int:
    """Print the faults; 1 where there are any."""
    found = faults(Path(sys.argv[1] if len(sys.argv) > 1 else "autoclave"))
    for fault in found:
        print(fault, file=sys.stderr)
    if found:
        print(f"{len(found)} docstrings do not say which arrays they mean (docs/check_docstrings.py)", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
