"""A checkout for the tests of the atlas: names of files that try to break a page, and two datasets."""

import json
import re
from dataclasses import replace
from pathlib import Path

import evaluated
import synthetic

from oncovec.serving import cli

SPLITS = {"train": 60, "val": 60, "test": 60}

NAMES = {
    0: "</script><img src=x onerror=injected=1>.png",  # in the gallery
    70: "</script><script>injected=1</script>.png",
    71: "\"double\" 'single' & &amp; <b>.png",
    130: "größe/画像 \u2028 الصورة.png",
    131: "back\\slash ${injected=1} {{ injected }} <!-- .png",
    132: "a" * 180 + ".png",
}
"""By row: some are training images, some of val and of test."""


def checkout(folder: Path) -> Path:
    """A checkout with systems `animals` and `again` on one dataset of phantoms, and `two` on another."""
    animals = evaluated.renamed(synthetic.embeddings(noise=1.2, splits=SPLITS), NAMES)
    again = evaluated.renamed(synthetic.embeddings(noise=1.2, splits=SPLITS, seed=1), NAMES)
    two = synthetic.embeddings(("no", "yes"), "yes", noise=1.2, seed=2)
    two = replace(two, dataset="two", task="two", source="local")
    return evaluated.write(folder, {"animals": animals, "again": again, "two": two})


def call(*arguments: object) -> None:
    """Run `oncovec atlas`; a mistake is raised."""
    cli.app(["atlas", *map(str, arguments)], standalone_mode=False)


def data(text: str, kind: str = "data") -> dict:
    """What a page holds: `data`, or `sheets` of thumbnails."""
    found = re.search(rf'<script type="application/json" id="{kind}">(.*?)</script>', text, re.S)
    assert found, kind
    return json.loads(found[1])
