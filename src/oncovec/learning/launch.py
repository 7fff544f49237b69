"""Training in several processes: start this stage again with torchrun's launcher, once per process."""

import os

from oncovec.core.errors import OncovecError
from oncovec.core.stage import STARTED_BY


def relaunch(module: str, name: str, processes: int) -> bool:
    """Run `python -m module name` in several processes, unless this process is already one of them.

    The launcher runs in this process. The training processes watch their parent process and end with it.

    Returns:
        True if the processes have run and nothing is left to do here.

    Raises:
        OncovecError: if a process fails, or if there are fewer GPUs than processes.
    """
    if processes == 1 or "LOCAL_RANK" in os.environ:
        return False
    import torch
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    if torch.cuda.is_available() and processes > torch.cuda.device_count():
        raise OncovecError(f"train.processes = {processes}: there are {torch.cuda.device_count()} GPUs here")
    os.environ[STARTED_BY] = str(os.getpid())
    try:
        run.main(["--standalone", f"--nproc-per-node={processes}", "-m", module, name])
    except ChildFailedError:
        raise OncovecError(
            f"one of {processes} training processes failed; its own words stand above"
        ) from None
    except SignalException:
        raise KeyboardInterrupt from None
    finally:
        del os.environ[STARTED_BY]
    return True
