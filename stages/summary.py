"""One headline a system, from the metrics of all of them."""

import json
from typing import TYPE_CHECKING

from oncovec import files, paths, report
from oncovec.errors import OncovecError
from oncovec.stage import run

if TYPE_CHECKING:
    from oncovec.params import Params


def main(params: "Params") -> None:
    """Write `metrics/summary.json`."""
    results = {}
    for path in sorted(paths.SYSTEM_METRICS.glob("*.json")):
        try:
            results[path.stem] = files.read_json(path)
        except json.JSONDecodeError as error:
            raise OncovecError(
                f"{path} is damaged ({error}); run `dvc repro -f evaluate@{path.stem}`"
            ) from error
    systems = list(params.systems)
    gone = [system for system in results if system not in systems]
    if gone:
        print(f"left out, no such row of systems: {', '.join(gone)}; delete {paths.SYSTEM_METRICS}/NAME.json")
    files.write_json(paths.SUMMARY, report.summarise(results, systems))


if __name__ == "__main__":
    run(main)
