"""Data sets that are published elsewhere: which ones are known by name, and how they are downloaded."""
