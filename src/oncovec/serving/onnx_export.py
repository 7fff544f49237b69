"""Export of a system's network to ONNX, checked in onnxruntime against the embeddings of the system."""

import copy
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import replacing
from oncovec.core.parts import CheckoutParts
from oncovec.learning import systems
from oncovec.learning.images import Images
from oncovec.learning.inference import TURNS, embed
from oncovec.learning.network import Network
from oncovec.serving.predict import System

TOLERANCE = 1e-4
"""Largest difference between any number of an embedding in ONNX and in the system."""

CHECKED = 16
"""Number of images that are compared."""

INPUT, OUTPUT = "images", "embeddings"
"""Names of the input, float32 (N, 3, S, S) in 0..1, and of the output, float32 (N, D) of length 1."""

CPU = torch.device("cpu")


class Embedder(nn.Module):
    """A network with the normalisation of its input, and test-time augmentation if the gallery has it."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, images: Images, tta: bool):
        super().__init__()
        self.network = network
        self.turns = TURNS if tta else TURNS[:1]
        self.register_buffer("mean", images.mean)
        self.register_buffer("std", images.std)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (N, 3, S, S) in 0..1."""
        pixels = (images - self.mean) / self.std
        views = [self.network(turn(pixels)).embedding for turn in self.turns]
        return views[0] if len(views) == 1 else F.normalize(torch.stack(views).mean(0), dim=1)


def write(system: System, file: Path) -> tuple[int, float]:
    """Write a system's network as ONNX: from pixels to embeddings; the gallery is not in it.

    Args:
        system: the system.
        file: the file to write.

    Returns:
        Size of the file in bytes, and the largest difference of any number of an embedding on the `CHECKED`
        images.

    Raises:
        OncovecError: if a package is missing, the network cannot be exported, or embeddings differ by more
            than `TOLERANCE`; nothing is written then.
    """
    size = system.facts["input_size"]
    network = systems.on_device(copy.deepcopy(system.network), CPU).eval()
    images = Images(_checked(system), CPU, size, systems.preprocessing_of(system.facts))
    rows = range(len(images))
    expected = embed(network, images, rows, len(rows), system.gallery.tta).vectors
    content = _converted(Embedder(network, images, system.gallery.tta).eval(), size, system)
    found = _run(content, images.take(rows).numpy(), system)
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise OncovecError(
            f"{file}: not written: its embeddings differ from those of {system.name} by {difference:.2g}, "
            f"more than {TOLERANCE:g}"
        )
    with replacing(file) as part:
        part.write_bytes(content)
    return len(content), difference


def _checked(system: System) -> NDArray[np.uint8]:
    """Return images to compare: some of the dataset's prepared ones if the checkout has them, or noise."""
    side, parts = system.facts["image_size"], system.parts
    if isinstance(parts, CheckoutParts):
        with suppress(OSError, ValueError):
            stored = np.load(parts.root / paths.images(system.facts["dataset"]), mmap_mode="r")
            if len(stored) and stored.shape[1:] == (side, side, 3):
                return np.array(stored[np.linspace(0, len(stored) - 1, CHECKED).astype(int)])
    return np.random.default_rng(0).integers(0, 256, (CHECKED, side, side, 3), dtype=np.uint8)


def _converted(embedder: Embedder, size: int, system: System) -> bytes:
    """Convert with torch's dynamo exporter; the number of images stays open."""
    try:
        program = torch.onnx.export(
            embedder,
            (torch.rand(2, 3, size, size),),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    except (ModuleNotFoundError, torch.onnx.OnnxExporterError) as error:
        raise _refused(system, error) from None
    assert program is not None  # only an exporter that writes a file returns None
    facts = system.facts
    told = {"system": system.name, "weights": facts["sha256"], "input": f"RGB, 0..1, {size} px"}
    program.model.metadata_props.update(told)
    return bytes(program.model_proto.SerializeToString())


def _run(content: bytes, pixels: NDArray[np.float32], system: System) -> NDArray[np.float32]:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise _refused(system, error) from None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: pixels})
    return np.asarray(found)


def _refused(system: System, error: Exception) -> OncovecError:
    if isinstance(error, ModuleNotFoundError):
        return OncovecError(f"ONNX needs the package {error.name}: pip install 'oncovec[onnx]'")
    reason = " ".join(str(error).split())[:200]
    return OncovecError(f"{system.name}: torch cannot export its network to ONNX ({reason})")
