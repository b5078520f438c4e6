"""mpisign: scaled sign gradient descent over MPI, and an audit of its theory.

The paper is *On Faster Convergence of Scaled Sign Gradient Descent* (Li, Lin, Li, Hong, Chen);
equation and theorem numbers in this package are the paper's.
"""

__version__ = "0.1.0"
