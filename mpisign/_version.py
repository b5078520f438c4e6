"""The version of this package, read where nothing else may be imported."""

__version__ = "0.1.0"
