"""Training that starts from the weights of an ensemble, with all of its parameters or some."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import jax
import numpy as np

from infantjax.errors import InputError
from infantjax.weights.ensemble import Ensemble, Member, leaves

_REMEDY = "use the network and the sizes that the ensemble was trained with"


@dataclass(frozen=True, eq=False)
class Start:
    """Weights that a training starts from.

    Attributes:
        ensemble: with networks of the same architecture, trained on other infants. A run starts from the network of its
            number, counted over again where there are fewer networks than runs (our choice).
        trainable: patterns of the parameters that are trained, for example `classifier*`; all others keep their
            weights. Empty trains all.
    """

    ensemble: Ensemble
    trainable: tuple[str, ...] = ()

    def member(self, model: str) -> Member:
        """The networks of an architecture as one member.

        Raises:
            InputError: the ensemble holds none.
        """
        members = [member for member in self.ensemble.members if member.model == model]
        if not members:
            held = sorted({member.model for member in self.ensemble.members})
            what = f"holds networks {', '.join(held)}, not {model}"
            raise InputError("--init", what, "train the network that the ensemble holds, or start from another one")
        members = [member for member in members if member.overrides == members[0].overrides]
        stacked = jax.tree.map(lambda *parts: np.concatenate(parts), *(member.variables for member in members))
        return Member(model, stacked, members[0].overrides)

    def variables(self, member: Member, shapes: Mapping[str, Any], runs: int) -> dict[str, Any]:
        """Weights of each run `[run, ...]`, as trees like the network's.

        Args:
            member: see `member`.
            shapes: of the variables of the network.
            runs: how many there are.

        Raises:
            InputError: a variable is missing or has another shape.
        """
        known, chosen = dict(leaves(member.variables)), np.arange(runs) % member.runs

        def of(path: Any, leaf: Any) -> np.ndarray:
            name = path_of(path)
            found = known.pop(name, None)
            if found is None or found.shape[1:] != leaf.shape:
                has = "no" if found is None else f"shape {list(found.shape[1:])} of"
                what = f"has {has} {name}, the network needs shape {list(leaf.shape)}"
                raise InputError("--init", what, _REMEDY)
            return found[chosen].astype(leaf.dtype)

        started = jax.tree_util.tree_map_with_path(of, dict(shapes))
        if known:
            raise InputError("--init", f"has an unexpected {min(known)}", _REMEDY)
        return started

    def to_dict(self) -> dict[str, Any]:
        """Where the weights come from, JSON-compatible."""
        return {"ensemble": self.ensemble.digest, "trainable": list(self.trainable)}


def trainable_mask(params: Any, patterns: tuple[str, ...]) -> Any:
    """A tree like the parameters: whether the path of each, `layer/kernel`, or one of its folders fits a pattern.

    Raises:
        ValueError: a pattern that fits no parameter.
    """
    paths = [path_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for pattern in patterns:
        if not any(_fits(path, pattern) for path in paths):
            layers = ", ".join(dict.fromkeys(path.partition("/")[0] for path in paths))
            raise ValueError(f'trainable: no parameter fits "{pattern}"; layers are {layers}')
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: any(_fits(path_of(path), pattern) for pattern in patterns), params
    )


def path_of(path: Any) -> str:
    """A path of JAX as text: `layer/kernel`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _fits(path: str, pattern: str) -> bool:
    parts = path.split("/")
    return any(fnmatchcase("/".join(parts[:length]), pattern) for length in range(1, len(parts) + 1))
