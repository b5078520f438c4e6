"""What is recorded of a repeat, when, and where that ends it."""
