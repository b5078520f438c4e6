"""What is recorded of a repeat, when and how exactly, and where that ends it."""
