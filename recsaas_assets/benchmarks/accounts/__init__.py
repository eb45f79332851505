"""What accounts cost an answer. May import the benchmarks of serving."""
