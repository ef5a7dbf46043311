"""The benchmark of the command: its summary."""

from benchmarks.assess_command import summary
from benchmarks.common import Run


def test_the_summary_has_medians_and_the_largest_memory():
    row = summary("warm", [Run(3.0, 5.0, 700.0), Run(1.0, 6.0, 600.0), Run(2.0, 9.0, 650.0)])
    expected = {"programs": "warm", "runs": 3, "wall_s": 2.0, "least_s": 1.0, "largest_s": 3.0}
    assert row == expected | {"cpu_s": 6.0, "peak_mb": 700.0}
