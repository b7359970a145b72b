"""Docstrings as they are written here, for Sphinx: backticks are code, the rest is plain text.

The meaning of a dataclass's field is a comment on its line; Sphinx does not see comments, so they
are read from the source and listed below the docstring.
"""

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
import tokenize
from io import StringIO
from typing import Any

import tljax

CODE = re.compile(r"`+([^`]+)`+", re.DOTALL)
SPECIAL = re.compile(r"([*|\\])|(?<=\w)(_)(?!\w)")


def setup(app: Any) -> dict[str, bool]:
    """Connect the rewriting to Sphinx, which calls this function."""
    app.connect("autodoc-process-docstring", _rewrite)
    app.connect("autodoc-process-signature", _named_defaults)
    app.connect("missing-reference", _public)
    return {"parallel_read_safe": True}


def _rewrite(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    del app, what, name, options
    paragraphs = "\n".join(lines).split("\n\n")
    text = "\n\n".join(
        part if part.startswith(">>> ") else restructured(part) for part in paragraphs
    )
    if isinstance(obj, type) and dataclasses.is_dataclass(obj):
        text += "\n\n" + "\n".join(
            f"* ``{field}``: {restructured(comment)}" for field, comment in fields(obj).items()
        )
    lines[:] = text.split("\n")


def _named_defaults(app: Any, what: str, name: str, obj: Any, options: Any, *parts: Any) -> Any:
    """Write a default that is a function by its name, and one made anew each time as `...`.

    Sphinx gives up on a signature that is no Python, and leaves its types as `~typing.Any`.
    """
    del app, what, name, obj, options
    plain = [part and re.sub(r"<function (\w+)>", r"\1", part) for part in parts]
    return tuple(part and re.sub(r"<function <lambda>>|<factory>", "...", part) for part in plain)


def _public(app: Any, env: Any, node: Any, shown: Any) -> Any:
    """Link a type in a signature, which has the name of its own module, to its public name."""
    public = _public_names().get(node["reftarget"]) if node.get("refdomain") == "py" else None
    if public is None:
        return None
    domain = env.domains["py"]
    return domain.resolve_xref(env, node["refdoc"], app.builder, "class", public, node, shown)


@functools.cache
def _public_names() -> dict[str, str]:
    named = {name: getattr(tljax, name) for name in tljax.__all__}
    return {f"{x.__module__}.{x.__qualname__}": f"tljax.{name}" for name, x in named.items()}


def restructured(text: str) -> str:
    """Convert a docstring to reStructuredText."""
    out, at = [], 0
    for code in CODE.finditer(text):
        plain = text[at : code.start()]
        out += [SPECIAL.sub(r"\\\1\2", plain), "\\ " if plain[-1:].isalnum() else ""]
        out.append(f"``{' '.join(code[1].split())}``")
        at = code.end()
        out.append("\\ " if text[at : at + 1].isalnum() else "")
    return "".join([*out, SPECIAL.sub(r"\\\1\2", text[at:])])


def fields(cls: type) -> dict[str, str]:
    """Map each field to the comment at the end of its line, for those that have one."""
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except OSError:  # a class that was made by a call
        return {}
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    body: Any = ast.parse(source).body[0]
    return {
        node.target.id: comments[node.end_lineno]
        for node in body.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.end_lineno in comments
    }
