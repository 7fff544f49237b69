"""Paths of all inputs and outputs, relative to the checkout; no other module writes a path in full."""

from pathlib import Path

PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")
CHECKED = Path("data/checked.txt")
"""File that `check` writes when params.yaml is valid; its content never changes."""
SYSTEMS = Path("data/systems.csv")
"""Table of the rows of `systems:`, with columns system, task and dataset."""
EXTERNAL_SETS = Path("data/external/sets.csv")
"""Table of the rows of `external:`: the classes that each label of a set stands for."""
RAW = Path("data/raw")
ARCHIVES = Path("data/archives")
"""Fetched files, unchanged; not an output of a stage, so that an interrupted download can resume."""
MODELS = Path("models")
LIVE = Path("dvclive")
"""What training shows of each system while it runs."""
RESULTS = Path("data/results")
PLOTS = Path("plots")
SYSTEM_METRICS = Path("metrics/systems")
EXTERNAL_METRICS = Path("metrics/external")
SUMMARY = Path("metrics/summary.json")


def manifest(name: str) -> Path:
    """Manifest of the expected files of a row of `downloads:`, written by `oncovec trust`; it is in Git."""
    return Path("manifests") / f"{name}.json"


def raw(dataset: str) -> Path:
    """Folder of fetched files or phantoms, in the published layout."""
    return RAW / dataset


def prepared(dataset: str) -> Path:
    """Folder of the results of decoding every image once: index, array, small copies and facts."""
    return Path("data/prepared") / dataset


def index(dataset: str) -> Path:
    """Table of a dataset, one row per image."""
    return prepared(dataset) / "index.csv"


def unreadable(dataset: str) -> Path:
    """Table of the files that could not be decoded, with the reasons."""
    return prepared(dataset) / "unreadable.csv"


def images(dataset: str) -> Path:
    """Memory-mapped array of a dataset's images, in the order of its index."""
    return prepared(dataset) / "images.npy"


def copies(dataset: str) -> Path:
    """Memory-mapped array of small grey copies, in the same order; near-duplicates are searched in it."""
    return prepared(dataset) / "copies.npy"


def prepared_facts(dataset: str) -> Path:
    """Facts about the prepared array: how it was made, and further properties of the dataset."""
    return prepared(dataset) / "facts.json"


def data_metrics(dataset: str) -> Path:
    """Counts of a dataset's images and defects."""
    return Path("metrics/data") / f"{dataset}.json"


def groups(dataset: str) -> Path:
    """Folder of the tables of groups and of near-duplicate pairs."""
    return Path("data/groups") / dataset


def group_table(dataset: str) -> Path:
    """Table of the group of each image; images of one group must stay in one split."""
    return groups(dataset) / "groups.csv"


def pair_table(dataset: str) -> Path:
    """Table of the pairs of near-duplicates: images that come from the same original."""
    return groups(dataset) / "pairs.csv"


def group_metrics(dataset: str) -> Path:
    """Counts of a dataset's near-duplicates and groups."""
    return Path("metrics/groups") / f"{dataset}.json"


def split(dataset: str) -> Path:
    """Table of a dataset's images, groups and splits."""
    return Path("data/splits") / dataset / "splits.csv"


def split_metrics(dataset: str) -> Path:
    """Counts of images and groups per split and class, and leaks between splits."""
    return Path("metrics/splits") / f"{dataset}.json"


def model(system: str) -> Path:
    """Folder of a trained system: weights, facts and history."""
    return MODELS / system


def weights(system: str) -> Path:
    """Weights of a trained system."""
    return model(system) / "weights.safetensors"


def model_facts(system: str) -> Path:
    """Recipe of a trained system: everything besides the weights that prediction needs."""
    return model(system) / "facts.json"


def history(system: str) -> Path:
    """Losses and validation metrics per epoch."""
    return model(system) / "history.csv"


def live(system: str) -> Path:
    """Folder that DVCLive writes: the last epoch's metrics, and the history as a plot."""
    return LIVE / system


def embeddings(system: str) -> Path:
    """Embeddings of every image of every split."""
    return Path("data/embeddings") / f"{system}.npz"


def results(system: str) -> Path:
    """Folder of a system's gallery, predictions, report and plot tables."""
    return RESULTS / system


def gallery(system: str) -> Path:
    """Fitted gallery of a system: embeddings, labels, k and operating point."""
    return results(system) / "gallery.npz"


def predictions(system: str) -> Path:
    """Predicted class and probabilities of every evaluated image."""
    return results(system) / "predictions.csv"


def queries(system: str) -> Path:
    """Predictions that pictures show: the most confident mistakes first, then right ones."""
    return results(system) / "queries.csv"


def report(system: str) -> Path:
    """Every metric of a system with its interval."""
    return results(system) / "report.csv"


def table(system: str, kind: str) -> Path:
    """Table of one kind of plot for one system."""
    return results(system) / f"{kind}.csv"


def system_metrics(system: str) -> Path:
    """Headline metrics of a system on val and test."""
    return SYSTEM_METRICS / f"{system}.json"


def external(name: str) -> Path:
    """Table of the predictions of every system for every image of an external test set."""
    return EXTERNAL_SETS.parent / f"{name}.csv"


def external_metrics(name: str) -> Path:
    """Metrics of every system on an external test set."""
    return EXTERNAL_METRICS / f"{name}.json"


def plot(kind: str, task: str) -> Path:
    """Plot data of one kind for all systems of a task."""
    return PLOTS / kind / f"{task}.csv"


def overview(system: str) -> Path:
    """One page of charts about a system."""
    return PLOTS / "overview" / f"{system}.png"


def picture(kind: str, name: str) -> Path:
    """A picture that shows images of a dataset; it is in DVC's cache, never in Git."""
    return PLOTS / "pictures" / kind / f"{name}.png"
