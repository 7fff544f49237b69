"""A page of the most important charts of a system; the page contains no dataset images."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from oncovec.core.sheets import DPI, legible, styled

SIZE = (12.8, 8.0)
UNIT = (0, 0.5, 1)
COLOURS = {
    "knn": "#4c78a8",
    "head": "#f58518",
    "thumbnail": "#6f6f6f",
    "histogram": "#a3a3a3",
    "majority": "#cfcfcf",
}
"""Colours of the system's models and of the baselines."""

SPELLED = {"balanced_accuracy": "balanced\naccuracy", "auroc": "AUROC", "tsne": "t-SNE", "pca": "PCA"}
CELLS_WITH_NUMBERS = 12
"""Largest number of classes at which the cells of the confusion matrix show their numbers."""

NUMBERS = (
    *("value", "low", "high", "images", "share", "fpr", "tpr", "confidence", "accuracy", "x", "y", "epoch"),
    *("train_loss", "val_loss", "train_accuracy", "val_accuracy"),
)
"""Columns of the tables that contain numbers."""

NAMED = 14
"""Largest number of characters of a class name."""


def draw(title: str, notes: Sequence[str], tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw metrics, confusion, ROC, history, reliability and embedding of one system.

    Args:
        title: the system's name.
        notes: at most two further lines of text.
        tables: the system's table of text for each kind of plot; see `overlay.read`.

    Returns:
        A figure of 1280 x 800 px.
    """
    tables = {kind: _numeric(table) for kind, table in tables.items()}
    with styled():
        figure = Figure(figsize=SIZE, dpi=DPI)
        figure.text(0.035, 0.965, title, fontsize=15, fontweight="bold", va="center")
        figure.text(0.035, 0.943, "\n".join(notes), color="#555555", va="top", linespacing=1.4)
        classes = list(tables["confusion"]["actual"].unique())
        colours = dict(zip(classes, _palette(len(classes)), strict=True))
        _metrics(_panel(figure, 0, 0, "Metrics, with 95 % intervals by group"), tables["metrics"])
        _confusion(_panel(figure, 1, 0, "Confusion matrix (KNN)"), tables["confusion"], classes)
        _roc(figure, tables["roc"], colours)
        _history(figure, tables["history"])
        _reliability(_panel(figure, 1, 1, "Reliability"), tables["reliability"])
        _embedding(figure, tables["embedding"], colours)
    return figure


def _numeric(table: pd.DataFrame) -> pd.DataFrame:
    """Convert the columns of numbers from text to numbers; an empty cell becomes NaN."""
    return table.assign(**{name: pd.to_numeric(table[name]) for name in NUMBERS if name in table})


def _panel(figure: Figure, column: int, row: int, title: str, part: int = 0, parts: int = 1) -> Axes:
    """Make the axes of one of six panels, or of a part of it.

    The positions are fixed, since an automatic layout takes a second.
    """
    left, bottom, width, height = 0.085 + 0.325 * column, 0.54 - 0.455 * row, 0.235, 0.31
    height = (height - 0.03 * (parts - 1)) / parts
    axes = figure.add_axes((left, bottom + (parts - 1 - part) * (height + 0.03), width, height))
    axes.set_title(title, y=1.0)  # Without y, matplotlib searches for a position.
    return axes


def _palette(count: int) -> list[Any]:
    name, size = ("tab10", 10) if count <= 10 else ("tab20", 20)
    colours = matplotlib.colormaps[name].colors  # type: ignore[attr-defined]
    return [colours[number % size] for number in range(count)]


def _short(name: str) -> str:
    name = legible(name)
    return name if len(name) <= NAMED else name[: NAMED - 1] + "…"


def _metrics(axes: Axes, table: pd.DataFrame) -> None:
    """Draw each metric with its interval, one line per model."""
    names = list(table["metric"].unique())
    models = [model for model in COLOURS if model in set(table["model"])]
    for number, model in enumerate(models):
        own = table[table["model"] == model]
        offset = (number - (len(models) - 1) / 2) * 0.8 / len(models)
        y = [names.index(name) + offset for name in own["metric"]]
        axes.hlines(y, own["low"], own["high"], color=COLOURS[model], lw=2)
        axes.plot(own["value"], y, "o", color=COLOURS[model], ms=5, label=model)
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xticks=UNIT)
    axes.set_yticks(range(len(names)), [SPELLED.get(name, name) for name in names])
    axes.grid(False, axis="y")
    axes.legend(loc="upper center", bbox_to_anchor=(0.42, -0.08), ncols=5, handlelength=0.6, columnspacing=1)


def _confusion(axes: Axes, table: pd.DataFrame, classes: Sequence[str]) -> None:
    """Draw the shares of each actual class as colours and the counts of images as numbers."""
    count = len(classes)
    shares, images = (table[name].to_numpy().reshape(count, count) for name in ("share", "images"))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if count <= CELLS_WITH_NUMBERS:
        for i, j in np.argwhere(images).tolist():
            colour = "white" if shares[i, j] > 0.55 else "#333333"
            axes.text(j, i, str(images[i, j]), ha="center", va="center", fontsize=8, color=colour)
    names, many = [_short(name) for name in classes], count > 3
    axes.set_xticks(range(count), names, rotation=40 if many else 0, ha="right" if many else "center")
    axes.set_yticks(range(count), names)
    axes.tick_params(labelsize=8 if count <= 10 else 5, length=0)
    if not many:
        axes.set(xlabel="predicted", ylabel="actual")
    axes.grid(False)


def _roc(figure: Figure, table: pd.DataFrame, colours: Mapping[str, Any]) -> None:
    """Draw ROC curves: of KNN and head for the positive class, or of KNN for every class against the rest."""
    classes = table["class"].unique()
    binary = len(classes) == 1
    title = f"ROC of {_short(classes[0])}" if binary else "ROC (KNN), each class against the rest"
    axes = _panel(figure, 2, 0, title)
    _square(axes, "false positive rate", "true positive rate")
    shown = table if binary else table[table["model"] == "knn"]
    for (model, name), curve in shown.groupby(["model", "class"], sort=False):
        colour = COLOURS[model] if binary else colours[name]
        axes.plot(curve["fpr"], curve["tpr"], color=colour, lw=1.6, label=model)
    if binary:
        axes.legend(loc="lower right")


def _square(axes: Axes, x: str, y: str) -> None:
    """Set up axes for two shares, with the line of equal values."""
    axes.plot([0, 1], [0, 1], ":", color="#bbbbbb", lw=1)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=UNIT, yticks=UNIT, xlabel=x, ylabel=y)


def _history(figure: Figure, table: pd.DataFrame) -> None:
    """Draw loss in the upper part and accuracy in the lower part; dashed lines are of training images."""
    for part, name in enumerate(("loss", "accuracy")):
        axes = _panel(figure, 0, 1, "" if part else "Training", part, 2)
        for split, style, colour in (("train", "--", "#9a9a9a"), ("val", "-", COLOURS["knn"])):
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
    most = table["images"].max() if len(table) else 1
    for series, bins in table.groupby("series", sort=False):
        colour, style = COLOURS[series.split()[0]], "-" if "calibrated" in series else ":"
        axes.plot(bins["confidence"], bins["accuracy"], style, color=colour, lw=1.4, label=series)
        sizes = 8 + 60 * bins["images"] / most
        axes.scatter(bins["confidence"], bins["accuracy"], sizes, color=colour, lw=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=4, handlelength=1.2, columnspacing=1)


def _embedding(figure: Figure, table: pd.DataFrame, colours: Mapping[str, Any]) -> None:
    """Draw the embedding in the plane, by t-SNE if available, else by PCA; train images are pale."""
    method = "tsne" if "tsne" in set(table["method"]) else "pca"
    axes = _panel(figure, 2, 1, f"Embedding by {SPELLED[method]} (pale: train)")
    # Train images first, so that the other images are drawn above them.
    shown = table[table["method"] == method].sort_values(
        "split", key=lambda split: split != "train", kind="stable"
    )
    trained = shown["split"] == "train"
    tones = [
        (*colours[label], 0.25 if pale else 0.9) for label, pale in zip(shown["label"], trained, strict=True)
    ]
    axes.scatter(shown["x"], shown["y"], 14, color=tones, lw=0)
    axes.set(xticks=[], yticks=[])
    if len(colours) <= CELLS_WITH_NUMBERS:
        points = [Line2D([], [], ls="", marker="o", ms=4, color=colour) for colour in colours.values()]
        names = [_short(name) for name in colours]
        axes.legend(
            points,
            names,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=3,
            fontsize=7,
            labelspacing=0.2,
            handletextpad=0,
            columnspacing=0.6,
        )
