"""Algorithm 3 as a run: planned, iterated, recorded, saved, resumed."""
