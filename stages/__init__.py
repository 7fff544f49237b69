"""The stages of the pipeline, one thin script each; run as `python -m stages.NAME`.

The checkout's own `src` comes first on the path. `dvc exp run --queue` and `--temp` run in a copy of the
checkout. The copy must not import the library of the original workspace.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from oncovec.core.stage import set_up

set_up()
