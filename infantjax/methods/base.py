"""What a published system is: settings by name, trained on a cohort into an ensemble, which assesses recordings.

A system is a frozen dataclass of its settings. Some of its fields are parts with fields of their own (the network, the
training, the preparation); all names of a system are different, so that a setting is found by its name alone.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypedDict, Unpack

from infantjax.assessment.assessment import Fidelity
from infantjax.assessment.assessor import Assessor
from infantjax.recording.cohort import Cohort, ScoreRange
from infantjax.recording.recording import Recording
from infantjax.weights.ensemble import Ensemble


class How(TypedDict, total=False):
    """How a training is carried out; none of it changes what is learnt from the recordings that are used.

    Attributes:
        annotated: recordings of other infants with annotated seconds (`motion.cohort.read_annotated`).
        stratify: columns of the outcomes table to balance beside the outcome.
        strict: refuse recordings whose points have to be approximated.
        skip_invalid: skip recordings that cannot be used, instead of refusing the cohort.
        save_every: epochs between checkpoints.
        quiet: no progress on stderr.
    """

    annotated: Sequence[Recording]
    stratify: Sequence[str]
    strict: bool
    skip_invalid: bool
    save_every: int
    quiet: bool


class System(ABC):
    """A published system with its settings.

    Attributes:
        name: registry name.
        title: in words.
        source: where it was published.
        fidelity: how the implementation relates to the publication.
        fidelity_note: what is published and what is our choice, where only an outline is published.
        score_range: of the outcomes if they are scores; None if they are 0 or 1.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    fidelity: ClassVar[Fidelity]
    fidelity_note: ClassVar[str] = ""
    score_range: ClassVar[ScoreRange | None] = None
    derived: ClassVar[frozenset[str]] = frozenset()
    """Fields of parts that follow from others and cannot be set."""
    alternatives: ClassVar[Mapping[str, type]] = {}
    """Types that settings take beside that of their default."""

    @abstractmethod
    def crossval(self, cohort: Cohort, directory: str | Path, **how: Unpack[How]) -> Ensemble:
        """Train one instance for each published split of a cohort, all as one stack, and save them as an ensemble.

        Args:
            cohort: recordings with outcomes on the system's scale.
            directory: of the ensemble; made if missing, continued if it holds the same training, interrupted.
            how: see `How`.

        Raises:
            InputError: a cohort that cannot be used or split, or a directory that cannot be written.
            ValueError: an option that the system does not have.
        """

    @abstractmethod
    def train(
        self, cohort: Cohort, directory: str | Path, validation: Sequence[str] | float, **how: Unpack[How]
    ) -> Ensemble:
        """Train one instance on a single split of a cohort and save it as an ensemble of one.

        Args:
            cohort: as in `crossval`.
            directory: as in `crossval`.
            validation: ids of the recordings that are held out, or about which share of the cohort, up to a half.
            how: see `How`.

        Raises:
            InputError: as `crossval`, or ids that the cohort does not hold.
            ValueError: as `crossval`, or a share that is not above 0 and at most a half.
        """

    @classmethod
    @abstractmethod
    def assessor(cls, ensemble: Ensemble, *, threshold: float | None = None, strict: bool = False) -> Assessor:
        """What assesses recordings with an ensemble of this system.

        Args:
            ensemble: of this system.
            threshold: of decisions; None takes the ensemble's.
            strict: refuse recordings whose points have to be approximated.

        Raises:
            InputError: its content does not fit together.
            ValueError: a threshold out of range.
        """

    @abstractmethod
    def told(self, ensemble: Ensemble) -> list[str]:
        """Lines for the terminal: how each run of a training ended, and the figures of what was held out."""

    @classmethod
    def configured(cls, settings: Mapping[str, Any]) -> Self:
        """The system with some settings, by their names; lists become tuples.

        Raises:
            ValueError: a name that the system does not have, or a value of another type or out of range.
        """
        default = cls()
        places = {name: (part, value) for name, part, value in default._settings()}
        if unknown := [name for name in settings if name not in places]:
            raise ValueError(f'{cls.name} has no setting "{unknown[0]}"; it has {", ".join(sorted(places))}')
        own: dict[str, Any] = {}
        parts: dict[str, dict[str, Any]] = {}
        for name, value in settings.items():
            part, known = places[name]
            (parts.setdefault(part, {}) if part else own)[name] = (
                value if isinstance(value, cls.alternatives.get(name, ())) else _like(known, value, name)
            )
        for part, values in parts.items():
            before = getattr(default, part)
            own[part] = before.clone(**values) if _is_network(before) else replace(before, **values)
        return replace(default, **own)  # type: ignore[type-var]

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by name, JSON-compatible: `configured` of them is this system."""
        return {name: plain(value) for name, _, value in self._settings()}

    def _settings(self) -> Iterator[tuple[str, str, Any]]:
        """(name, part or nothing, value) of every setting."""
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if not dataclasses.is_dataclass(value):
                yield field.name, "", value
                continue
            for inner in dataclasses.fields(value):
                held = getattr(value, inner.name)
                hidden = _is_network(value) and inner.name in ("parent", "name")
                if not hidden and inner.name not in self.derived and not dataclasses.is_dataclass(held):
                    yield inner.name, field.name, held


def _is_network(part: Any) -> bool:
    # Flax takes a quarter of a second to import: not for an assessment whose programs are compiled.
    import flax.linen as nn

    return isinstance(part, nn.Module)


def _like(known: Any, value: Any, name: str) -> Any:
    """A value of the same type as the known one."""
    if isinstance(value, list):
        value = tuple(_like(None, item, name) for item in value)
    numbers = (int, float)
    if isinstance(known, bool) or known is None:
        fits = known is None or isinstance(value, bool)
    elif isinstance(known, int):
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(known, float):
        fits = isinstance(value, numbers) and not isinstance(value, bool)
    elif isinstance(known, tuple) and known and isinstance(value, tuple):
        kind = numbers if isinstance(known[0], numbers) else type(known[0])
        fits = all(isinstance(item, kind) for item in value)
    else:
        fits = isinstance(value, type(known))
    if not fits:
        raise ValueError(f"{name} is {plain(known)} if not given, a value of another kind is {plain(value)!r}")
    return value


def plain(value: Any) -> Any:
    """A value with lists in place of tuples, as JSON gives it back."""
    return [plain(item) for item in value] if isinstance(value, tuple) else value
