"""A page of the most important charts of a system; the page contains no dataset images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from oncovec.core import palette
from oncovec.core.palette import Look
from oncovec.core.sheets import DPI, legible, styled

WIDTH, HEIGHT = 1400, 860
"""Size of the page, in px."""

PANELS = {
    "metrics": (95, 125, 235, 260),
    "confusion": (457, 125, 265, 260),
    "roc": (790, 125, 250, 260),
    "precision_recall": (1120, 125, 250, 260),
    "history": (95, 505, 235, 275),
    "reliability": (457, 505, 265, 275),
    "embedding": (760, 505, 430, 310),
}
"""Left, top, width and height of each panel, in px; an automatic layout takes a second."""

LEGEND = (1200, 500)
"""Left and top of the legend of classes and splits, in px."""

UNIT = (0, 0.5, 1)
MODELS = {
    "knn": (palette.COLOURS[0], "o"),
    "head": (palette.COLOURS[1], "s"),
    "thumbnail": ("#4d4d4d", "^"),
    "histogram": ("#858585", "v"),
    "majority": ("#bdbdbd", "D"),
}
"""Colours and markers of the system's models and of the baselines."""

SPELLED = {"balanced_accuracy": "balanced\naccuracy", "auroc": "AUROC", "tsne": "t-SNE", "pca": "PCA"}
CELLS_WITH_NUMBERS = 12
"""Largest number of classes at which the cells of the confusion matrix show their numbers."""

CELLS_WITH_SHARES = 4
"""Largest number of classes at which the cells also show the share in words."""

LARGE_NAMES, NAMES = 14, 28
"""Largest numbers of classes that the legend names in the usual size, and at all."""

NUMBERS = (
    *("value", "low", "high", "images", "share", "fpr", "tpr", "recall", "precision", "prevalence"),
    *("confidence", "accuracy", "x", "y", "epoch"),
    *("train_loss", "val_loss", "train_accuracy", "val_accuracy"),
)
"""Columns of the tables that contain numbers."""

NAMED = 16
"""Largest number of characters of a class name."""

SPLITS = {
    "train": {"s": 11, "alpha": 0.5, "lw": 0},
    "val": {"s": 30, "alpha": 1.0, "lw": 1.2},
    "test": {"s": 44, "alpha": 1.0, "lw": 0.6},
}
"""Looks of the splits in the scatter plot, in the order in which they are drawn; see `_marks`."""


