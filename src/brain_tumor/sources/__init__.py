"""Where data sets come from: one package for each `source.kind`, with `Source` (its parameters) and `images`."""
