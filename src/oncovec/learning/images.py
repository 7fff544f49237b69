"""Batches of normalised images on the device, read from the prepared array.

Images are resized by torch's `interpolate`, which torchvision's `v2.functional.resize` calls, too. Importing
torchvision for it would add seconds to every system whose backbone is not from timm.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oncovec.learning.backbones import Preprocessing

RESIDENT_SHARE = 0.4
"""Largest share of a GPU's free memory that the uint8 images may take to be kept there."""


class Images:
    """Prepared images on the device, read by row number.

    If the whole array fits into the GPU's memory, it is kept there as uint8. Otherwise each batch is read
    from the memory-mapped file. Images are resized on the device, always in the same way, so that training
    and prediction see the same pixels.

    Args:
        array: uint8 (N, H, W, 3).
        device: device of the batches.
        size: side of the images of a batch in px.
        preprocessing: mean, std and interpolation of the backbone.
    """

    def __init__(self, array: np.ndarray, device: torch.device, size: int, preprocessing: Preprocessing):
        self.array = array
        self.device = device
        self.size = size
        self.interpolation = preprocessing.interpolation
        self.mean = torch.tensor(preprocessing.mean, device=device)[:, None, None]
        self.std = torch.tensor(preprocessing.std, device=device)[:, None, None]
        self.resident: Tensor | None = None
        if device.type == "cuda" and array.nbytes < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            # Copied, because torch warns about read-only arrays.
            self.resident = torch.from_numpy(np.array(array)).to(device)

    def __len__(self) -> int:
        return len(self.array)

    def take(self, rows: Sequence[int] | np.ndarray) -> Tensor:
        """Return the images of these rows as float (B, 3, size, size) in 0..1."""
        if self.resident is not None:
            batch = self.resident[torch.as_tensor(np.asarray(rows), device=self.device)]
        else:
            batch = torch.from_numpy(self.array[np.asarray(rows)]).to(self.device, non_blocking=True)
        pixels = batch.permute(0, 3, 1, 2).float().div_(255)
        if pixels.shape[-1] != self.size:
            size = (self.size, self.size)
            pixels = F.interpolate(pixels, size, mode=self.interpolation, antialias=True).clamp_(0, 1)
        return pixels

    def normalise(self, pixels: Tensor) -> Tensor:
        """Subtract the mean and divide by the std; the result is channels-last, fastest for convolutions."""
        return ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


def chunks(rows: Sequence[int] | np.ndarray, size: int) -> list[np.ndarray]:
    """Split row numbers into consecutive chunks of at most `size`."""
    rows = np.asarray(rows)
    return [rows[start : start + size] for start in range(0, len(rows), size)]
