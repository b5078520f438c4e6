"""mpisign: scaled sign gradient descent over MPI, and an audit of its theory.

The paper is *On Faster Convergence of Scaled Sign Gradient Descent* (Li, Lin, Li, Hong, Chen);
equation and theorem numbers in this package are the paper's.
"""

from mpisign._version import __version__

__all__ = ["__version__"]
