"""`search ensemble`: the best candidates of a search as one ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from tyro.conf import Positional, arg

from infantjax.cli.options import common
from infantjax.cli.options.methods import value_of
from infantjax.cli.training.crossval import TrainCommand
from infantjax.errors import InputError

if TYPE_CHECKING:
    from infantjax.recording.cohort import Cohort
    from infantjax.search.ensemble import Architecture
    from infantjax.training.loop import TrainOptions
    from infantjax.weights.ensemble import Ensemble


@dataclass(frozen=True)
class SearchEnsemble(TrainCommand):
    """Cross-validate the best candidates of a search, each as one stack of runs, to one ensemble.

    Ten candidates over seven folds give the published 70 networks. In the paper each is the winner of an own search:
    `--winners`. The same command continues after an interruption, with the same candidates.

    Example:
        infantjax search ensemble cohort search -o ensemble --k 10
        infantjax assess infant.csv --ensemble ensemble -o results
    """

    search: Annotated[Positional[str], arg(metavar="SEARCH")] = field(kw_only=True)
    """Output folder of the search."""
    k: int = 10
    """Number of candidates."""
    study: Annotated[str | None, arg(metavar="NAME")] = None
    """Name of the search, where there are several."""
    winners: bool = False
    """Take the best candidate of each search in the folder, not the best ones of one search."""
    stratify: common.Columns = ()
    """Column of the outcomes table to balance over the folds, besides the outcome; may be repeated."""
    cluster: common.Cluster = None
    """Train each candidate on a device of a Ray cluster that shares the folders: its address, or auto."""
    dry_run: bool = False
    """Print parameters, memory and number of programs, and train and write nothing."""

    @classmethod
    def specialize(cls, arguments: Sequence[str]) -> type[Self]:
        """The command with the options of the method; the search decides the networks."""
        if value_of("--model", arguments) is not None:
            raise InputError("--model", "is decided by the search", "leave it out")
        return super().specialize(arguments)

    def run(self) -> int:
        """Train; with `--dry-run` print what would be trained."""
        if not self.dry_run:
            return super().run()
        from infantjax.search.ensemble import estimate_ensemble

        common.prepare_process(self.distributed)
        with common.checked():
            cohort, _ = self.files.read_screened(self.cohort, self.settings.score_range)
            given: dict[str, Any] = {
                "stratify": self.stratify,
                "strict": self.strict,
                "skip_invalid": self.skip_invalid,
            }
            common.print_rows([estimate_ensemble(self._architectures(), cohort, **given)])
        return 0

    def train(self, cohort: "Cohort", options: "TrainOptions", **given: Any) -> "Ensemble":
        """Find the candidates, and train them."""
        from infantjax.search.ensemble import train_ensemble

        for option, name in (("--annotated", "annotated"), ("--init", "start")):
            if name in given:
                raise InputError(option, "is not used by a search", "leave it out")
        architectures, given = self._architectures(), {**given, "stratify": self.stratify}
        if self.cluster is not None:
            from infantjax.engine import results

            engine, source = common.join_cluster(self.cluster, self.output, self.cohort), (self.files, self.cohort)
            tasks = (
                (number, each, source, self.output, options, given)
                for number, each in enumerate(architectures, start=1)
            )
            for (number, *_), future in results(engine, _train_one, tasks):
                future.result()
                common.say(f"architecture {number} of {len(architectures)} is trained")
        return train_ensemble(architectures, cohort, self.output, options, **given)

    def _architectures(self) -> "list[Architecture]":
        from infantjax.search.ensemble import Architecture, find_candidates, keep_candidates

        found = find_candidates(self.settings, self.search, self.k, self.study, self.winners)
        rows = keep_candidates(self.output, found, read_only=self.dry_run)
        return [Architecture(self.settings.with_candidate(row["choices"]), row) for row in rows]


def _train_one(
    number: int,
    architecture: "Architecture",
    source: tuple[common.ScreenedOptions, Path],
    directory: Path,
    options: "TrainOptions",
    given: dict[str, Any],
    *,
    device: int,
) -> None:
    """Train one architecture in a process of a cluster, which reads the cohort itself; what it writes stays."""
    from infantjax.search.ensemble import train_architecture

    files, folder = source
    cohort, _ = files.read_screened(folder, architecture.method.score_range)  # type: ignore[attr-defined]
    train_architecture(architecture, cohort, directory, number, options, **given)
