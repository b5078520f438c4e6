"""Extremal problems: how bad what the assumptions allow can be, and examples that attain it."""
