"""Commands of studies: from data with outcomes to a tested ensemble."""
