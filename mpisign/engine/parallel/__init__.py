"""Repeats side by side: by processes of one machine (`--jobs`), or by groups of MPI's ranks (`--teams`).

One process alone writes the trajectory file, the one that would without them. The others run repeats, and send it what
they would have written: so that at every moment the file is the same as ever, and any other number of them goes on
with it.
"""
