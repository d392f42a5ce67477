"""The views' JavaScript and CSS, made whole.

A widget's ``_esm`` is one text and cannot import its neighbours, so :func:`module` writes them into it. The files in
``static/`` stay ordinary ES modules; three conventions make the joining trivial and are tested:

- an import names its file: ``import { a, b } from "./dom.js";``, on one line;
- only a view's own file has an ``export default``; shared files export declarations (``export function ...``);
- top-level names are unique over all files that meet in one text.

``./palette.js`` does not exist on disk: it is what :mod:`fi_workbench.widgets.views.palette` says.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from fi_workbench.widgets.views import palette

STATIC = Path(__file__).parent / "static"

_IMPORT = re.compile(r'^import \{[^}\n]*\} from "\./(?P<file>\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def _source(name: str) -> str:
    return palette.javascript() if name == "palette" else (STATIC / f"{name}.js").read_text(encoding="utf-8")


def imports(name: str) -> tuple[str, ...]:
    """Names of the files that ``static/<name>.js`` needs, each after those that it needs itself."""
    found: list[str] = []

    def visit(file: str) -> None:
        for needed in _IMPORT.findall(_source(file)):
            if needed not in found:
                visit(needed)
                found.append(needed)

    visit(name)
    return tuple(found)


@functools.cache
def module(name: str) -> str:
    """The ES module ``static/<name>.js`` with all that it imports written into it."""
    parts = [_EXPORT.sub("", _IMPORT.sub("", _source(file))) for file in (*imports(name), name)]
    return "\n".join(parts)


@functools.cache
def stylesheet(*names: str) -> str:
    """The palette's custom properties, then ``static/<name>.css`` in the order given."""
    return palette.css() + "\n".join((STATIC / f"{name}.css").read_text(encoding="utf-8") for name in names)
