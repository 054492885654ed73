"""Look at the built documentation: nothing asks a network for anything, nothing is missing, every public name is there.

python tools/check_site.py [SITE]        else out/site
"""

from __future__ import annotations

import ast
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
# Attributes from which a browser loads something by itself; a link is followed by a reader only.
_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
_LEFT_OVER = re.compile(r':(?:func|class|meth|math|data|mod):(?=`|<code)|\.\. math::|class="arithmatex"')


class Page(HTMLParser):
    """What a page loads, links to and holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what one element refers to."""
        found = dict(attrs)
        if identity := found.get("id"):
            self.ids.add(identity)
        if tag == "link" and found.get("rel") not in ("stylesheet", "icon", "preload", "modulepreload", "manifest"):
            return
        if (attribute := _LOADED.get(tag)) and (target := found.get(attribute)):
            self.loads.append(target)
        if tag == "a" and (target := found.get("href")):
            self.links.append(target)


def public_names() -> set[str]:
    """``room.name`` of everything in the public list of a room."""
    found = set()
    for file in [*(ROOT / "neurosleep").glob("*/__init__.py"), ROOT / "neurosleep" / "errors.py"]:
        room = file.stem if file.stem != "__init__" else file.parent.name
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                found |= {f"neurosleep.{room}.{name}" for name in ast.literal_eval(node.value)}
    # The command line is described on a page of its own, command by command.
    return {name for name in found if not name.startswith("neurosleep.cli.")}


def findings(site: Path) -> list[str]:
    """Everything that is wrong, one sentence each."""
    files = {path: path.read_text(encoding="utf-8") for path in sorted(site.rglob("*.html"))}
    pages = {path: Page(text) for path, text in files.items()}
    wrong = []
    for path, page in pages.items():
        name = path.relative_to(site)
        if match := _LEFT_OVER.search(files[path]):
            wrong.append(f"{name}: {match[0]} was not rendered")
        for target in page.loads:
            parts = urlsplit(target)
            if parts.scheme not in ("", "data") or parts.netloc:
                wrong.append(f"{name} loads {target} from elsewhere")
                continue
            # The page of what is not found may be shown in any folder, so that it counts from the root.
            base = site if target.startswith("/") else path.parent
            if not parts.scheme and not (base / unquote(parts.path).lstrip("/")).resolve().is_file():
                wrong.append(f"{name} loads {target}, which is not there")
        for target in page.links:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = there / "index.html" if there.is_dir() else there
            if not there.is_file():
                wrong.append(f"{name} links to {target}, which is not there")
            elif parts.fragment and there in pages and unquote(parts.fragment) not in pages[there].ids:
                wrong.append(f"{name} links to {target}, and there is no such place")
    for style in site.rglob("*.css"):
        if re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")):
            wrong.append(f"{style.relative_to(site)} loads something from elsewhere")
    shown = set().union(*(page.ids for page in pages.values()))
    wrong += [f"{name} is on no page" for name in sorted(public_names() - shown)]
    return wrong


def main(site: Path) -> int:
    """Print what is wrong; 1 if anything is."""
    if not (site / "index.html").is_file():
        print(f"There is no built documentation in {site}.", file=sys.stderr)
        return 1
    found = findings(site)
    for sentence in found:
        print(sentence, file=sys.stderr)
    pages = len(list(site.rglob("*.html")))
    print(f"{site}: {pages} pages, {len(public_names())} public names, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "out" / "site"))
