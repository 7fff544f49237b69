"""Augmentation of training batches on the device, with a separate random draw per image (kornia)."""

import numpy as np
import torch
from torch import Tensor, nn

from oncovec.core.recipes import Augmentation

BLUR_SIGMA = (0.3, 2.0)
"""Range of the blur's standard deviation in px; one value is drawn per image."""

BLUR_KERNEL = (9, 9)
"""Side in px of the blur's kernel: two standard deviations on each side of the centre."""

DAYLIGHT = range(13)
"""Row numbers in kornia's table of CIE daylight: 4,000 to 10,000 K in steps of 500."""

SHOWN, DRAWS = 8, 7
"""Number of images, and of draws per image, in the preview of an augmentation."""

NOISY = 0.5
"""Probability that an image gets noise. With noise in every image, a network would learn to expect it."""


class Augment:
    """Apply the parameters of `augment:` to a batch.

    Rotation and shift uncover areas at the border. These are filled by reflection, so that black corners
    do not reveal which images were augmented.

    Args:
        params: the parameters of `augment:`; a parameter at 0 costs no time.
    """

    def __init__(self, params: Augmentation):
        self.steps = nn.Sequential(*_steps(params))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment images (B, 3, H, W) in 0..1; the output has the same shape and range.

        All draws depend on `generator` alone. kornia draws from torch's global generator. The call seeds
        that generator from `generator` and restores its state afterwards.
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
    """Augment some images several times, for a visual check.

    Args:
        pixels: uint8 (N, H, W, 3), may be memory-mapped.
        rows: positions to choose from; `SHOWN` of them, evenly spaced, are shown.
        params: the parameters of `augment:`.

    Returns:
        The originals, uint8 (H, W, 3), and `DRAWS` augmented versions of each. Without augmentation there
        are no augmented versions. The result is the same on every run.
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
    import kornia.augmentation as K  # the import takes 1 s; systems without augmentation skip it

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
        # Planckian jitter (Zini et al., ICLR 2023): the colours under another illuminant.
        steps.append(K.RandomPlanckianJitter("CIED", list(DAYLIGHT), p=params.illuminant))
    if params.blur:
        steps.append(K.RandomGaussianBlur(BLUR_KERNEL, BLUR_SIGMA, p=params.blur))
    if params.noise:
        steps.append(K.RandomGaussianNoise(std=params.noise, p=NOISY))
    if params.erasing:
        steps.append(K.RandomErasing(scale=(0.02, 0.2), p=params.erasing))
    return steps
