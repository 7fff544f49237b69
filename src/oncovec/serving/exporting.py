"""Export of a trained system: one file with all that prediction needs, and a model card."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from oncovec.core import paths, tables
from oncovec.core.exported import ABOUT, CARD, FORMAT, About, pack
from oncovec.core.files import replacing
from oncovec.core.parts import CheckoutParts
from oncovec.evaluation.external import PLOTS
from oncovec.evaluation.gallery import Gallery
from oncovec.evaluation.report import ALL, REPORT_COLUMNS
from oncovec.serving import card
from oncovec.serving.predict import System


def write(system: System, parts: CheckoutParts, file: Path, names: bool = False) -> int:
    """Write a system to an exported file; equal systems give equal bytes.

    Args:
        system: the system, as it was loaded from `parts`.
        parts: its files in a checkout.
        file: the file to write.
        names: whether the gallery keeps the paths of the training images. Otherwise each is named by its row
            in the gallery, `gallery-000012`; only who has the gallery of the checkout can look it up.

    Returns:
        Size of the file in bytes.

    Raises:
        OncovecError: if the system's results are missing, or the file cannot be written.
    """
    content = pack(_members(system, parts, names))
    with replacing(file) as part:
        part.write_bytes(content)
    return len(content)


def _members(system: System, parts: CheckoutParts, names: bool) -> dict[Path, bytes]:
    name, gallery = system.name, system.gallery if names else _unnamed(system.gallery)
    report, external = _report(parts), dict(_external(parts))
    intervals = _intervals(parts, system.facts["task"])
    own = {each: (content["source"], content["systems"][name]) for each, content in external.items()}
    measured = card.Measured(report, _strategy(parts, system.facts["dataset"]), own, intervals)
    text = card.write(system.facts, gallery, measured, names)
    replicates, seed = parts.bootstrap()
    about = About(format=FORMAT, system=name, oncovec=version("oncovec"), bootstrap=replicates, seed=seed)
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **gallery.arrays())
    return {
        ABOUT: _json(about.model_dump()),
        CARD: text.encode(),
        paths.model_facts(name): parts.read(paths.model_facts(name)),
        paths.weights(name): parts.read(paths.weights(name)),
        paths.gallery(name): stream.getvalue(),
        paths.report(name): f"{tables.as_csv(report)}\n".encode(),
        **{paths.external_metrics(each): _json(content) for each, content in external.items()},
    }


def _unnamed(gallery: Gallery) -> Gallery:
    rows = range(len(gallery.labels))
    return replace(gallery, images=np.array([f"gallery-{row:06d}" for row in rows], np.str_))


def _report(parts: CheckoutParts) -> pd.DataFrame:
    """Return the report over all images; subsets are left out, since they may name hospitals."""
    path = paths.report(parts.name)
    table = tables.parse(io.StringIO(parts.read(path).decode()), parts.where(path), REPORT_COLUMNS)
    return table[table["subset"] == ALL]


def _strategy(parts: CheckoutParts, dataset: str) -> str:
    """Return how the split was drawn; '' if its metrics are not in the checkout, as if it was copied."""
    path = paths.split_metrics(dataset)
    return str(json.loads(parts.read(path))["strategy"]) if path in parts.below(path.parent) else ""


def _external(parts: CheckoutParts) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each external test set that the system was measured on, with the metrics of this system alone."""
    for path in parts.below(paths.EXTERNAL_METRICS):
        content = json.loads(parts.read(path))
        own = content["systems"].get(parts.name)
        if own and own["n"]:
            yield path.stem, {"source": content["source"], "systems": {parts.name: own}}


def _intervals(parts: CheckoutParts, task: str) -> pd.DataFrame:
    """Return the system's rows of the plot of external test sets; none if it is not there."""
    path = parts.root / paths.plot("external", task)
    columns = ("system", *PLOTS["external"])
    table = tables.read(path, columns) if path.is_file() else tables.of(columns, ())
    return table[table["system"] == parts.name]


def _json(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode()
