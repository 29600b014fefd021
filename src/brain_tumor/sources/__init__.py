"""Sources of data sets: one package per `source.kind`, with `Source` (its parameters) and `images` (a generator)."""
