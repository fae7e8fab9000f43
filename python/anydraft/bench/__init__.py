"""The benchmark behind ``anydraft bench``: see :mod:`anydraft.bench.comparison`."""
