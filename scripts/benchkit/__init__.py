"""The benchmark: programs run in turn on one load → medians, ratios, tables."""
