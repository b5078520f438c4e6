"""Draw figures of trajectory files, in one style."""
