"""What looks for near copies in a pool: Oncovec, other tools, and byte-copies alone as the least of it."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from copies_pool import Pool
from copies_scores import Found, components
from numpy.typing import NDArray

from oncovec.core import params
from oncovec.data.duplicates import copies, extract, features
from oncovec.data.tree import Folder

ROOT = Path(__file__).resolve().parents[1]
CODE = b"".join(Path(str(module.__file__)).read_bytes() for module in (extract, features))
"""What writes features, read when it was imported: somebody may edit it while this runs."""
PEERS = Path(__file__).with_name("copies_peers.py")


class Finder(NamedTuple):
    """A way to find near copies: its name, and a function from a pool and a folder for what may be kept."""

    name: str
    find: Callable[[Pool, Path], Found]


def oncovec() -> Finder:
    """Oncovec's own, as the stage `group` runs it with the settings of params.yaml; features are kept."""

    def find(pool: Pool, kept: Path) -> Found:
        settings, seconds = params.load(ROOT / "params.yaml"), {}
        folder, seconds["features"] = _features(pool, kept, settings.features)
        opened = features.open_features(folder, len(pool.rows))
        same = _same_bytes(pool)
        rows = np.setdiff1d(np.arange(len(opened)), same[:, 1])
        start = time.perf_counter()
        candidates = rows[copies.candidates(opened.vectors[rows], settings.group.neighbours)]
        seconds["search"], start = time.perf_counter() - start, time.perf_counter()
        looked = copies.look(opened, candidates)
        confirmed = [pair for pair in looked if copies.is_copy(pair, settings.group)]
        seconds["second look"], start = time.perf_counter() - start, time.perf_counter()
        confirmed += [copies.Pair(first, second, 1.0, 0, 1.0) for first, second in same.tolist()]
        clusters = np.array(copies.cluster(len(opened), confirmed), np.int64)
        seconds["joining"] = time.perf_counter() - start
        return Found(np.array([pair[:2] for pair in confirmed], np.int64).reshape(-1, 2), clusters, seconds)

    return Finder("oncovec", find)


def _features(pool: Pool, kept: Path, knobs: params.Features) -> tuple[Path, float]:
    """Write the features unless this code has written them; returns their folder, and the seconds it took."""
    made = hashlib.sha256(f"{knobs} ".encode() + CODE).hexdigest()
    folder = kept / f"features-{made[:12]}"
    done = folder / "seconds"
    if not done.is_file():
        folder.mkdir(exist_ok=True)
        start = time.perf_counter()
        hashes = dict(zip((row.file for row in pool.rows), _hashes(pool), strict=True))
        device = torch.device("cpu")
        extract.write(Folder(pool.folder), hashes, folder, knobs.size, knobs.keypoints, device)
        done.write_text(f"{time.perf_counter() - start}\n")
    return folder, float(done.read_text())


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
