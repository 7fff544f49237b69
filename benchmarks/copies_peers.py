"""Other tools that look for near-duplicates, each as its users call it; run by the Python that has them.

    PYTHON benchmarks/copies_peers.py                        # names of the tools that are there
    PYTHON benchmarks/copies_peers.py TOOL FOLDER OUT.npz    # pairs: int32 (P, 2), by rank; seconds

Images are ranked by their paths below FOLDER. All thresholds are the tools' own defaults. Seconds are those
of the tool's work, without its import.
"""

import importlib
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from importlib import metadata
from itertools import combinations
from pathlib import Path

import numpy as np

Names = tuple[str, str]


def hashing(method: str) -> Callable[[Path], Iterable[Names]]:
    """64-bit hashes of imagededup, at most 10 bits apart."""

    def find(folder: Path) -> Iterable[Names]:
        import imagededup.methods

        finder = getattr(imagededup.methods, method)(verbose=False)
        found = finder.find_duplicates(image_dir=folder, max_distance_threshold=10, recursive=True)
        return ((one, other) for one, others in found.items() for other in others if one < other)

    return find


def network(folder: Path) -> Iterable[Names]:
    """The CNN of imagededup at a cosine of 0.9, with a backbone whose weights come in a package.

    Its own MobileNetV3 asks a hub for them. One pass an image, as it does with its own.
    """
    import timm
    import torch
    from imagededup.methods import CNN
    from imagededup.utils import CustomModel
    from timm.data import create_transform, resolve_model_data_config

    from oncovec.learning import weights

    model = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0).eval()
    weights.load(model, "tf_efficientnet_lite0", "imagenet")
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    torch.set_num_threads(2)
    finder = CNN(verbose=False, model_config=CustomModel("efficientnet_lite0", model, transform))
    # No worker processes: they would copy all vectors, and two cores are busy as it is.
    found = finder.find_duplicates(
        image_dir=folder, min_similarity_threshold=0.9, recursive=True, num_sim_workers=0
    )
    return ((one, other) for one, others in found.items() for other in others if one < other)


def cleanvision(folder: Path) -> Iterable[Names]:
    """Images of equal 64-bit perceptual hash, or of equal pixels."""
    from cleanvision import Imagelab

    # Named one by one, since a folder is searched for .tiff alone and not for .tif.
    files = [str(file.absolute()) for file in files_of(folder)]
    lab = Imagelab(filepaths=files)
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=2, verbose=False)
    for kind in ("exact_duplicates", "near_duplicates"):
        for group in lab.info[kind]["sets"]:
            names = [str(Path(file).relative_to(folder.absolute())) for file in group]
            yield from combinations(sorted(names), 2)


def data_doctor(folder: Path) -> Iterable[Names]:
    """Hashes in eight turns at most 3 bits apart, confirmed by the pixels of 64x64 thumbnails."""
    from data_doctor.scan import scan_directory

    found = scan_directory(folder)
    for group in found.exact_duplicate_groups:
        yield from combinations(sorted(group), 2)
    for pair in found.near_duplicate_pairs:
        yield pair["a"], pair["b"]


TOOLS: dict[str, tuple[str, str, Callable[[Path], Iterable[Names]]]] = {
    **{
        f"imagededup {name}": ("imagededup", "imagededup.methods", hashing(name))
        for name in ("PHash", "DHash", "WHash", "AHash")
    },
    "imagededup CNN": ("imagededup", "imagededup.methods", network),
    "cleanvision": ("cleanvision", "cleanvision", cleanvision),
    "vision-data-doctor": ("vision-data-doctor", "data_doctor", data_doctor),
}
"""The package that each comes from, its module, and how it is called."""


def files_of(folder: Path) -> list[Path]:
    """All files below a folder, sorted by their paths."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [folder / path for path in paths]


def main() -> None:
    """List the tools, or run one of them."""
    if len(sys.argv) == 1:
        for name, (package, _, _) in TOOLS.items():
            try:
                print(f"{name}\t{metadata.version(package)}")
            except metadata.PackageNotFoundError:
                print(f"{name}\t")
        return
    tool, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    warnings.simplefilter("ignore")
    rank = {file.relative_to(folder).as_posix(): number for number, file in enumerate(files_of(folder))}
    _, module, find = TOOLS[tool]
    importlib.import_module(module)
    start = time.perf_counter()
    names = list(find(folder))
    seconds = time.perf_counter() - start
    pairs = {tuple(sorted((rank[one], rank[other]))) for one, other in names}
    np.savez(out, pairs=np.array(sorted(pairs), np.int32).reshape(-1, 2), seconds=seconds)


if __name__ == "__main__":
    main()
