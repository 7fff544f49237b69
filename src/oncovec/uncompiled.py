"""PyTorch without its compiler, which nothing here uses and whose import costs every process two seconds.

`torch.optim`, torchvision (and through it timm) and Accelerate import `torch._dynamo`, only to tell it that
there is nothing to compile, or to ask whether something was compiled. A stand-in answers that.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"


class OptimizedModule:
    """What `torch.compile` makes of a network; no network here is one."""


def _as_it_is(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
    return function if function is not None else _as_it_is


ANSWERS: dict[str, dict[str, Any]] = {
    COMPILER: {"disable": _as_it_is, "graph_break": lambda *_: None},
    f"{COMPILER}.eval_frame": {"OptimizedModule": OptimizedModule},
    f"{COMPILER}.utils": {"is_compile_supported": lambda device: False},
}
"""What each stand-in can say itself."""


class _StandIn(ModuleType):
    """A module that can say a few things; the real one is imported for anything else."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # whoever looks through all modules, as `inspect` does
            raise AttributeError(name)
        if self.__name__ == COMPILER and f"{COMPILER}.{name}" in ANSWERS:
            return importlib.import_module(f"{COMPILER}.{name}")
        return getattr(_real(self.__name__), name)


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in ANSWERS:
            return ModuleSpec(fullname, self, is_package=fullname == COMPILER)
        if fullname.startswith(f"{COMPILER}."):
            _real(fullname)
            return ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules.get(spec.name) or _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__.update(ANSWERS.get(module.__name__, {}) if isinstance(module, _StandIn) else {})


_finder = _Finder()


def install() -> None:
    """Put the stand-in where the compiler would be imported from, unless that has happened already."""
    if COMPILER not in sys.modules and _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _real(name: str) -> ModuleType:
    """Import the compiler itself, for whoever asks more than the stand-in can say, and stand back."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
        for stand_in in ANSWERS:
            sys.modules.pop(stand_in, None)
    return importlib.import_module(name)
