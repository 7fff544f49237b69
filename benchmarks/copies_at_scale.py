"""Near copies among 10,000 and 100,000 images whose features are drawn: time, memory, recall, and growth.

    python benchmarks/copies_at_scale.py [IMAGES …] [--look PAIRS] [--work DIR] [-o FILE.json]

The features are a mixture of strangers and of families of copies: of 2 to 4, and of 20, as augmented
datasets have them. Strangers' vectors lie as densely as those of real images of one modality, and a copy's
cosine to its original is spread as that of synthetic copies of real images. Keypoints and grey images are
drawn, and turned, scaled and mirrored with the copy, so that the second look does its full work. Of more
candidates than --look (20,000; 0 for no limit) a random sample is looked at: the time is scaled up, and
every other pair gets the answer of a pair of its kind (of one family, or not).

Each size is measured in a process of its own. 100,000 images take 6 GB in --work. Nothing else should be
running.
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
from copies_scores import pairs_within
from numpy.typing import NDArray

from oncovec.core import params
from oncovec.data.duplicates import copies, features
from oncovec.data.duplicates.registration import MIRRORED

ROOT = Path(__file__).resolve().parents[1]
SIZES = (10_000, 100_000)
KEYPOINTS = 300
CANVAS, GREY = 2 * features.GREY, features.GREY
BLOCK = 500

CLASSES, LATENT = 200, 48
"""Dense regions of the space, and in how many directions a region's images differ."""

FAMILIES = ((1, 0.85), (2, 0.05), (3, 0.04), (4, 0.04), (20, 0.02))
"""Images of one origin, and how often: about 40 % of the images have a sibling."""


