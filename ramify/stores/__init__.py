"""Where jobs are kept: one contract, and a module per store."""
