"""Example 5 beside what people would use instead."""
