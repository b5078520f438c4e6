"""Print the bounds that were checked, in a script or a notebook."""

from mpisign.audit.bounds.bound_check import BoundCheck


class Verdicts(list[BoundCheck]):
    """The bounds that were checked; its text is a line each."""

    def __repr__(self) -> str:
        from mpisign.audit.bounds.command import table  # it imports matplotlib

        return "\n".join(table(self))
