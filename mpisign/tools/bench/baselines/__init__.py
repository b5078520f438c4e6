"""Time Example 5 by what people would use instead."""
