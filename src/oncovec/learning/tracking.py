"""What gets each epoch when it ends: DVCLive, and an MLflow server if the param `mlflow` names one."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from textwrap import shorten
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from tqdm import tqdm

from oncovec.core import paths
from oncovec.core.errors import one_line
from oncovec.learning.config import TrainingConfig
from oncovec.learning.vocabulary import NO_MLFLOW

LOSSES = ("train_loss", "val_loss")
"""Metrics that `dvc exp show` has as columns, beside `step`, the epoch, and the metric of the best epoch."""

PATIENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Environment of MLflow's client, where the user has set no other: MLflow would wait for minutes."""

LONGEST = 300
"""Characters of the line that says why a server is lost."""


def trackers(system: str, server: str | None) -> list[GeneralTracker]:
    """Return the trackers of a training; nothing is written or sent yet.

    Args:
        system: name of the system.
        server: address of an MLflow server, or None.
    """
    return [DvcLive(system), *([Mlflow(system, server)] if server else [])]


@contextmanager
def tracked(accelerator: Accelerator, config: TrainingConfig) -> Iterator[None]:
    """Start the trackers in the first process, and end them when the training ends, or fails."""
    accelerator.init_trackers(config.system, dict(_flat(config.model_dump())))
    try:
        yield
    finally:
        # `end_training` would also end the other processes' group, for which a process that failed may wait.
        for tracker in accelerator.trackers:
            tracker.finish()


class DvcLive(GeneralTracker):  # type: ignore[misc]
    """DVCLive: `dvclive/<system>/`, which `dvc exp show` and VS Code read while the stage runs."""

    name = "dvclive"
    requires_logging_directory = False

    def __init__(self, system: str):
        super().__init__()
        self.system, self.rows = system, list[dict[str, Any]]()

    @property
    def tracker(self) -> Any:
        """DVCLive's logger."""
        return self.live

    def start(self) -> None:
        """Empty the folder; dvc.yaml already names the files."""
        from dvclive import Live

        folder = paths.live(self.system).as_posix()
        self.live = Live(folder, report=None, save_dvc_exp=False, dvcyaml=False)

    def log(self, values: Mapping[str, float], step: int | None = None, **_: Any) -> None:
        """Write the metrics of an epoch, and the plot of all epochs so far."""
        self.live.step = step
        self.rows.append({"system": self.system, "epoch": step, **values})
        # The plot has every metric; `dvc metrics diff` shows a row for each of these.
        for name in (*LOSSES, "val_auroc" if "val_auroc" in values else "val_balanced_accuracy"):
            self.live.log_metric(name, values[name], plot=False)
        self.live.log_plot("history", self.rows, x="epoch", y="val_loss")
        self.live.next_step()

    def finish(self) -> None:
        """Tell VS Code that nothing more comes."""
        self.live.end()


class Mlflow(GeneralTracker):  # type: ignore[misc]
    """An MLflow server: an experiment per system, a run per training.

    A training does not fail with it: after a request that fails, nothing more is sent, and one line says so.
    """

    name = "mlflow"
    requires_logging_directory = False

    def __init__(self, system: str, address: str):
        super().__init__()
        self.system, self.address = system, address
        self.client: Any = None
        self.run = ""

    @property
    def tracker(self) -> Any:
        """MLflow's client; None if the server is lost."""
        return self.client

    def start(self) -> None:
        """Open a run; the experiment is made if there is none of that name."""
        for name, value in PATIENT.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import MlflowClient
        except ImportError:
            self._lose(NO_MLFLOW)
            return
        self.client = MlflowClient(tracking_uri=self.address)
        self._try(self._open)

    def _open(self) -> None:
        name = f"oncovec/{self.system}"
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self.client.create_experiment(name)
        # `dvc exp run` says in the environment how it calls its experiment.
        self.run = self.client.create_run(experiment, run_name=os.environ.get("DVC_EXP_NAME")).info.run_id

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Send the recipe."""

        def send() -> None:
            from mlflow.entities import Param

            self.client.log_batch(self.run, params=[Param(key, str(value)) for key, value in values.items()])

        self._try(send)

    def log(self, values: Mapping[str, float], step: int | None = None, **_: Any) -> None:
        """Send the metrics of an epoch."""

        def send() -> None:
            from mlflow.entities import Metric

            now = round(time.time() * 1000)
            self.client.log_batch(self.run, [Metric(key, value, now, step) for key, value in values.items()])

        self._try(send)

    def finish(self) -> None:
        """Close the run; it failed if an error ends the training."""
        status = "FAILED" if sys.exc_info()[0] else "FINISHED"
        self._try(lambda: self.client.set_terminated(self.run, status))

    def _try(self, send: Callable[[], None]) -> None:
        if self.client is None:
            return
        from mlflow.exceptions import MlflowException

        try:
            send()
        # A server that is not MLflow answers with what is no JSON, a ValueError.
        except (MlflowException, ValueError) as error:
            self._lose(str(error))

    def _lose(self, why: str) -> None:
        self.client = None
        kept = paths.live(self.system)
        line = (
            f"{self.system}: nothing more is sent to mlflow = {self.address}, {kept} has every epoch: {why}"
        )
        tqdm.write(one_line(shorten(line, LONGEST, placeholder=" …")))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value by its dotted key, without those that are not set."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value
