"""How f* and L of large data are found: Newton's method, and the Hessian that leads to both."""
