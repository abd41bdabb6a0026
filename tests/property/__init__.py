"""A model of everything: random sequences of calls, judged by a model of the contract.

`model*.py` and `filters.py` say what the contract promises, in plain Python and without
a look at the service; `strategies.py` draws requests, `places.py` puts names of what is
there into them, `machine.py` strings them together; `harness.py` runs a real service whose
clock stands still, and `model_comparison.py` asks both and holds their answers together.
`found.py` judges searches and profiles, as far as the contract foretells them.
`faults.py` breaks promises, to see that they are kept an eye on.

To add an entity: give `Model` the methods of its RPCs, a strategy to each of their
requests, and the methods to `machine.WRITES`, `READS`, `LISTS` or `SEARCHES`. What is not answered
alike twice (a score, a status that a worker moves) needs a rule of its own.
"""
