"""Export of a trained system: one file with all that prediction needs, and a model card."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from oncovec.core import paths, tables
from oncovec.core.exported import ABOUT, CARD, FORMAT, About, pack
from oncovec.core.files import replacing, write_npz
from oncovec.core.parts import CheckoutParts
from oncovec.evaluation.gallery import Gallery
from oncovec.serving import card, measured
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
    found, external = measured.read(parts, system.facts), dict(measured.external(parts))
    text = card.write(system.facts, gallery, found, names)
    replicates, seed = parts.bootstrap()
    about = About(format=FORMAT, system=name, oncovec=version("oncovec"), bootstrap=replicates, seed=seed)
    stream = io.BytesIO()
    write_npz(stream, gallery.arrays())
    return {
        ABOUT: _json(about.model_dump()),
        CARD: text.encode(),
        paths.model_facts(name): parts.read(paths.model_facts(name)),
        paths.weights(name): parts.read(paths.weights(name)),
        paths.gallery(name): stream.getvalue(),
        paths.report(name): f"{tables.as_csv(found.report)}\n".encode(),
        **{paths.external_metrics(each): _json(content) for each, content in external.items()},
    }


def _unnamed(gallery: Gallery) -> Gallery:
    rows = range(len(gallery.labels))
    return replace(gallery, images=np.array([f"gallery-{row:06d}" for row in rows], np.str_))


def _json(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode()
