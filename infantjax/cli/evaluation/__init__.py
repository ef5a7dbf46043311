"""Commands that compare results with what is known."""
