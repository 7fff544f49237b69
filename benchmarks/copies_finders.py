"""What looks for near-duplicates in a pool: Oncovec, other tools, and equal bytes as the least of it."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from copies_pool import Pool
from copies_scores import Found, components
from numpy.typing import NDArray

from oncovec.core import params
from oncovec.core.parallel import ordered_map
from oncovec.data import duplicates
from oncovec.data.decode import read_image
from oncovec.data.small_copies import SIDE, copy_of, shape_of
from oncovec.data.tree import Folder

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).with_name("copies_peers.py")


class Finder(NamedTuple):
    """A way to find near-duplicates: its name, and a function of a pool and a folder for what may be kept."""

    name: str
    find: Callable[[Pool, Path], Found]


def oncovec() -> Finder:
    """Oncovec's own, as the stages `preprocess` and `group` run it with the settings of params.yaml."""

    def find(pool: Pool, kept: Path) -> Found:
        settings, start = params.load(ROOT / "params.yaml").near_duplicates, time.perf_counter()
        read = ordered_map(partial(_small, Folder(pool.folder)), [row.file for row in pool.rows])
        copies, shapes = zip(*read, strict=True)
        decoded, same = time.perf_counter(), _same_bytes(pool)
        rows = np.setdiff1d(np.arange(len(pool.rows)), same[:, 1]).tolist()
        found = duplicates.find(np.stack(copies), np.array(shapes, np.int32), settings, rows, kept)
        found += [duplicates.Pair(first, second, 1.0, 0, 1.0) for first, second in same.tolist()]
        clusters = np.array(duplicates.cluster(len(pool.rows), found), np.int64)
        seconds = {"small copies": decoded - start, "near-duplicates": time.perf_counter() - decoded}
        return Found(np.array([pair[:2] for pair in found], np.int64).reshape(-1, 2), clusters, seconds)

    return Finder("oncovec", find)


def _small(tree: Folder, file: str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The small copy of an image, and its height and width."""
    (picture,), facts = read_image(tree, file, [SIDE])
    return copy_of(picture, facts.width, facts.height), shape_of(facts.width, facts.height)


def _hashes(pool: Pool) -> list[str]:
    return [hashlib.sha256((pool.folder / row.file).read_bytes()).hexdigest() for row in pool.rows]


def _same_bytes(pool: Pool) -> NDArray[np.int64]:
    """Every file that has the bytes of an earlier one, behind the first that has them: (P, 2) rows."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(value, row), row) for row, value in enumerate(_hashes(pool))]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def byte_copies() -> Finder:
    """Files of the same bytes."""

    def find(pool: Pool, kept: Path) -> Found:
        start = time.perf_counter()
        pairs = _same_bytes(pool)
        return Found(pairs, components(len(pool.rows), pairs), {"all": time.perf_counter() - start})

    return Finder("byte-copies", find)


def peers(python: Path, say: Callable[[str], None]) -> list[Finder]:
    """Those of the other tools that this Python can import."""
    listed = subprocess.run([python, PEERS], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = []
    for line in listed.splitlines():
        name, version = line.split("\t")
        if version:
            found.append(_peer(name, version, python))
        else:
            say(f"{name}: not installed for {python}, left out")
    return found


def _peer(name: str, version: str, python: Path) -> Finder:
    def find(pool: Pool, kept: Path) -> Found:
        # A pool does not change under its name, so the answer of this version is kept.
        file = kept / f"{name}-{version}.npz".replace(" ", "-")
        if not file.is_file():
            command = [python, PEERS, name, pool.folder.absolute(), file]
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{done.stderr}\n{name} failed in {pool.folder}")
        with np.load(file) as content:
            pairs, seconds = content["pairs"].astype(np.int64), float(content["seconds"])
        return Found(pairs, components(len(pool.rows), pairs), {"all": seconds})

    return Finder(f"{name} {version}", find)
