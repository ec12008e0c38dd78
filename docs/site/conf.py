"""How the site of the documents is built: `make docs`.

The pages are the Markdown files as they stand in the repository; nothing here changes their text,
but for the list of pages that is put behind the README. The site loads nothing from another host.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "src"))

from tidegate import __version__  # noqa: E402 - the path above finds it

project = "Tidegate"
author = "The Tidegate authors"
copyright = author
release = version = __version__

extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md"]

# The anchors of headings are those that a forge makes of them.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = f"Tidegate {release}"
html_copy_source = False
html_show_sphinx = False
html_use_index = False
html_domain_indices = False
html_extra_path = ["index.html"]

# Whatever a page would make a browser fetch while it shows it.
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source|link)\b[^>]*?(?:src|href)=\"(?:https?:)?//[^\"]+|"
    r"@import\s+[^;]+//|url\(\s*[\"']?(?:https?:)?//[^)]+",
    re.IGNORECASE,
)


def _navigation(_: Any, page: str, text: list[str]) -> None:
    """The README is the front page: the list of all pages stands behind it. The folders that it
    links are in that list, so their links go."""
    if page == root_doc:
        readme = re.sub(r"\[([^]]+)\]\((?:[\w-]+/)+\)", r"\1", text[0])
        text[0] = f"{readme}\n{(HERE / 'navigation.txt').read_text(encoding='utf-8')}"


def _from_here_alone(app: Any, failed: Exception | None) -> None:
    """Refuse a site that would fetch from another host: it is read where there is no other."""
    if failed is not None:
        return
    for path in sorted(Path(app.outdir).rglob("*")):
        if path.suffix in {".html", ".css"}:
            for found in _FETCHED.findall(path.read_text(encoding="utf-8")):
                raise ValueError(f"{path.relative_to(app.outdir)} fetches from elsewhere: {found}")


def setup(app: Any) -> dict[str, bool]:
    app.add_lexer("mermaid", TextLexer)  # diagrams stay text (decision 0026)
    app.add_lexer("http", TextLexer)  # requests are shown without the protocol's version
    app.connect("source-read", _navigation)
    app.connect("build-finished", _from_here_alone)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
