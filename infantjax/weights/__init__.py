"""Weights: ensembles on disk, and safe readers and importers of published weights.

An importer is registered where its network is: the packages below `infantjax.methods` and `infantjax.pose` list in
`IMPORTERS` the names in each of their modules. A name is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

from infantjax.lazy import discover, lazy_attributes

if TYPE_CHECKING:
    from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, load_ensemble, save_ensemble

__all__ = ["Ensemble", "EnsembleInfo", "Member", "load_ensemble", "save_ensemble"]

_MODULES = ("archive", "bundled", "ensemble", "placement", "public", "pytorch")
_OWN = dict.fromkeys(__all__, "infantjax.weights.ensemble") | {m: f"infantjax.weights.{m}" for m in _MODULES}


def __getattr__(name: str) -> Any:
    """Load the module that defines a name; the importers are discovered first."""
    return lazy_attributes(__name__, _OWN if name in _OWN else {**_OWN, **discover("IMPORTERS")})[0](name)


def __dir__() -> list[str]:
    return sorted({*_OWN, *discover("IMPORTERS")})
