"""Sources: one module or mapping per origin of histories."""
