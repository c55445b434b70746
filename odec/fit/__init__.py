"""Data and a layer become estimates: table, problem, search, uncertainty, report."""
