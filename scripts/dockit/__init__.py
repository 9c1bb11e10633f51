"""Pages of docs/ that are made: of the tables that the checker uses, and of what was measured."""
