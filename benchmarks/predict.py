"""How near prediction comes to what decoding and the network can give together, for three kinds of file.

    python benchmarks/predict.py [SYSTEM] [--root CHECKOUT] [--images FOLDER] [--files N] [--rounds N]

SYSTEM is a trained row or an exported file. Files are drawn dermoscopy, or the images of a folder, resized to
their kind, with grain, so that they compress as photographs do. All rates are images/s on the cores of this
process:

- decode: the files alone become stored squares, in one thread per core;
- network: the stored squares alone are embedded, the better of one batch at a time on all cores and of
  several at once, each on its share;
- limit: 1 / (1 / decode + 1 / network), because both need the same cores;
- predict: `System.predict` on the files, to the last prediction. ratio: predict / limit.

They are measured in turn, `--rounds` times, and the best of each counts, since other programs may take the
cores meanwhile. `cpu` is a ratio that other programs change little: CPU seconds of decode and network alone,
of those of predict. The last line compares predictions of large JPEG files decoded at a reduced scale, as
preparation and prediction do, with predictions of all their pixels.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from oncovec.core.parallel import cpu_count  # noqa: E402
from oncovec.data.decode import Square, fit, from_memory  # noqa: E402
from oncovec.data.phantoms import dermoscopy  # noqa: E402
from oncovec.serving import inputs  # noqa: E402
from oncovec.serving.batches import claim_process  # noqa: E402
from oncovec.serving.predict import Prediction, System, load  # noqa: E402

KINDS = {"JPEG 768": (768, 768, ".jpg"), "JPEG 3000": (3000, 2000, ".jpg"), "PNG 512": (512, 512, ".png")}
"""Width and height in px, and suffix."""

DIFFERENT = 16
"""Number of different images per kind; more files are copies of them."""

GRAIN = 4
"""Standard deviation of the grain, of 255."""


class Measured(NamedTuple):
    """Images per second, and CPU seconds per image."""

    rate: float
    cpu: float


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("system", nargs="?", default="flagship_multi_organ")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--files", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    claim_process()
    torch.set_num_threads(cpu_count())
    system = load(options.system, options.root)
    side = system.facts["input_size"]
    print(f"{system.name}, {side} px, test-time augmentation {system.gallery.tta}, {cpu_count()} cores")
    columns = ("", "kB/file", "decode", "network", "limit", "predict", "ratio", "cpu")
    print(("{:<10}" + "{:>9}" * 7).format(*columns))
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            files = drawn(Path(folder), kind, options.images, options.files)
            told = line(files, measure(system, files, options.rounds))
            print(f"{kind:<10}" + "".join(f"{each:>9}" for each in told), flush=True)
        print(reduced(system, sorted(Path(folder, "JPEG 3000").iterdir())[:DIFFERENT]))
    print("load average {:.1f} {:.1f} {:.1f}".format(*os.getloadavg()))


def drawn(folder: Path, kind: str, images: Path | None, count: int) -> list[Path]:
    """Write files of one kind."""
    width, height, suffix = KINDS[kind]
    (folder / kind).mkdir()
    files = [folder / kind / f"{number:05}{suffix}" for number in range(count)]
    rng = np.random.default_rng(0)
    for path, picture in zip(files[:DIFFERENT], pictures(images), strict=False):
        pixels = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        grainy = pixels + GRAIN * rng.standard_normal(pixels.shape, np.float32)
        Image.fromarray(np.rint(grainy).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    for number, path in enumerate(files[DIFFERENT:]):
        shutil.copy(files[number % DIFFERENT], path)
    return files


def pictures(images: Path | None) -> Iterator[Image.Image]:
    """Yield `DIFFERENT` images: drawn ones, or those of a folder, taken at even distances."""
    if images is None:
        for number in range(DIFFERENT):
            rng = np.random.default_rng(number)
            pixels = dermoscopy.draw(rng, dermoscopy.patient(rng), bool(number % 2), 512, 512)
            yield Image.fromarray(pixels)
        return
    paths = sorted(path for path in images.rglob("*") if path.suffix in (".jpg", ".png"))
    for path in paths[:: max(1, len(paths) // DIFFERENT)][:DIFFERENT]:
        with Image.open(path) as image:
            yield image.convert("RGB")


def measure(system: System, files: Sequence[Path], rounds: int) -> dict[str, Measured]:
    """Measure decoding, the network and prediction in turn; return the best of each."""
    square = partial(inputs.square, **Square.of(system.facts)._asdict())
    squares = np.stack([pixels for pixels in map(square, files) if not isinstance(pixels, str)])

    steps: dict[str, Callable[[], object]] = {
        "decode": partial(decode, square, files),
        "one at a time": partial(system.embed_prepared, squares),
        "several at once": partial(system.embed, squares),
        "predict": partial(system.predict, files),
    }
    found = {name: Measured(0, float("inf")) for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            best = found[name]
            found[name] = Measured(max(best.rate, len(files) / wall), min(best.cpu, cpu / len(files)))
    return found


def decode(square: Callable[[Path], object], files: Sequence[Path]) -> None:
    """Decode files in one thread per core."""
    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(square, files))


def line(files: Sequence[Path], found: dict[str, Measured]) -> list[str]:
    """Return the cells of one kind of file."""
    size = sum(path.stat().st_size for path in files) / len(files) / 1000
    network = [found["one at a time"], found["several at once"]]
    rate, cpu = max(each.rate for each in network), min(each.cpu for each in network)
    limit = 1 / (1 / found["decode"].rate + 1 / rate)
    rates = [found["decode"].rate, rate, limit, found["predict"].rate]
    ratios = [found["predict"].rate / limit, (found["decode"].cpu + cpu) / found["predict"].cpu]
    return [f"{size:.0f}", *(f"{each:.1f}" for each in rates), *(f"{each:.2f}" for each in ratios)]


def reduced(system: System, files: Sequence[Path]) -> str:
    """Compare predictions of JPEG files decoded at a reduced scale with those of all their pixels."""
    stored = Square.of(system.facts)
    whole = [fit(from_memory(Image.open(path)), stored.size, stored.resize) for path in files]
    pairs = list(zip(system.predict(files), system.predict_prepared(np.stack(whole)), strict=True))
    same = sum(answer(one) == answer(other) for one, other in pairs)
    apart = np.abs(system.embed(files) - system.embed_prepared(np.stack(whole))).max()
    return (
        f"reduced scale: {same} of {len(files)} JPEG files have the class, set and OOD flag that they "
        f"have in full; embeddings differ by at most {apart:.4f}"
    )


def answer(prediction: Prediction) -> tuple[object, ...]:
    """Return what a user is told of an image."""
    return prediction.predicted, prediction.prediction_set, prediction.ood


if __name__ == "__main__":
    main()
