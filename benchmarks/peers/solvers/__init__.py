"""What other solvers need to solve the problems of `benchmarks/solvers.py`: a file for each, driven by `worker.py`."""
