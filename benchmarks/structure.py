"""How large is the tree, and how many files does one method touch?

    python -m benchmarks.structure [FOLDER]

Prints the lines of Python in each folder of the package, the tests, the benchmarks and the experiments, and for each
name in `NAMES` the files of the package that mention it: what somebody opens who changes that method. `FOLDER` is
another checkout to count, for comparison.
"""

import re
import sys
from pathlib import Path

NAMES = {
    "Baby Moves": r"baby[-_ ]?moves",
    "EfficientPose": r"efficient[-_ ]?pose",
    "K-Best graph network": r"kbest[-_]gcn|graph ?network|gcn\b",
    "MAM": r"\bmam\b",
    "SMA CNN": r"\bsma\b|sma[-_ ]?cnn",
}
"""What a file mentions that belongs to a method, by the method's name."""


def lines_of(paths: list[Path]) -> int:
    """Number of lines of some files."""
    return sum(len(path.read_text("utf-8").splitlines()) for path in paths)


def main(root: Path) -> None:
    """Print both tables."""
    package = root / "infantjax"
    files = sorted(package.rglob("*.py"))
    for folder in sorted({path.relative_to(package).parts[0] for path in files}):
        inside = [path for path in files if path.relative_to(package).parts[0] == folder]
        print(f"infantjax/{folder:<24}{lines_of(inside):>8,}")
    for name in ("infantjax", "tests", "benchmarks", "experiments"):
        print(f"{name:<34}{lines_of(sorted((root / name).rglob('*.py'))):>8,}")
    for name, pattern in NAMES.items():
        mentioning = [path for path in files if re.search(pattern, path.read_text("utf-8"), re.IGNORECASE)]
        print(f"{name:<34}{len(mentioning):>8} files")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
