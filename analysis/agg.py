"""Keep a user's backend out of the figures: imported before matplotlib, which refuses one that is not installed.

A notebook sets MPLBACKEND for whatever it starts. The rest of a user's settings, matplotlibrc, `figure.STYLE` replaces.
"""

import os

os.environ["MPLBACKEND"] = "agg"
