"""Judging a method on infants whose outcome is known, on the host, with intervals."""
