"""`study init`: the settings of a study, to be edited."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from infantjax.cli.options import common

TEMPLATE = """\
# Settings of a study. Run it: infantjax study run study.toml -o DIR
# Each table holds options of the command of its name, without dashes: see `infantjax COMMAND --help`.

# Folder of videos or keypoint files, and the table of their outcomes: columns id;outcome and perhaps group, age, ...
data = "videos"
outcomes = "outcomes.csv"
# Published method: ensemble-gcn, cp-gcn-29, baby-moves, mam, or sma-cnn for scores.
method = "ensemble-gcn"

# How videos are tracked. Networks learn the errors of a tracker too, so use the same for new videos.
[pose]
weights = "efficientpose-i-lite"

# A part of the infants is set aside before anything is trained, and is used once, at the end.
[split]
test-fraction = 0.25
folds = 7
seed = 1

# With this table the published space is searched, and its best networks are trained; without it [crossval] names one.
# [search]
# trials = 100

# [search-ensemble]
# k = 10

# Training of one network for each fold of the other infants.
[crossval]
model = "kbest-gcn-2"
epochs = 200
quality = "exclude"

# How the infants that were set aside, and later new ones, are assessed.
[assess]

# How the risks of the infants that were set aside are compared with their outcomes.
[evaluate]
"""


@dataclass(frozen=True)
class Init(common.Command):
    """Write a file with the settings of a study, to be edited.

    Example:
        infantjax study init study.toml
    """

    file: Positional[Path] = Path("study.toml")
    """File to write; it must not exist."""

    def run(self) -> int:
        """Write it."""
        from infantjax.files import write_atomically

        common.require_new(self.file)
        with common.written(self.file):
            write_atomically(self.file, TEMPLATE)
        print(self.file)
        return 0
