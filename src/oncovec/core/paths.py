"""Where everything lies, relative to the checkout: the one place that spells a path."""

from pathlib import Path

PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")
DATA_METRICS = Path("metrics/data")
GROUP_METRICS = Path("metrics/groups")
SPLIT_METRICS = Path("metrics/splits")
AUDIT_METRICS = Path("metrics/audit")
SYSTEM_METRICS = Path("metrics/systems")
SUMMARY = Path("metrics/summary.json")
SUMMARY_PLOT = Path("plots/summary.csv")
SYSTEMS = Path("data/systems.txt")
"""Names of the rows of systems, one a line, for the stage that needs no more of them."""


def code(stage: str) -> Path:
    """Fingerprint of the code that a stage runs."""
    return Path("data/code") / f"{stage}.txt"


def phantoms(dataset: str) -> Path:
    """Folder of drawn images, in the dataset's published layout."""
    return Path("data/phantom") / dataset


def below(root: str, dataset: str) -> Path:
    """Folder of a published dataset below `data.root`."""
    return Path(root) / dataset


def source(dataset: str) -> Path:
    """Fingerprint of a published dataset's folder below `data.root`."""
    return Path("data/source") / f"{dataset}.json"


def manifest(name: str) -> Path:
    """What a dataset's fetched files must be, written by `oncovec trust`; in Git."""
    return Path("manifests") / f"{name}.json"


def pin(name: str) -> Path:
    """The manifest as stages see it; empty where there is none."""
    return Path("data/pins") / f"{name}.json"


def index(dataset: str) -> Path:
    """Table of a dataset, one row an image."""
    return Path("data/index") / f"{dataset}.csv"


def unreadable(dataset: str) -> Path:
    """Table of the files that did not decode, with the reason."""
    return Path("data/index") / f"{dataset}.unreadable.csv"


def data_metrics(dataset: str) -> Path:
    """Counts of a dataset's images and defects."""
    return DATA_METRICS / f"{dataset}.json"


def features(dataset: str) -> Path:
    """Folder of a dataset's vectors, keypoints and small grey images, in the order of its index."""
    return Path("data/features") / dataset


def copies(dataset: str) -> Path:
    """Table of the pairs of images that were found to come from the same original."""
    return Path("data/copies") / f"{dataset}.csv"


def group_metrics(dataset: str) -> Path:
    """Counts of a dataset's near copies and groups."""
    return GROUP_METRICS / f"{dataset}.json"


def groups(dataset: str) -> Path:
    """Table of the images that must stay on one side of a split."""
    return Path("data/groups") / f"{dataset}.csv"


def split(task: str) -> Path:
    """Table of a task's images, labels, groups and sides."""
    return Path("data/splits") / f"{task}.csv"


def split_facts(task: str) -> Path:
    """What stands beside a split: the task's classes in order, the unseen ones, and the positive one."""
    return Path("data/splits") / f"{task}.json"


def split_metrics(task: str) -> Path:
    """Images and groups a side and class."""
    return SPLIT_METRICS / f"{task}.json"


def audit_metrics(task: str) -> Path:
    """What leaks through a task's split: copies, patients, lesions and slides on two sides."""
    return AUDIT_METRICS / f"{task}.json"


def prepared(dataset: str) -> Path:
    """Memory-mapped array of a dataset's images, in the order of its index."""
    return Path("data/prepared") / f"{dataset}.npy"


def prepared_facts(dataset: str) -> Path:
    """How the prepared array was made, and what travels beside it."""
    return Path("data/prepared") / f"{dataset}.json"


def model(system: str) -> Path:
    """A trained system's weights."""
    return Path("models") / f"{system}.safetensors"


def model_facts(system: str) -> Path:
    """A trained system's recipe: all that prediction needs besides the weights."""
    return Path("models") / f"{system}.json"


def gallery(system: str) -> Path:
    """A system's fitted gallery: embeddings, labels, k and operating point."""
    return Path("models") / f"{system}.knn.npz"


def embeddings(system: str) -> Path:
    """Embeddings of every image of every side."""
    return Path("data/embeddings") / f"{system}.npz"


def predictions(system: str) -> Path:
    """Predicted class and probabilities of every evaluated image."""
    return Path("data/predictions") / f"{system}.csv"


def system_metrics(system: str) -> Path:
    """Headline metrics of a system, on val and test."""
    return SYSTEM_METRICS / f"{system}.json"


def plot(kind: str, system: str) -> Path:
    """Plot data of one kind for one system."""
    return Path("plots") / kind / f"{system}.csv"


def picture(kind: str, name: str) -> Path:
    """A picture that shows dataset images; cached, never in Git."""
    return Path("plots") / kind / f"{name}.png"
