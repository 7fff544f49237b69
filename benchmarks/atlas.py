"""Size and opening time of the atlas at 5,000 points, and whether it pans smoothly, in headless Chromium.

python benchmarks/atlas.py [--chromium PATH] [--images FOLDER]

Draws a dataset of 25,000 images of noise in ten classes; with `--images`, thumbnails are of the images of a
folder, over and over, for a size as of real images. Each time is the best of several, since other programs
share the processor. Prints a line per page; fails above the limits below.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import evaluated  # noqa: E402
import synthetic  # noqa: E402

from oncovec.core import paths  # noqa: E402
from oncovec.serving import cli  # noqa: E402

SPLITS = {"train": 20_000, "val": 2_500, "test": 2_500}
SIZE = 96
OPENED, FRAME = 2.0, 50
"""Limits: seconds until the page is ready, and ms of a frame while it is panned."""

PANNED = """async () => {
    const times = [];
    for (let step = 0; step < 30; step++) {
        const start = performance.now();
        pan(5, 0);
        await new Promise(requestAnimationFrame);
        await new Promise((done) => setTimeout(done, 0));
        times.push(performance.now() - start);
    }
    return Math.min(...times);
}"""


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--images", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(f"class {number}" for number in range(10))
        content = synthetic.embeddings(names, splits=SPLITS, noise=0.4)
        evaluated.write(Path(folder), {"big": content}, SIZE)
        _fill(Path(folder) / paths.images(content.dataset), options.images)
        os.chdir(folder)
        opened = []
        for extra in ([], ["--no-images"]):
            start = time.perf_counter()
            cli.app(["atlas", *extra], standalone_mode=False)
            print(f"written in {time.perf_counter() - start:.1f} s")
            opened.append(_measure(Path(folder) / "data/atlas.html", options.chromium))
    sys.exit(any(seconds > OPENED or frame > FRAME for seconds, frame in opened))


def _fill(array: Path, folder: Path | None) -> None:
    """Fill a prepared array with noise, or with the images of a folder."""
    pixels = np.load(array, mmap_mode="r+")
    generator = np.random.default_rng(0)
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png")) if folder else []
    for row in range(len(pixels)):
        if not files:
            pixels[row] = generator.integers(0, 256, pixels.shape[1:], dtype=np.uint8)
        elif row < len(files):
            with Image.open(files[row]) as image:
                pixels[row] = image.convert("RGB").resize((SIZE, SIZE))
        else:
            pixels[row] = np.roll(pixels[row % len(files)], row // len(files), axis=0)
    pixels.flush()


def _measure(page: Path, chromium: str) -> tuple[float, float]:
    """Return the seconds of an opening, and the ms of a frame while the map is panned."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        seconds = []
        for _ in range(3):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            seconds.append(_opened(tab, page))
        frame = float(tab.evaluate(PANNED))
        browser.close()
    best = min(seconds)
    print(f"{page.stat().st_size / 1e6:.1f} MB, opens in {best:.2f} s, a frame takes {frame:.0f} ms")
    return best, frame


def _opened(tab: Page, page: Path) -> float:
    start = time.perf_counter()
    tab.goto(page.as_uri())
    tab.wait_for_selector("[role=option]")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
