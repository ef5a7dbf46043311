"""Training on a cohort or on annotated pictures: `crossval` and `train`."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from infantjax.cli import common
from infantjax.cli.methods import DEFAULT, MethodName
from infantjax.errors import InputError

if TYPE_CHECKING:
    from infantjax.methods.base import Method
    from infantjax.recording.cohort import Cohort
    from infantjax.weights.ensemble import Ensemble


@dataclass(frozen=True)
class _Training(common.Command):
    """Options of every command that trains on a cohort."""

    cohort: Positional[Path]
    """Folder of keypoint files with their outcomes.csv."""
    output: common.Output
    """Folder for the ensemble, the logs and the checkpoints. Run again on it, an interrupted training continues."""
    method: MethodName = DEFAULT
    """Published system: graph networks, a reading of MAM, Baby Moves, or the SMA CNN (outcomes are scores, 0..72)."""
    model: str | None = None
    """For groos: network; kbest-gcn-2 if not given, for pose that of the weights. `infantjax models` lists them."""
    files: common.CohortOptions = common.CohortOptions()
    preprocessing: Literal["reference", "paper"] = "reference"
    """How recordings are standardized; stored with the ensemble."""
    epochs: int | None = None
    """Passes over the training samples; 200 as published if not given, 100 for pose, 10 000 at most for baby-moves."""
    batch_size: int | None = None
    """Windows or pictures of a step; as published if not given: 32, for pose 16, for baby-moves 8, for sma 400."""
    learning_rate: float | None = None
    """5e-4 as published if not given, 1e-3 for pose; for pose by cyclical SGD what a range test finds."""
    samples_per_negative: int = 12
    """Windows that an infant with outcome 0 gives in an epoch; 12 as published."""
    positive_ratio: int = 5
    """An infant with outcome 1 gives this many times as many; 5 as published."""
    seed: int = 1
    """Root of every random number."""
    threshold: float = 0.5
    """Decision threshold to store with the ensemble, 0..1."""
    save_every: int = 1
    """Epochs between checkpoints."""
    distributed: Annotated[str | None, arg(metavar="auto|ADDRESS:PORT,COUNT,NUMBER")] = None
    """Be one of several processes that train together; auto on Slurm and TPU pods. See docs/guides/accelerators.md."""
    strict: bool = False
    """Refuse recordings whose points have to be approximated from others."""
    skip_invalid: bool = False
    """Leave out recordings that cannot be used, in place of refusing the cohort."""
    with_metadata: bool = False
    """For baby-moves and mam: the network reads age and cohort, or sex, gestational age, birth weight and age too."""
    image: Annotated[tuple[float, float] | None, arg(metavar="WIDTH HEIGHT")] = None
    """For baby-moves: sides of the videos in pixels; 640 480 if not given."""
    annotated: Annotated[Path | None, arg(metavar="DIR")] = None
    """For mam: folder of other infants with truth.csv (id;second;fidgety), which it needs."""
    set: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="NAME=VALUE")] = ()
    """Any other setting of the system, its network or its training by name; may be repeated."""

    def _train(self, train: Callable[["Method", "Cohort", dict[str, Any]], "Ensemble"], **flags: Any) -> int:
        """Read the cohort, train, tell."""
        from infantjax.formats.cohort import read_annotated
        from infantjax.methods import registry
        from infantjax.training.crossval import format_summary
        from infantjax.training.loop import TrainOptions

        common.prepare_process(self.distributed)
        with common.checked():
            method = registry.get(self.method).from_settings(self._settings(flags))
            cohort = self.files.read(self.cohort, method.score_range)
            others: dict[str, Any] = {"strict": self.strict, "skip_invalid": self.skip_invalid}
            if self.annotated is not None:
                others["annotated"] = read_annotated(self.annotated, fps=self.files.fps, format=self.files.format)
            options = TrainOptions(save_every=self.save_every, quiet=self.quiet)
            ensemble = train(method, cohort, {"options": options, **others})
        for line in format_summary(ensemble):
            print(line)
        print(f"ensemble: {self.output}")
        if method.fidelity_note:
            common.note([method.fidelity_note], always=True)
        if left := len(cohort) - ensemble.info["training"]["cohort"]["recordings"]:
            skipped = f"{left} of {len(cohort)} recordings were skipped; the record beside the ensemble names them"
            common.note([skipped], always=True)
        common.note((*ensemble.info.get("notes", ()), ensemble.info["statement"]), always=True)
        return 0

    def _settings(self, flags: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the method that were given by options of their own and by --set, nested."""
        from infantjax.methods import registry

        named = ["model", "epochs", "batch_size", "learning_rate", "samples_per_negative"]
        named += ["positive_ratio", "seed", "threshold", "image"]
        given = {name: getattr(self, name) for name in named} | dict(flags)
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        found = {name: value for name, value in given.items() if value is not None and value != defaults[name]}
        if self.with_metadata:
            found["metadata"] = True
        for setting in self.set:
            name, equals, value = setting.partition("=")
            if not equals:
                raise InputError("--set", f'is "{setting}"', "give NAME=VALUE, for example dropout=0.2")
            found[name.strip().replace("-", "_")] = _value_of(value.strip())
        presets = registry.get(self.method).presets()
        nested = presets.get(self.preprocessing, presets["reference"]).settings
        for name, value in found.items():
            part = nested
            *parents, last = name.split(".")
            for parent in parents:
                part = part.setdefault(parent, {})
            if not parents and last not in nested:
                part = next((p for p in nested.values() if isinstance(p, dict) and last in p), nested)
            part[last] = list(value) if isinstance(value, tuple) else value
        return nested


