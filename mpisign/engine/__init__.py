"""Plan, iterate, record, save and resume Algorithm 3."""
