"""The exchanges by name."""

from collections.abc import Callable
from typing import TypeAlias

from mpisign.aggregation.exchange import Central, Exchange, Format, Sharded
from mpisign.comm.communicator import Communicator
from mpisign.config.registry import Registry
from mpisign.config.validation import InputError


def _by_node(ranks: Communicator, workers: int, form: Format) -> Exchange:
    """Shared memory within a machine, without a message; slices of counts or rows between first ranks of machines."""
    from mpisign.aggregation.slices.by_node import (
        by_node,  # here: its kernels call POSIX, which a process without ranks need not have
    )

    return by_node(ranks, workers, form)


EXCHANGES: Registry[Exchange] = Registry("exchanges", Exchange, server=Central, sharded=Sharded, node=_by_node)
"""The names of a job file's `exchange`, but for "auto", and what plans it: of the ranks, M and the format."""

ExchangeFactory: TypeAlias = Callable[[int, Format], Exchange]
"""What plans an exchange, once a server says for what: exchange_factory(workers, form)."""


def exchange_factory(name: str, ranks: Communicator) -> ExchangeFactory:
    """Return what plans the exchange of that name; in one process there is nothing to cut or to carry."""
    maker = EXCHANGES[name] if ranks.size > 1 else Central

    def planned(workers: int, form: Format) -> Exchange:
        made = maker(ranks, workers, form)
        if lacking := [attribute for attribute in Exchange.__annotations__ if not hasattr(made, attribute)]:
            what = f"expected {type(made).__name__} to have {', '.join(lacking)} once it is made"
            raise InputError("exchange", f"{what}; see mpisign.Exchange")
        return made

    return planned
