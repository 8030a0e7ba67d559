"""Takes the pictures of the example report in docs/images: python .ci/site/screenshots.py."""

from __future__ import annotations

import shutil
import tempfile
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

from example import example_report
from links import ROOT
from PIL import Image

_HEIGHTS = {360: 2_400, 1024: 2_600, 1920: 2_200}  # pixels of each width: down to the first charts
_SCHEMES = ("light", "dark")
_COLORS = 256  # of a palette, which makes the files a third as large


def main() -> None:
    """Write a picture for each width of the window, in light and dark colours."""
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(example_report(), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for width, scheme in product(_HEIGHTS, _SCHEMES):
            page = browser.new_page(
                viewport={"width": width, "height": _HEIGHTS[width]}, color_scheme=scheme
            )
            page.goto(file.as_uri())
            _save(page, ROOT / "docs" / "images" / f"report-{width}-{scheme}.png")
            page.close()
        browser.close()


def _save(page: Any, picture: Path) -> None:
    """Write what the window shows, once its charts are drawn."""
    for plot in page.locator(".plot:visible").all():
        if plot.bounding_box()["y"] < page.viewport_size["height"]:
            plot.locator("svg").wait_for()
    taken = Image.open(BytesIO(page.screenshot()))
    taken.convert("RGB").quantize(_COLORS).save(picture, optimize=True)


if __name__ == "__main__":
    main()
