"""`summary merge`: the summaries of several folders as one."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from infantjax.cli import common
from infantjax.errors import InputError


@dataclass(frozen=True)
class Merge(common.Command):
    """Merge the summaries of several assessments, or of the shards of one, and write their index page.

    A folder stands for its shards if it has some; all of them must be there and complete. Rows are sorted by id.

    Example:
        infantjax summary merge results -o results/summary.csv
    """

    folders: Positional[tuple[Path, ...]]
    """Folders that `infantjax assess` wrote, or that hold its shards."""
    output: common.OutputFile
    """Table to write; `index.html` is written into the same folder."""
    overwrite: bool = False
    """Replace both files."""

    def run(self) -> int:
        """Merge and write."""
        from infantjax.assessment.shards import find_summaries, merge_summaries
        from infantjax.files import refuse_inputs, write_together
        from infantjax.report import page, table
        from infantjax.report.glance import Glance

        if not self.folders:
            raise InputError("summary merge", "no folder is given", "name at least one")
        if self.output.suffix.lower() != ".csv":
            raise InputError(self.output, "has a suffix that cannot be written", "use .csv")
        outputs = [self.output, self.output.with_name("index.html")]
        summaries = find_summaries(self.folders)
        refuse_inputs(outputs, [*summaries, *(path.with_name("index.html") for path in summaries)])
        if not self.overwrite:
            for path in outputs:
                common.require_new(path)
        rows = merge_summaries(summaries, self.output)
        glances = [Glance.read(row, self.output.parent) for row in rows]
        with common.written(self.output):
            self.output.parent.mkdir(parents=True, exist_ok=True)
            write_together(dict(zip(outputs, (table.summary_csv(rows), page.index_html(glances)), strict=True)))
        failed = sum(row.status == "error" for row in rows)
        common.say(f"{len(rows)} recordings of {len(summaries)} summaries, {failed} failed")
        print(self.output)
        return 0
