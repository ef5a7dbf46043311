"""What the experiments share: small networks, the cohort, tables, and how a program ends."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import tyro

from infantjax import files
from infantjax.errors import InputError, MissingExtraError
from infantjax.formats.cohort import read_cohort
from infantjax.methods.ensemble_gcn.training import TrainingConfig
from infantjax.recording.cohort import Cohort
from infantjax.simulation import write_cohort

T = TypeVar("T")

BASE = "kbest-gcn-1"
"""Registry entry whose twenty choices a candidate overrides."""
SMALL: dict[str, Any] = {
    "graph": "dis2",
    "input_width": 6,
    "num_input_modules": 1,
    "initial_block_type": "basic",
    "initial_residual": "null",
    "input_temporal_scales": 1,
    "initial_main_width": 6,
    "num_main_levels": 1,
    "num_main_level_modules": 1,
    "block_type": "basic",
    "bottleneck_factor": 2,
    "residual": "null",
    "main_temporal_scales": 1,
    "temporal_kernel_size": 3,
    "se": "null",
    "se_ratio": 2,
    "se_type": "absolute",
    "nonlinearity": "relu",
    "attention": "null",
    "pool": "global",
}
"""A network that compiles in seconds."""

BY_K = {2: (0.937, 10), 3: (0.939, 22), 4: (0.935, 25), 5: (0.949, 49), 6: (0.940, 65), 7: (0.946, 78)}
"""Published best AUC and number of trials (thesis Table A.2)."""

BY_RULE = {
    "Random search": ((385, 290, 279, 266, 256, 242, 214, 144, 32, 0), "0.720 [0.640, 0.894]", "0.944"),
    "K-Best search": ((236, 439, 428, 423, 417, 407, 390, 335, 158, 4), "0.900 [0.695, 0.925]", "0.956"),
}
"""Published numbers of 675 trials below and from each checkpoint, median and highest AUC (Table A.3)."""


def brief(epochs: int) -> TrainingConfig:
    """A training of seconds, too short to learn much."""
    return TrainingConfig(epochs=epochs, batch_size=8, learning_rate=0.01, samples_per_negative=2, positive_ratio=2)


def cohort_of(folder: Path | None, simulate: bool, output: Path, infants: int, duration: float) -> Cohort:
    """The cohort of a folder, or a simulated one that is kept in the output folder.

    Raises:
        InputError: neither or both are given, or the folder cannot be used.
    """
    if simulate == (folder is not None):
        raise InputError("cohort", "give a folder, or --simulate")
    if folder is None:
        folder = keyed(output / "cohort", infants, duration)
        if not folder.exists():
            write_cohort(folder, infants, 1, duration, prevalence=0.4)
    return read_cohort(folder)


def keyed(path: Path, *settings: Any) -> Path:
    """The path of data that are made once for these settings: other settings have another name."""
    return path.with_name(f"{path.name}-{files.sha256(repr(settings))[:8]}")


def markdown(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table under its title."""
    lines = [head, ["---"] * len(head), *rows]
    return f"## {title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV; numbers to six digits."""
    return pd.DataFrame(rows, columns=list(head)).to_csv(index=False, float_format="%.6g")


def options_of(kind: type[T], published: dict[str, Any], description: str | None) -> T:
    """The options of a program from its command line; `--published` changes defaults, others still override them."""
    changed = published | {"published": True} if "--published" in sys.argv[1:] else {}
    defaults: Callable[..., T] = kind
    return tyro.cli(kind, default=defaults(output=tyro.MISSING, **changed), description=description)


def exit_status(program: Callable[[], None]) -> int:
    """Run a program: bad input is one line on stderr and 2, an interrupt 130."""
    try:
        program()
    except (InputError, MissingExtraError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return 0
