"""Near-duplicates among 10,000 and 100,000 drawn small copies: time, memory, what is reached, and growth.

    python benchmarks/copies_at_scale.py [IMAGES …] [--look PAIRS] [--work DIR] [-o FILE.json]

The images are clouds of grey: unrelated ones, and families of copies of 2 to 4 and of 20, as augmented sets
have them, each turned, zoomed, shifted, perhaps mirrored, darkened, and a little noisy. Of more candidates
than --look (20,000; 0 for no limit) a random sample is looked at, and the time is scaled up.

Each size is measured in a process of its own. 100,000 images take 1.6 GB in --work, and their keypoints 4 GB
there while it runs. Nothing else should be running.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from copies_scores import components, pairs_within
from numpy.typing import NDArray

from oncovec.core import params
from oncovec.data.duplicates import candidates, keypoints, pairs, vectors
from oncovec.data.small_copies import SIDE

ROOT = Path(__file__).resolve().parents[1]
SIZES = (10_000, 100_000)

FAMILIES = ((1, 0.85), (2, 0.05), (3, 0.04), (4, 0.04), (20, 0.02))
"""Images of one origin, and how often: about 40 % of the images have a sibling."""

LAYERS = (6, 16, 40, 80)
"""Cells across of the noise that an image is the sum of."""

Grey = NDArray[np.uint8]


def images(family: NDArray[np.int64], generator: np.random.Generator) -> Iterator[Grey]:
    """Yield an image for each member of the families, which are numbered in order."""
    original, last = np.zeros((SIDE, SIDE), np.uint8), -1
    for number in family:
        if number != last:
            original, last = _cloud(generator), number
            yield original
        else:
            yield _copy(original, generator)


def _cloud(generator: np.random.Generator) -> Grey:
    layers = [generator.normal(0, 40, (side, side)).astype(np.float32) for side in LAYERS]
    smooth = [cv2.resize(layer, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for layer in layers]
    return np.clip(128 + np.sum(smooth, axis=0), 0, 255).astype(np.uint8)


def _copy(original: Grey, generator: np.random.Generator) -> Grey:
    angle, scale = generator.uniform(0, 360), generator.uniform(0.85, 1.18)
    middle = (SIDE - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), angle, scale)
    matrix[:, 2] += generator.uniform(-8, 8, 2)
    warped = cv2.warpAffine(original, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
    noisy = warped * generator.uniform(0.4, 1.1) + generator.normal(0, 2, warped.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)[:, :: generator.choice([-1, 1])]


def write(count: int, seed: int, folder: Path) -> None:
    """Draw small copies, and the families beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    sizes, chances = zip(*FAMILIES, strict=True)
    members = generator.choice(sizes, count, p=chances)
    family = np.repeat(np.arange(count), members)[:count]
    place = generator.permutation(count)
    copies = np.lib.format.open_memmap(folder / "copies.npy", "w+", np.uint8, (count, SIDE, SIDE))
    for row, image in zip(place, images(family, generator), strict=True):
        copies[row] = image
    copies.flush()
    family_of = np.empty_like(family)
    family_of[place] = family
    np.save(folder / "family.npy", family_of)


def measure(folder: Path, most: int) -> dict[str, Any]:
    """Go through the steps of `find`, and say what each took."""
    copies, family = np.load(folder / "copies.npy", mmap_mode="r"), np.load(folder / "family.npy")
    shapes = np.full((len(copies), 2), SIDE, np.int32)
    settings = params.load(ROOT / "params.yaml").near_duplicates
    laps = [time.perf_counter()]
    with keypoints.KeypointFile(len(copies), folder) as file:
        keypoints.gather(file, copies, shapes, np.arange(len(copies)), settings.keypoints)
        laps.append(time.perf_counter())
        rich = np.flatnonzero(file.counts >= settings.inliers)
        space = vectors.vectors(file, rich)
        laps.append(time.perf_counter())
        likely = rich[candidates.candidates(space, settings.neighbours)]
        laps.append(time.perf_counter())
        chosen = np.random.default_rng(0).permutation(len(likely))[: most or None]
        sample = likely[np.sort(chosen)]
        confirmed = {each[:2] for each in pairs.look(copies, shapes, file, sample, settings)}
        laps.append(time.perf_counter())
        held = int(file.counts.sum()) * 136
    names = ("keypoints", "vectors", "search", "second look")
    seconds = dict(zip(names, np.diff(laps).tolist(), strict=True))
    seconds["second look"] *= len(likely) / max(1, len(sample))
    mates = family[likely[:, 0]] == family[likely[:, 1]]
    kin = sample[family[sample[:, 0]] == family[sample[:, 1]]]
    siblings = [tuple(pair) in confirmed for pair in kin.tolist()]
    unrelated = len(confirmed) - sum(siblings)
    return {
        "images": len(copies),
        "candidates": len(likely),
        "looked_at": len(sample),
        "seconds": seconds,
        "file_mb": held / 2**20,
        "memory_mb": _peak(),
        "reached": pairs_within(family, components(len(copies), likely[mates])) / pairs_within(family),
        "siblings_confirmed": sum(siblings) / max(1, len(siblings)),
        "unrelated_confirmed": unrelated / max(1, len(sample) - len(siblings)),
    }


def _peak() -> float:
    """Largest resident memory of this process or of one worker so far, mapped files included, in MB."""
    both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return max(resource.getrusage(who).ru_maxrss for who in both) / 1024


def show(results: list[dict[str, Any]]) -> None:
    """Print a row a size, and the growth from the first to the last."""
    steps = list(results[0]["seconds"])
    metrics = [
        "peak MB",
        "file MB",
        "candidates",
        "pairs reached",
        "siblings confirmed",
        "unrelated confirmed",
    ]
    head = ["images", *(f"{step} s" for step in steps), *metrics]
    print(f"| {' | '.join(head)} |\n{'| --- ' * len(head)}|")
    for one in results:
        cells = [f"{one['images']:,}", *(f"{taken:,.0f}" for taken in one["seconds"].values())]
        cells += [f"{one['memory_mb']:,.0f}", f"{one['file_mb']:,.0f}", f"{one['candidates']:,}"]
        cells += [f"{one[key]:.4f}" for key in ("reached", "siblings_confirmed", "unrelated_confirmed")]
        print(f"| {' | '.join(cells)} |")
    first, last = results[0], results[-1]
    if len(results) > 1:
        growth = {step: last["seconds"][step] / first["seconds"][step] for step in steps}
        words = ", ".join(f"{step} x{value:.1f}" for step, value in growth.items())
        print(f"\n{last['images'] / first['images']:.0f} times the images: {words}")


def main() -> None:
    """Draw each size where it is not there yet, and measure it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", nargs="*", type=int, default=SIZES)
    parser.add_argument("--look", type=int, default=20_000, metavar="PAIRS")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "oncovec_copies_at_scale")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.look)))
        return
    results = []
    for count in options.images:
        folder = options.work / f"{count}"
        if not (folder / "family.npy").is_file():
            write(count, 0, folder)
        command = [sys.executable, __file__, "--measure", folder, "--look", f"{options.look}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        results.append(json.loads(done.stdout))
    show(results)
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
