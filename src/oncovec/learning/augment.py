"""Augmentation of training batches, on the device, each image its own draw (kornia)."""

import numpy as np
import torch
from torch import Tensor, nn

from oncovec.core.knobs import Augmentation

BLUR_SIGMA = (0.3, 2.0)
"""Standard deviation in px of the blur, drawn anew for each image."""

BLUR_KERNEL = (9, 9)
"""Side in px of its kernel: two standard deviations to either side."""

DAYLIGHT = range(13)
"""Rows of kornia's table of CIE daylight: 4,000 to 10,000 K in steps of 500."""

SHOWN, DRAWS = 8, 7
"""Images, and draws of each, in the picture of an augmentation."""

NOISY = 0.5
"""Probability that an image gets noise: a network that saw nothing else would expect it."""


class Augment:
    """Apply the knobs of `augment:` to a batch.

    What a turned or shifted image uncovers is filled by reflection, so that no black corners tell
    an augmented image from others.

    Args:
        params: the knobs; those at 0 cost nothing.
    """

    def __init__(self, params: Augmentation):
        self.steps = nn.Sequential(*_steps(params))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment (B, 3, H, W) in 0..1 into the same shape and range.

        The draws come from `generator` alone: torch's global generator, from which kornia draws, is
        seeded from it for the time of the call and put back afterwards.
        """
        if not len(self.steps):
            return images
        seed = int(torch.randint(2**62, (1,), generator=generator))
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            torch.default_generator.manual_seed(seed)
            if images.is_cuda:
                torch.cuda.manual_seed(seed)
            changed: Tensor = self.steps(images)
            return changed.clamp(0, 1)


def preview(
    pixels: np.ndarray, rows: np.ndarray, params: Augmentation
) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Augment some images several times, to be looked at.

    Args:
        pixels: uint8 (N, H, W, 3), may be memory-mapped.
        rows: positions to choose from; `SHOWN` of them, evenly spread, are shown.
        params: the knobs.

    Returns:
        The originals, uint8 (H, W, 3), and `DRAWS` draws of each, none where there is no augmentation; the
        same ones on every run.
    """
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, SHOWN).round().astype(int))]
    originals = [np.array(pixels[row]) for row in chosen]
    augment = Augment(params)
    if not len(augment.steps):
        return originals, [[] for _ in originals]
    batch = torch.from_numpy(np.stack(originals)).permute(0, 3, 1, 2).float() / 255
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([augment(batch, generator) for _ in range(DRAWS)], dim=1)
    shown = (drawn * 255).round().byte().permute(0, 1, 3, 4, 2).numpy()
    return originals, [list(row) for row in shown]


def _steps(params: Augmentation) -> list[nn.Module]:
    if params == Augmentation():
        return []
    import kornia.augmentation as K  # takes a second, which systems without augmentation need not wait for

    steps: list[nn.Module] = []
    if params.flip_horizontal:
        steps.append(K.RandomHorizontalFlip(p=params.flip_horizontal))
    if params.flip_vertical:
        steps.append(K.RandomVerticalFlip(p=params.flip_vertical))
    if params.rotation or params.zoom or params.shift:
        steps.append(
            K.RandomAffine(
                degrees=params.rotation,
                translate=(params.shift, params.shift),
                scale=(1 - params.zoom, 1 + params.zoom),
                padding_mode="reflection",
                p=1.0,
            )
        )
    if params.brightness or params.contrast or params.saturation or params.hue:
        steps.append(K.ColorJitter(params.brightness, params.contrast, params.saturation, params.hue, p=1.0))
    if params.illuminant:
        # Planckian jitter (Zini et al., ICLR 2023): the colours that another light would have given.
        steps.append(K.RandomPlanckianJitter("CIED", list(DAYLIGHT), p=params.illuminant))
    if params.blur:
        steps.append(K.RandomGaussianBlur(BLUR_KERNEL, BLUR_SIGMA, p=params.blur))
    if params.noise:
        steps.append(K.RandomGaussianNoise(std=params.noise, p=NOISY))
    if params.erasing:
        steps.append(K.RandomErasing(scale=(0.02, 0.2), p=params.erasing))
    return steps
