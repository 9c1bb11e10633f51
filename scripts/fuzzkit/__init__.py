"""Random and mutated programs through every stage: what becomes of each, and what is a fault of ebt."""
