"""`train`: one network on a single split of a cohort."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from infantjax.cli.training.crossval import TrainCommand
from infantjax.errors import InputError

if TYPE_CHECKING:
    from infantjax.recording.cohort import Cohort
    from infantjax.training.loop import TrainOptions
    from infantjax.weights.ensemble import Ensemble


@dataclass(frozen=True)
class Train(TrainCommand):
    """Train one network on a single split of a cohort.

    The settings of the method are options, as in `crossval`.

    Example:
        infantjax train cohort -o network --model kbest-gcn-2 --validation 0.25
    """

    validation: Annotated[str, arg(metavar="FRACTION|FILE")] = "0.25"
    """Recordings that select the best epoch: a fraction of the cohort up to 0.5, or a text file with one id a line."""

    @property
    def tables(self) -> list[Path]:
        """Tables that are read beside the cohort."""
        return [*super().tables, Path(self.validation)]

    def train(self, cohort: "Cohort", options: "TrainOptions", **given: Any) -> "Ensemble":
        """Train on one split."""
        return self.settings.train(cohort, self.output, _validation(self.validation), options, **given)


def _validation(text: str) -> float | tuple[str, ...]:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return tuple(line.strip() for line in Path(text).read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        remedy = "give a fraction such as 0.25, or a file of ids"
        raise InputError(text, f"cannot be read ({reason})", remedy) from None
