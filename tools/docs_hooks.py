"""What MkDocs is helped with: pages that are made anew in each build, and formulas as MathML.

With MathML no page needs a script or a network to show its formulas.
"""

from __future__ import annotations

import html
import logging
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import docs_guard
import docs_pages
import docs_performance
import docs_settings
import docs_streams

log = logging.getLogger("mkdocs.hooks.neurosleep")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\s*\\([(\[])(.*?)\\[)\]]\s*</\1>', flags=re.DOTALL)
# Words in formulas, such as the index of v_{leak}, are upright; products of one or two letters stay as they are.
_WORD = re.compile(r"\\(?:text|mathrm|operatorname|begin|end)\{[^}]*\}|\\[A-Za-z]+|([A-Za-z]{3,})")


def mathml(tex: str, block: bool) -> str:
    """MathML of a formula; raises what latex2mathml raises."""
    tex = _WORD.sub(lambda m: rf"\mathrm{{{m[1]}}}" if m[1] else m[0], tex)
    made: str = convert(tex, display="block" if block else "inline")
    # One on lines of its own may be wider than the page, and is scrolled by itself, with keys too.
    return made.replace("<math ", '<math tabindex="0" ', 1) if block else made


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made anew."""
    made = [
        *docs_pages.gallery(),
        *docs_pages.tutorial(),
        ("api/cli.md", docs_pages.command_line()),
        ("api/index.md", docs_pages.names()),
    ]
    made += [("api/settings.md", docs_settings.settings_page()), ("api/runs.md", docs_settings.experiments_page())]
    made += [*docs_guard.files(), *docs_streams.files()]
    made += docs_performance.files()
    for path, content in made:
        files.append(File.generated(config, path, content=content))
    return files


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Put MathML in place of each formula of a finished page."""

    def replaced(match: re.Match[str]) -> str:
        tex = html.unescape(match[3]).strip()
        try:
            return mathml(tex, match[2] == "[")
        except Exception as error:  # whatever it is, the page must not be built without its formula
            log.warning("%s: the formula %r cannot be read (%s)", page.file.src_uri, tex, error)
            return match[0]

    return _FORMULA.sub(replaced, output)
