"""What every stage uses: errors, parameters, outputs, the command line of stages, array types."""
