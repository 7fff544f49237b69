"""What keeping freed memory is worth: images/s of training with it over without it, in one run.

    python benchmarks/freed_memory.py

Each network trains on random images in a process of its own, by turns, three times either way; the
ratio is that of the medians. Nothing else should be running.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

NETWORKS = {"triplet_cnn": (32, 3), "siamese_cnn": (256, 3), "resnet34": (32, 5)}
"""Batch size and steps."""
SIZE, TURNS = 96, 3


def measure(keep: bool) -> dict[str, float]:
    """Images/s of a few training steps, after one that warms up."""
    import torch

    from oncovec.learning import backbones, systems

    if not keep:
        systems._keep_freed_memory = lambda: None
    systems.use_threads(2)
    found = {}
    for name, (batch, steps) in NETWORKS.items():
        network = backbones.build(name, SIZE)[0].to(memory_format=torch.channels_last)
        images = torch.rand(batch, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters())
        for step in range(steps + 1):
            if step == 1:
                start = time.perf_counter()
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()
        found[name] = steps * batch / (time.perf_counter() - start)
    return found


def main() -> None:
    """Run both ways by turns and print a line a network."""
    if sys.argv[1:]:
        print(json.dumps(measure(sys.argv[1] == "keep")))
        return
    runs: dict[str, list[dict[str, float]]] = {"keep": [], "give": []}
    for _ in range(TURNS):
        for way, results in runs.items():
            done = subprocess.run([sys.executable, __file__, way], stdout=subprocess.PIPE, check=True)
            results.append(json.loads(done.stdout))
    for name in NETWORKS:
        keep, give = (median(result[name] for result in runs[way]) for way in ("keep", "give"))
        print(f"{name}: {give:.0f} -> {keep:.0f} images/s, ratio {keep / give:.2f}")


if __name__ == "__main__":
    main()
