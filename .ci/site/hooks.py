"""What the documentation site adds to the pages in docs/: references, results, links to files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from example import example_report
from links import ROOT, Links, page_of
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from records import records_page
from reference import commands_page, settings_page

_GENERATED = {
    "reference/commands.md": commands_page,
    "reference/settings.md": settings_page,
    "reference/records.md": records_page,
}
# Pages outside docs/, by their path in the repository.
_OUTSIDE = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "examples/README.md",
    *sorted(
        str(path.relative_to(ROOT))
        for pattern in ("results/**/README.md", "results/*/*.md")
        for path in ROOT.glob(pattern)
    ),
)

_FETCHED = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="?(?:https?:)?//[^">]+')


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages, those outside docs/, and every file that a page links to."""
    for uri, page in _GENERATED.items():
        files.append(File.generated(config, uri, content=page()))
    files.append(File.generated(config, "reference/example-report.html", content=example_report()))
    for path in _OUTSIDE:
        files.append(File.generated(config, page_of(path), abs_src_path=str(ROOT / path)))
    linked = {target for path in _written() for target in Links(path).files()}
    for path in sorted(linked):
        if files.get_file_from_path(path) is None:
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    source = page.file.abs_src_path
    if source is None:  # generated, with links of the site
        return markdown
    return Links(str(Path(source).relative_to(ROOT))).on_site(markdown)


def on_post_page(output: str, page: Any, **_: Any) -> None:
    """Check that a page shows without a network.

    Raises:
        PluginError: it would fetch something from another host.
    """
    if fetched := _FETCHED.search(output):
        raise PluginError(f"{page.file.src_uri}: fetches what it shows: {fetched[0]}")


def _written() -> list[str]:
    """Return all pages that people wrote, by their path in the repository."""
    pages = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))
    return [*pages, *_OUTSIDE]
