"""Where everything lies, relative to the checkout: the one place that spells a path."""

from pathlib import Path

PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")
CHECKED = Path("data/checked.txt")
"""Written by `check` when params.yaml is sound; its content never changes."""
SYSTEMS = Path("data/systems.csv")
"""Table of the rows of `systems:`: system, task, dataset."""
RAW = Path("data/raw")
ARCHIVES = Path("data/archives")
"""What was fetched, as it came; no output, so that an interrupted download resumes."""
MODELS = Path("models")
RESULTS = Path("data/results")
PLOTS = Path("plots")
SYSTEM_METRICS = Path("metrics/systems")
SUMMARY = Path("metrics/summary.json")


def manifest(name: str) -> Path:
    """What the fetched files of a row of `downloads:` must be, written by `oncovec trust`; in Git."""
    return Path("manifests") / f"{name}.json"


def raw(dataset: str) -> Path:
    """Folder of fetched or drawn files, in the published layout."""
    return RAW / dataset


def prepared(dataset: str) -> Path:
    """Folder of what one decode of every image gives: index, array, small copies, facts."""
    return Path("data/prepared") / dataset


def index(dataset: str) -> Path:
    """Table of a dataset, one row per image."""
    return prepared(dataset) / "index.csv"


def unreadable(dataset: str) -> Path:
    """Table of the files that did not decode, with the reason."""
    return prepared(dataset) / "unreadable.csv"


def images(dataset: str) -> Path:
    """Memory-mapped array of a dataset's images, in the order of its index."""
    return prepared(dataset) / "images.npy"


def copies(dataset: str) -> Path:
    """Memory-mapped array of small grey copies by which near-duplicates are found, in the same order."""
    return prepared(dataset) / "copies.npy"


def prepared_facts(dataset: str) -> Path:
    """How the prepared array was made, and what travels beside it."""
    return prepared(dataset) / "facts.json"


def data_metrics(dataset: str) -> Path:
    """Counts of a dataset's images and defects."""
    return Path("metrics/data") / f"{dataset}.json"


def groups(dataset: str) -> Path:
    """Folder of the tables of groups and of near-duplicate pairs."""
    return Path("data/groups") / dataset


def group_table(dataset: str) -> Path:
    """Table of the images that must stay in one split."""
    return groups(dataset) / "groups.csv"


def pair_table(dataset: str) -> Path:
    """Table of the pairs of images that were found to come from the same original."""
    return groups(dataset) / "pairs.csv"


def group_metrics(dataset: str) -> Path:
    """Counts of a dataset's near-duplicates and groups."""
    return Path("metrics/groups") / f"{dataset}.json"


def split(dataset: str) -> Path:
    """Table of a dataset's images, groups and splits."""
    return Path("data/splits") / dataset / "splits.csv"


def split_metrics(dataset: str) -> Path:
    """Images and groups per split and class, and what leaks."""
    return Path("metrics/splits") / f"{dataset}.json"


def model(system: str) -> Path:
    """Folder of a trained system: weights, facts, history."""
    return MODELS / system


def weights(system: str) -> Path:
    """A trained system's weights."""
    return model(system) / "weights.safetensors"


def model_facts(system: str) -> Path:
    """A trained system's recipe: all that prediction needs besides the weights."""
    return model(system) / "facts.json"


def history(system: str) -> Path:
    """Losses and validation metrics per epoch."""
    return model(system) / "history.csv"


def embeddings(system: str) -> Path:
    """Embeddings of every image of every split."""
    return Path("data/embeddings") / f"{system}.npz"


def results(system: str) -> Path:
    """Folder of a system's gallery, predictions, report and the tables behind its plots."""
    return RESULTS / system


def gallery(system: str) -> Path:
    """A system's fitted gallery: embeddings, labels, k and operating point."""
    return results(system) / "gallery.npz"


def predictions(system: str) -> Path:
    """Predicted class and probabilities of every evaluated image."""
    return results(system) / "predictions.csv"


def report(system: str) -> Path:
    """Every metric of a system with its interval."""
    return results(system) / "report.csv"


def table(system: str, kind: str) -> Path:
    """What a system adds to the plots of one kind."""
    return results(system) / f"{kind}.csv"


def system_metrics(system: str) -> Path:
    """Headline metrics of a system, on val and test."""
    return SYSTEM_METRICS / f"{system}.json"


def plot(kind: str, task: str) -> Path:
    """Plot data of one kind for all systems of a task."""
    return PLOTS / kind / f"{task}.csv"


def overview(system: str) -> Path:
    """One page of charts about a system."""
    return PLOTS / "overview" / f"{system}.png"


def picture(kind: str, name: str) -> Path:
    """A picture that shows dataset images; cached, never in Git."""
    return PLOTS / "pictures" / kind / f"{name}.png"
