"""Embeddings of cancer images, learned and judged on splits that do not leak."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oncovec.serving.predict import Prediction, System, load

__all__ = ["Prediction", "System", "load"]


def __getattr__(name: str) -> Any:
    # Late, since it brings torch, which most stages do without.
    if name in __all__:
        from oncovec.serving import predict

        return getattr(predict, name)
    raise AttributeError(f"module 'oncovec' has no attribute {name!r}")
