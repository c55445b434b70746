"""What XLA is told before it compiles its first program in a process."""

from __future__ import annotations

import os

# XLA on a CPU runs a loop's body as many small kernels, each called by itself, unless the body reads and writes less
# than so many bytes (its default is 1,024): such a loop becomes one function. Measured on rodas5p for HIRES, a step of
# 125 kernels: 8 µs become 4 for one row, 33 become 15 for 64 rows (4 MB), and 76 become 55 for 256, which this leaves
# as it was: beyond that other people's loops could miss the fast matrix products, which such a function cannot call.
SMALL_LOOP = 2**22
OPTION = "xla_backend_extra_options"


def prepare() -> None:
    """Let XLA compile small loops as one function, unless the user's `XLA_FLAGS` say something of such options.

    XLA reads the variable when it first compiles; where that has happened, loops are slower and no less right.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if OPTION not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{OPTION}=xla_cpu_small_while_loop_byte_threshold={SMALL_LOOP}".strip()
