"""The command `oncovec doctor`."""

from collections.abc import Iterator

import click

from oncovec.core import checkout, tables
from oncovec.core import params as params_yaml
from oncovec.core.errors import OncovecError
from oncovec.serving.doctor.check import MISSING, Check, looked_at


@click.command(short_help="Say what dvc repro needs, what is missing, and what to do.")
def doctor() -> bool:
    """Say what `dvc repro` needs, what is missing, and what to do: one line per check, without a network.

    Only an MLflow server is asked whether it is there, if params.yaml names one.

    The exit code is 1 if something that is needed is missing.
    """
    checkout.find()
    checkout.enter()
    checks = list(_checks())
    for line in tables.aligned([(each.state, each.what, each.told) for each in checks]):
        click.echo(line)
    missing = [each.what for each in checks if each.state == MISSING]
    click.echo(
        f"missing for `dvc repro`: {', '.join(missing)}" if missing else "nothing is missing for `dvc repro`"
    )
    return bool(missing)


def _checks() -> Iterator[Check]:
    from oncovec.serving.doctor import environment, project

    yield looked_at("Python", environment.python)
    yield looked_at("packages", environment.packages)
    yield looked_at("GPU", environment.device)
    yield looked_at("memory", environment.memory)
    yield looked_at("git", project.git)
    yield looked_at("DVC", project.dvc)
    try:
        content = params_yaml.load()
    except OncovecError as error:
        yield Check("params.yaml", MISSING, str(error))
        return
    for what, look in {
        "params.yaml": project.params,
        "images": project.images,
        "disk": project.disk,
        "Kaggle": project.credentials,
        "weights": project.weights,
        "MLflow": project.mlflow,
    }.items():
        yield looked_at(what, lambda look=look: look(content))  # type: ignore[misc]
