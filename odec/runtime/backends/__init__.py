"""How each Keras back end writes loops and their gradients: what `odec.runtime.loops` calls, and nothing else does."""
