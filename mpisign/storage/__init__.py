"""Trajectory files: HDF5 written so that every kill leaves a valid file, and read back with their checksum."""
