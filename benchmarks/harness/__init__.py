"""What every benchmark here shares: fair clocks, whole-process figures, Markdown tables."""
