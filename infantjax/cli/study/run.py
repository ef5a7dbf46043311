"""`study run`: from videos or keypoint files with outcomes to a trained and once tested ensemble."""

import contextlib
import csv
import io
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from infantjax.cli.options import common
from infantjax.errors import InputError

if TYPE_CHECKING:
    from infantjax.recording.cohort import ScoreRange
    from infantjax.weights.ensemble import EnsembleInfo

TABLES = ("pose", "split", "search", "search-ensemble", "crossval", "assess", "evaluate")
"""Of a file of settings: the commands that a study runs, in their order."""
METRICS, PAGE = "evaluation.json", "index.html"


@dataclass(frozen=True)
class Run(common.Command):
    """Run a study: track, split by infant, search or take a network, train, assess and evaluate the infants set aside.

    Each step is a command with its own folder in the output, and leaves the file of its options there. The same command
    continues after an interruption: a step that is complete is kept, and one with other options is refused.

    Example:
        infantjax study run study.toml -o study
    """

    settings: Positional[Path]
    """File of `infantjax study init`."""
    output: common.Output
    """Folder for the steps and a page over all."""

    @property
    def results(self) -> None:
        """The file of settings is the record of a study."""
        return None

    def run(self) -> int:
        """Run what is left to do, and write the page."""
        from infantjax.files import locked, write_atomically

        settings = read_settings(self.settings)
        self.output.mkdir(parents=True, exist_ok=True)
        with locked(self.output):
            for name, folder, words in self._steps(settings):
                self._run_step(name, self.output / folder, words, settings["tables"].get(name.replace(" ", "-"), {}))
            write_atomically(self.output / "study.toml", self.settings.read_text("utf-8"))
            write_atomically(self.output / PAGE, self._page(self._scale(settings)))
        print(self.output / PAGE)
        return 0

    def _steps(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
        """Name, folder and arguments of each step; what a step reads is there when it is asked for."""
        from infantjax.assessment.batch import find_recordings, needs_tracker

        keypoints, tables = settings["data"], settings["tables"]
        if any(map(needs_tracker, find_recordings([keypoints]))):
            yield "pose", "keypoints", [str(keypoints)]
            keypoints = self.output / "keypoints"
        cohort = [str(keypoints)]
        scale = self._scale(settings)
        of_scores = ["--scale", *map(str, scale)] if scale else []
        yield "split", "split", [*cohort, "--outcomes", str(settings["outcomes"]), *of_scores]
        development = [*cohort, "--outcomes", str(self.output / "split" / "development.csv")]
        method = ["--method", settings["method"]]
        if "search" in tables:
            yield "search", "search", [*development, *method]
            searched = [cohort[0], str(self.output / "search"), *development[1:], *method]
            yield "search ensemble", "ensemble", searched
        else:
            yield "crossval", "ensemble", [*development, *method]
        if tested := self._tested(find_recordings(cohort)):
            ensemble = self.output / "ensemble"
            yield "assess", "results", [*map(str, tested), "--ensemble", str(ensemble)]
            threshold = self._ensemble_info().threshold
            if scale or threshold is not None:
                values = [str(self.output / "results" / "summary.csv"), str(self.output / "split" / "test.csv")]
                at = [] if scale else ["--threshold", str(threshold)]
                yield "evaluate", "evaluation", [*values, *at, "--plots", str(self.output / "evaluation"), "--json"]

    @staticmethod
    def _scale(settings: Mapping[str, Any]) -> "ScoreRange | None":
        """The range of the scores that the method learns; None where outcomes are 0 or 1."""
        from infantjax.methods import registry

        default = registry.get(settings["method"]).score_range
        return default and tuple(settings["tables"].get("crossval", {}).get("scale", default))

    def _run_step(self, name: str, folder: Path, words: list[str], table: Mapping[str, Any]) -> None:
        """Run a step, unless it is complete.

        Raises:
            InputError: it failed, or it is complete with other options.
        """
        from infantjax import cli
        from infantjax.cli import config_file, parsing
        from infantjax.files import write_atomically

        given = words if name == "evaluate" else [*words, "-o", str(folder)]
        quiet = ["--quiet"] if self.quiet else []
        command = parsing.parse(cli.command_type(name), name, [*given, *quiet], table)
        assert command is not None
        options = config_file.to_toml(command, name)
        done = folder / f"{name.replace(' ', '-')}.toml"
        if done.exists():
            if _without_version(done.read_text("utf-8")) != _without_version(options):
                raise InputError(folder, f"holds the step {name} with other options", "give another -o")
            common.say(f"{name}: complete, {folder}")
            return
        common.say(f"{name}: {folder}")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = cli.execute(command, name)
        if status == 2:
            raise InputError(folder, f"could not be made by {name}", "see the lines above")
        if name == "evaluate":
            write_atomically(folder / METRICS, printed.getvalue())
            write_atomically(done, options)

    def _tested(self, files: list[Path]) -> list[Path]:
        """The keypoint files of the infants that were set aside."""
        from infantjax.formats.outcomes import ids_of_file

        with open(self.output / "split" / "test.csv", encoding="utf-8") as table:
            ids = {row["id"] for row in csv.DictReader(table, delimiter=";", quotechar="|")}
        return [path for path in files if any(name in ids for name in ids_of_file(path))]

    def _ensemble_info(self) -> "EnsembleInfo":
        from infantjax.weights.ensemble import load_ensemble

        return load_ensemble(self.output / "ensemble").info

    def _page(self, scale: "ScoreRange | None") -> str:
        """The page over all steps."""
        from infantjax.errors import Problems
        from infantjax.formats.outcomes import read_outcome_table
        from infantjax.report.page import study_html
        from infantjax.report.study import Section

        info = self._ensemble_info()
        parts = {
            name: list(read_outcome_table(self.output / "split" / f"{name}.csv", Problems(), scale).values())
            for name in ("development", "test")
            if len((self.output / "split" / f"{name}.csv").read_text("utf-8").splitlines()) > 1
        }
        rows = [[name, len(part), sum(row.outcome for row in part)] for name, part in parts.items()]
        sections = [
            Section(
                "Infants",
                ["Set aside before anything was trained: test."],
                None,
                ["part", "recordings", "sum of outcomes"],
                rows,
            )
        ]
        path = self.output / "evaluation" / METRICS
        if path.exists():
            metrics = json.loads(path.read_text("utf-8"))
            shown = [[name, *value] for name, value in metrics.items() if isinstance(value, list) and len(value) == 3]
            why = ["Of the infants that were set aside, with 95 % intervals. They took part in no choice."]
            sections.append(Section("Test", why, None, ["metric", "value", "low", "high"], shown))
        links = {
            "Assessments of the test infants": "results/index.html",
            "Training and out-of-fold metrics": "ensemble/training.html",
            "Settings": "study.toml",
        }
        present = {title: link for title, link in links.items() if (self.output / link).exists()}
        return study_html("Study", info.method, [self.settings.stem], sections, info.statement, present)


def read_settings(path: Path) -> dict[str, Any]:
    """Settings of a study: `data` and `outcomes` as paths beside the file, `method`, and `tables` of options.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    from infantjax.cli import config_file
    from infantjax.methods import registry

    content = config_file.read_toml(path)
    tables = {name: content.pop(name) for name in list(content) if isinstance(content[name], dict)}
    for name in (*tables, *content):
        if name not in (*TABLES, "data", "outcomes", "method"):
            raise InputError(path, f'has "{name}"', common.suggest(name, [*TABLES, "data", "outcomes", "method"]))
    if missing := [name for name in ("data", "outcomes") if not isinstance(content.get(name), str)]:
        raise InputError(path, f"lacks {missing[0]}", f'give a path: {missing[0]} = "..."')
    method = content.get("method", registry.DEFAULT)
    common.require_known(f"{path}: method", method, registry.names("keypoints"))
    beside = {name: path.parent / content[name] for name in ("data", "outcomes")}
    return {**beside, "method": method, "tables": tables}


def _without_version(text: str) -> dict[str, Any]:
    return {name: value for name, value in tomllib.loads(text).items() if name != "version"}
