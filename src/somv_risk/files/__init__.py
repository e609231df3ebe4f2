"""Files: read and written so that no row is lost and nobody else reads what is about persons."""
