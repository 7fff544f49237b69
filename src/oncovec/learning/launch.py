"""More than one training process: start this stage again under torchrun, once a process."""

import os
import subprocess
import sys

from oncovec.core.errors import OncovecError


def relaunch(module: str, name: str, processes: int) -> bool:
    """Run `python -m module name` in several processes, unless this is one of them already.

    Returns:
        True when the processes have run and there is nothing left to do here.

    Raises:
        OncovecError: when one of them failed.
    """
    if processes == 1 or "LOCAL_RANK" in os.environ:
        return False
    import torch

    if torch.cuda.is_available() and processes > torch.cuda.device_count():
        raise OncovecError(f"train.processes = {processes}: there are {torch.cuda.device_count()} GPUs here")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run([*command, f"--nproc-per-node={processes}", "-m", module, name], check=False)
    if done.returncode:
        raise OncovecError(f"one of {processes} training processes failed; its own words stand above")
    return True
