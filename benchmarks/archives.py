"""Reading members of an archive against extracting it first: time, memory and disk, in one run.

    python benchmarks/archives.py [IMAGES]

IMAGES (20,000 by default) small TIFFs are zipped. Both ways check the archive and write the index of what
is in it, by turns, three times either way; the ratio is that of the medians. Nothing else should be running.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

SIZE, TURNS = 96, 3


def make(path: Path, images: int) -> None:
    """Write an archive of noise in two class folders."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    with ZipFile(path, "w") as archive:
        for number in range(images):
            content = BytesIO()
            pixels = generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(content, "TIFF")
            archive.writestr(f"{'ab'[number % 2]}/{number:06}.tif", content.getvalue())


def measure(way: str, path: Path) -> dict[str, float]:
    """Seconds of checking and of the index, and the largest resident memory of any process in MB."""
    from oncovec.data import index
    from oncovec.data import layouts as datasets
    from oncovec.data.download import archive, mounts
    from oncovec.data.tree import Folder

    start = time.perf_counter()
    archive.inspect(path)
    checked = time.perf_counter()
    if way == "members":
        tree = mounts.Archives("zip", (mounts.Mount(path),))
    else:
        with ZipFile(path) as opened:
            opened.extractall(path.parent / "extracted")
        tree = Folder(path.parent / "extracted")
    index.build(tree, datasets.read("folders", tree))
    done = time.perf_counter()
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"check": checked - start, "index": done - checked, "MB": peak / 1024}


def main() -> None:
    """Run both ways by turns and print what each took."""
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
        return
    images = int(sys.argv[1]) if sys.argv[1:] else 20_000
    runs: dict[str, list[dict[str, float]]] = {"members": [], "extracted": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.zip"
        make(path, images)
        for _ in range(TURNS):
            for way, results in runs.items():
                command = [sys.executable, __file__, way, str(path)]
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
                results.append(json.loads(done.stdout))
                shutil.rmtree(path.parent / "extracted", ignore_errors=True)
        size = path.stat().st_size / 1e6
    figures = {
        way: {key: median(result[key] for result in results) for key in results[0]}
        for way, results in runs.items()
    }
    for way, found in figures.items():
        disk = size if way == "members" else 2 * size
        print(
            f"{way}: check {found['check']:.1f} s, index {found['index']:.1f} s, {found['MB']:.0f} MB, ",
            end="",
        )
        print(f"{disk:,.0f} MB on disk in {1 if way == 'members' else images + 1:,} files")
    print(f"ratio of the index: {figures['members']['index'] / figures['extracted']['index']:.2f}")


if __name__ == "__main__":
    main()