class Drawn:
    """Draws images' features, family by family."""

    def __init__(self, images: int, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        sizes, chances = zip(*FAMILIES, strict=True)
        members = self.generator.choice(sizes, images, p=chances)
        self.family = np.repeat(np.arange(images), members)[:images]
        basis = np.linalg.qr(self.generator.normal(size=(1280, LATENT + 1)))[0].T
        self.common, self.basis = basis[0], basis[1:]
        self.centres = self.generator.normal(size=(CLASSES, LATENT))
        words = self.generator.gamma(0.5, size=(100_000, 128))
        words *= 512 / np.linalg.norm(words, axis=1, keepdims=True)
        self.words = np.clip(words, 0, 255).astype(np.uint8)

    def vector(self) -> NDArray[np.float64]:
        """Of a stranger: what all images share, its region, itself, and noise."""
        centre = self.centres[self.generator.integers(CLASSES)]
        inner = 0.8 * centre + 0.6 * self.generator.normal(size=LATENT)
        outer = self.generator.normal(size=1280) / np.sqrt(1280)
        return _unit(0.7 * self.common + 0.1 * inner @ self.basis + 0.25 * outer)

    def near(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of a copy: a cosine of 0.95 in the median, and of 0.75 at the 5th percentile."""
        cosine = max(0.3, 1 - 0.05 * np.exp(self.generator.normal()))
        aside = self.vector()
        aside = _unit(aside - (aside @ vector) * vector)
        return cosine * vector + np.sqrt(1 - cosine**2) * aside

    def grey(self) -> NDArray[np.uint8]:
        """A cloudy image."""
        layers = (self.generator.uniform(0, 255, (side, side)).astype(np.float32) for side in (6, 16, 40))
        smooth = [cv2.resize(layer, (GREY, GREY), interpolation=cv2.INTER_CUBIC) for layer in layers]
        return np.clip(np.mean(smooth, axis=0), 0, 255).astype(np.uint8)

    def images(self) -> Iterator[tuple[Any, ...]]:
        """Yield vector, grey image, points and descriptors of each image."""
        known, last = None, -1
        for family in self.family:
            if family != last:
                points = self.generator.uniform(0, CANVAS, (KEYPOINTS, 2)).astype(np.float32)
                words = self.generator.integers(len(self.words), size=KEYPOINTS)
                known, last = (self.vector(), self.grey(), points, self.words[words]), family
                yield known
            else:
                yield self.copy(*known)

    def copy(self, vector, grey, points, descriptors) -> tuple[Any, ...]:
        """Turn, scale, perhaps mirror; a third of the keypoints are others, and all are a little off."""
        angle, scale = self.generator.uniform(0, 360), self.generator.uniform(0.85, 1.18)
        middle = (CANVAS - 1) / 2
        matrix = cv2.getRotationMatrix2D((middle, middle), angle, scale)
        moved = points @ matrix[:, :2].T + matrix[:, 2] + self.generator.normal(0, 0.7, points.shape)
        half = matrix.copy()
        half[:, 2] /= 2
        warped = cv2.warpAffine(grey, half, (GREY, GREY), borderMode=cv2.BORDER_REFLECT)
        noisy = np.clip(descriptors + self.generator.normal(0, 8, descriptors.shape), 0, 255).astype(np.uint8)
        if self.generator.integers(2):
            moved[:, 0], noisy, warped = CANVAS - 1 - moved[:, 0], noisy[:, MIRRORED], warped[:, ::-1]
        outside = ((moved < 0) | (moved >= CANVAS)).any(axis=1)
        other = np.flatnonzero(outside | (self.generator.random(KEYPOINTS) < 1 / 3))
        moved[other] = self.generator.uniform(0, CANVAS, (len(other), 2))
        noisy[other] = self.words[self.generator.integers(len(self.words), size=len(other))]
        return self.near(vector), warped, moved.astype(np.float32), noisy


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


def write(images: int, seed: int, folder: Path) -> None:
    """Write a feature set, its images in a random order, and the families beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = Drawn(images, seed)
    block: list[tuple[Any, ...]] = []
    with features.writing(folder) as writer:
        for number, image in enumerate(drawn.images(), 1):
            block.append(image)
            if len(block) == BLOCK or number == images:
                vectors, greys, points, descriptors = zip(*block, strict=True)
                shapes, counts = [(GREY, GREY)] * len(block), [KEYPOINTS] * len(block)
                writer.append(vectors=np.stack(vectors), greys=np.stack(greys), shapes=shapes, counts=counts)
                writer.append(points=np.concatenate(points), descriptors=np.concatenate(descriptors))
                block = []
    np.save(folder / "family.npy", drawn.family)


def measure(folder: Path, most: int) -> dict[str, Any]:
    """Search, look and join, and say what each took."""
    found, family = features.open_features(folder), np.load(folder / "family.npy")
    settings = params.load(ROOT / "params.yaml").group
    # The first search pays for imports.
    copies.candidates(found.vectors[:100], 2)
    start = time.perf_counter()
    candidates = copies.candidates(found.vectors, settings.neighbours)
    searched = time.perf_counter()
    search_memory = _peak()
    pairs, looked, seconds = _looked(found, candidates, family, most)
    joining = time.perf_counter()
    confirmed = [pair for pair in pairs if copies.is_copy(pair, settings)]
    clusters = np.array(copies.cluster(len(found), confirmed))
    joined = time.perf_counter()
    true = pairs_within(family)
    mates = family[candidates[:, 0]] == family[candidates[:, 1]]
    both = pairs_within(family, clusters)
    return {
        "images": len(found),
        "candidates": len(candidates),
        "looked_at": looked,
        "seconds": {"search": searched - start, "look": seconds, "join": joined - joining},
        "memory_mb": {"search": search_memory, "all": _peak()},
        "reached": _reached(family, candidates[mates]),
        "recall": both / true,
        "precision": both / max(pairs_within(clusters), 1),
        "largest": int(np.bincount(clusters).max()),
    }


def _looked(found, candidates, family, most: int):
    """Look at all candidates, or at a sample that answers for the rest: pairs, number looked at, seconds."""
    generator = np.random.default_rng(0)
    count = len(candidates) if not most else min(most, len(candidates))
    chosen = np.sort(generator.choice(len(candidates), count, replace=False))
    start = time.perf_counter()
    seen = {(pair.first, pair.second): pair for pair in copies.look(found, candidates[chosen])}
    seconds = (time.perf_counter() - start) * len(candidates) / count
    if count == len(candidates):
        return list(seen.values()), count, seconds
    mates = family[candidates[:, 0]] == family[candidates[:, 1]]
    pairs = []
    for kind in (True, False):
        rows = chosen[mates[chosen] == kind]
        answers = [seen.get((int(first), int(second))) for first, second in candidates[rows]]
        for first, second in candidates[mates == kind].tolist():
            answer = seen.get((first, second)) or answers[generator.integers(len(answers))]
            if answer is not None:
                pairs.append(answer._replace(first=first, second=second))
    return sorted(pairs), count, seconds


def _reached(family: NDArray[np.int64], mates: NDArray[np.int64]) -> float:
    """Share of the images with siblings that have one among their candidates."""
    sizes = np.bincount(family)
    siblings = np.flatnonzero(sizes[family] > 1)
    return float(np.isin(siblings, mates).mean())


def _peak() -> float:
    """Largest resident memory of this process or of one worker so far, mapped files included, in MB."""
    both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return max(resource.getrusage(who).ru_maxrss for who in both) / 1024


def show(results: list[dict[str, Any]]) -> None:
    """Print a row a size, and the growth from the first to the last."""
    times, figures = "search s | second look s | joining s", "candidates | recall | precision"
    print(f"| images | {times} | search MB | peak MB | {figures} |")
    print("| --- " * 9 + "|")
    for one in results:
        taken, memory = one["seconds"], one["memory_mb"]
        scaled = "" if one["looked_at"] == one["candidates"] else f" (from {one['looked_at']:,} pairs)"
        print(
            f"| {one['images']:,} "
            f"| {taken['search']:.1f} | {taken['look']:.0f}{scaled} | {taken['join']:.1f} "
            f"| {memory['search']:.0f} | {memory['all']:.0f} | {one['candidates']:,} "
            f"| {one['recall']:.4f} | {one['precision']:.4f} |"
        )
    first, last = results[0], results[-1]
    if len(results) > 1:
        growth = {name: last["seconds"][name] / first["seconds"][name] for name in first["seconds"]}
        words = ", ".join(f"{name} x{value:.1f}" for name, value in growth.items())
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
    for images in options.images:
        folder = options.work / f"{images}"
        if not (folder / "family.npy").is_file():
            write(images, 0, folder)
        command = [sys.executable, __file__, "--measure", folder, "--look", f"{options.look}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        results.append(json.loads(done.stdout))
    show(results)
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
