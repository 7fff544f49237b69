"""The stages of the pipeline, one thin script each; run as `python -m stages.NAME`.

The checkout's own `src` comes first: `dvc exp run --queue` and `--temp` run in a copy of the
checkout, which must not import the library of the workspace that it was copied from.
"""

import io
import os
import sys
from pathlib import Path

# Threads that wait for work spin by default; beside any other busy process (a queue with two workers)
# that made training several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A log should show each epoch when it ends, not when the stage does.
if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(line_buffering=True)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