def draw(title: str, notes: Sequence[str], tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw metrics, confusion, ROC, precision-recall, history, reliability and embedding of one system.

    Args:
        title: the system's name.
        notes: at most two further lines of text.
        tables: the system's table of text for each kind of plot; see `overlay.read`.

    Returns:
        A figure of `WIDTH` x `HEIGHT` px.
    """
    tables = {kind: _numeric(table) for kind, table in tables.items()}
    with styled():
        figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
        figure.text(0.03, 0.967, title, fontsize=15, fontweight="bold", va="center")
        figure.text(0.03, 0.945, "\n".join(notes), color="#555555", va="top", linespacing=1.4)
        classes = list(tables["confusion"]["actual"].unique())
        looks = palette.of_classes(classes)
        _metrics(_panel(figure, "metrics", "Metrics, with 95 % intervals by group"), tables["metrics"])
        _confusion(
            _panel(figure, "confusion", "Confusion (KNN), colour: share of row"), tables["confusion"], classes
        )
        _roc(figure, tables["roc"], looks)
        _precision_recall(figure, tables["precision_recall"], looks)
        _history(figure, tables["history"])
        _reliability(_panel(figure, "reliability", "Reliability"), tables["reliability"])
        _embedding(figure, tables["embedding"], looks)
    return figure


def _numeric(table: pd.DataFrame) -> pd.DataFrame:
    """Convert the columns of numbers from text to numbers; an empty cell becomes NaN."""
    return table.assign(**{name: pd.to_numeric(table[name]) for name in NUMBERS if name in table})


def _panel(figure: Figure, kind: str, title: str, part: int = 0, parts: int = 1) -> Axes:
    """Make the axes of a panel, or of one of its parts from above."""
    left, top, width, height = PANELS[kind]
    height = (height - 26 * (parts - 1)) // parts
    top += part * (height + 26)
    box = left / WIDTH, 1 - (top + height) / HEIGHT, width / WIDTH, height / HEIGHT
    axes = figure.add_axes(box)
    axes.set_title(title, y=1.0)  # Without y, matplotlib searches for a position.
    return axes


def _short(name: str) -> str:
    name = legible(name)
    return name if len(name) <= NAMED else name[: NAMED - 1] + "…"


def _metrics(axes: Axes, table: pd.DataFrame) -> None:
    """Draw each metric as a bar with its interval, one bar per model."""
    names = list(table["metric"].unique())
    models = [model for model in MODELS if model in set(table["model"])]
    thick = 0.8 / max(len(models), 1)
    for number, model in enumerate(models):
        own, (colour, marker) = table[table["model"] == model], MODELS[model]
        offset = (number - (len(models) - 1) / 2) * thick
        y = [names.index(name) + offset for name in own["metric"]]
        axes.barh(y, own["value"], 0.85 * thick, color=colour, alpha=0.3)
        axes.hlines(y, own["low"], own["high"], color=colour, lw=1.6)
        axes.plot(own["value"], y, marker, color=colour, ms=4.5, label=model, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xticks=UNIT)
    axes.set_yticks(range(len(names)), [SPELLED.get(name, name) for name in names])
    axes.grid(False, axis="y")
    axes.legend(loc="upper center", bbox_to_anchor=(0.42, -0.08), ncols=3, handlelength=0.6, columnspacing=1)


def _confusion(axes: Axes, table: pd.DataFrame, classes: Sequence[str]) -> None:
    """Draw the shares of each actual class as colours and the counts of images as numbers."""
    count = len(classes)
    shares, images = (table[name].to_numpy().reshape(count, count) for name in ("share", "images"))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if count <= CELLS_WITH_NUMBERS:
        for i, j in np.argwhere(images).tolist():
            text = f"{images[i, j]}" + (f"\n{shares[i, j]:.0%}" if count <= CELLS_WITH_SHARES else "")
            colour = "white" if shares[i, j] > 0.55 else "#333333"
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
    names, many = [_short(name) for name in classes], count > 3
    axes.set_xticks(range(count), names, rotation=40 if many else 0, ha="right" if many else "center")
    axes.set_yticks(range(count), names)
    axes.tick_params(labelsize=8 if count <= 10 else 5, length=0)
    if not many:
        axes.set(xlabel="predicted", ylabel="actual")
    axes.grid(False)


def _roc(figure: Figure, table: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Draw ROC curves: of KNN and head for the positive class, or of KNN for every class against the rest."""
    classes = table["class"].unique()
    binary = len(classes) == 1
    title = f"ROC of {_short(classes[0])}" if binary else "ROC (KNN), each class against the rest"
    axes = _panel(figure, "roc", title)
    _square(axes, "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], ":", color="#bbbbbb", lw=1)
    for curve, drawn in _curves(table, looks):
        axes.plot(curve["fpr"], curve["tpr"], lw=1.6, **drawn)
    if binary:
        axes.legend(loc="lower right")


def _precision_recall(figure: Figure, table: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Draw the curves of `_roc` as precision against recall, each with the line of a random ranking."""
    axes = _panel(figure, "precision_recall", "Precision-recall (dotted: chance)")
    _square(axes, "recall", "precision")
    for curve, drawn in _curves(table, looks):
        axes.axhline(curve["prevalence"].iloc[0], ls=":", lw=1, color=drawn["color"], alpha=0.6)
        axes.plot(curve["recall"], curve["precision"], lw=1.6, drawstyle="steps-post", **drawn)


def _curves(table: pd.DataFrame, looks: Mapping[str, Look]) -> list[tuple[pd.DataFrame, dict[str, Any]]]:
    """Return the curves to draw, each with its colour and dashes; see `_roc`."""
    binary = table["class"].nunique() == 1
    shown = table if binary else table[table["model"] == "knn"]
    curves = []
    for (model, name), curve in shown.groupby(["model", "class"], sort=False):
        look = (
            {"color": MODELS[model][0]} if binary else {"color": looks[name].colour, "ls": looks[name].dashes}
        )
        curves.append((curve, look | {"label": model}))
    return curves


def _square(axes: Axes, x: str, y: str) -> None:
    """Set up axes for two shares."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=UNIT, yticks=UNIT, xlabel=x, ylabel=y)


def _history(figure: Figure, table: pd.DataFrame) -> None:
    """Draw loss in the upper part and accuracy in the lower part; dashed lines are of training images."""
    for part, name in enumerate(("loss", "accuracy")):
        axes = _panel(figure, "history", "" if part else "Training", part, 2)
        for split, style, colour in (("train", "--", palette.GREY), ("val", "-", palette.COLOURS[0])):
            values = table[f"{split}_{name}"]
            axes.plot(table["epoch"], values, style, color=colour, marker="o", ms=3, lw=1.6, label=split)
        axes.set_ylabel(name)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.tick_params(labelbottom=bool(part))
    axes.set_xlabel("epoch")
    axes.legend(loc="upper right", bbox_to_anchor=(1.03, -0.28), ncols=2)


def _reliability(axes: Axes, table: pd.DataFrame) -> None:
    """Draw the accuracy of each bin of confidence; larger points have more images."""
    _square(axes, "confidence", "accuracy")
    axes.plot([0, 1], [0, 1], ":", color="#bbbbbb", lw=1)
    most = table["images"].max() if len(table) else 1
    for series, bins in table.groupby("series", sort=False):
        (colour, marker), style = MODELS[series.split()[0]], "-" if "calibrated" in series else ":"
        axes.plot(bins["confidence"], bins["accuracy"], style, color=colour, lw=1.4, label=series)
        sizes = 8 + 60 * bins["images"] / most
        axes.scatter(bins["confidence"], bins["accuracy"], sizes, color=colour, marker=marker, lw=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=4, handlelength=1.2, columnspacing=1)


def _embedding(figure: Figure, table: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Draw the embedding in the plane, by t-SNE if available, else by PCA."""
    method = "tsne" if "tsne" in set(table["method"]) else "pca"
    axes = _panel(figure, "embedding", f"Embedding by {SPELLED[method]}")
    shown = table[table["method"] == method]
    shown = shown.assign(
        colour=[looks[label].colour for label in shown["label"]],
        marker=[looks[label].marker for label in shown["label"]],
    )
    splits = [split for split in SPLITS if split in set(shown["split"])]
    for split in splits:
        for marker, points in shown[shown["split"] == split].groupby("marker", sort=False):
            axes.scatter(points["x"], points["y"], marker=marker, **_marks(split, list(points["colour"])))
    axes.set(xticks=[], yticks=[])
    _legend(figure, looks, splits)


def _marks(split: str, colours: Sequence[str]) -> dict[str, Any]:
    """Return how points are drawn: small for train, hollow for val, filled and with a border for test."""
    faces = "none" if split == "val" else colours
    return SPLITS[split] | {"facecolors": faces, "edgecolors": "white" if split == "test" else colours}


def _legend(figure: Figure, looks: Mapping[str, Look], splits: Sequence[str]) -> None:
    """Name the splits, and the classes of the curves and of the scatter plot."""
    top = 1 - LEGEND[1] / HEIGHT
    axes = figure.add_axes((LEGEND[0] / WIDTH, top - 0.07, 0.14, 0.07))
    axes.set_axis_off()
    points = [axes.scatter([], [], marker="o", **_marks(split, [palette.GREY])) for split in splits]
    axes.legend(points, splits, loc="upper left", ncols=len(splits), handletextpad=0, columnspacing=0.8)
    if len(looks) > NAMES:
        return
    lines = [
        Line2D([], [], color=look.colour, marker=look.marker, ls=look.dashes, ms=5, lw=1.4)
        for look in looks.values()
    ]
    size, gap = (8, 0.5) if len(looks) <= LARGE_NAMES else (6, 0.25)
    figure.legend(
        lines,
        [_short(name) for name in looks],
        loc="upper left",
        bbox_to_anchor=(LEGEND[0] / WIDTH, top - 0.035),
        fontsize=size,
        labelspacing=gap,
        handlelength=3.2,
    )
