"""Records to statements: aggregates, tables, the run folder."""
