"""Trees: exact contributions of tree ensembles; nothing here knows of persons."""