def _value_of(text: str) -> Any:
    """A setting as JSON; what is none is a text, or with commas a list of texts."""
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text.split(",") if "," in text else text


@dataclass(frozen=True)
class Crossval(_Training):
    """Train one instance of a network for each part of a cohort, all at once, and write them as an ensemble.

    Parts are folds; for baby-moves random splits, for sma each infant left out.

    Example:
        infantjax crossval cohort -o ensemble --model kbest-gcn-2
        infantjax crossval cohort -o ensemble --method mam --annotated others
    """

    folds: Annotated[int | str | None, arg(metavar="N|COLUMN")] = None
    """For groos and mam: number of folds, 7 as published if not given, for mam 5 (chosen); for groos also the column of
    the outcomes table that names the fold of each recording."""
    repeats: int | None = None
    """For baby-moves: random splits; 25 as published if not given."""
    stratify: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="COLUMN")] = ()
    """Column of the outcomes table to balance over the folds beside the outcome; may be repeated."""

    def run(self) -> int:
        """Cross-validate."""
        return self._train(
            lambda method, cohort, how: method.crossval(cohort, self.output, stratify=self.stratify, **how),
            folds=self.folds,
            repeats=self.repeats,
        )


@dataclass(frozen=True)
class Train(_Training):
    """Train one instance of a network: on a single split of a cohort.

    Example:
        infantjax train cohort -o instance --model kbest-gcn-2 --validation 0.25
    """

    cohort: Positional[Path]
    """Folder of keypoint files with their outcomes.csv; for pose annotated pictures, see docs/guides/annotations.md."""
    validation: Annotated[str | None, arg(metavar="SHARE|FILE")] = None
    """What chooses the best epoch: a share up to 0.5, for risk also a text file with an id a line; 0.25 for risk and
    0.1 for pose if not given."""

    def run(self) -> int:
        """Train."""
        validation = _validation_from(self.validation or "0.25")
        return self._train(lambda method, cohort, how: method.train(cohort, self.output, validation, **how))


def _validation_from(text: str) -> float | tuple[str, ...]:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return tuple(line.strip() for line in Path(text).read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise InputError(text, f"cannot be read ({reason})", "give a share such as 0.25, or a file of ids") from None
