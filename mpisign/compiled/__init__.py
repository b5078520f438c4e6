"""Run what a kind's code says without the interpreter: functions written once that run plain or compiled."""
