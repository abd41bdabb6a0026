"""A model of everything: random sequences of calls, judged by a model of the contract.

`model*.py` says what the contract promises, in plain Python and without a look at
the service; `machine.py` draws sequences of calls and asks the model and a real
service the same; `compare.py` holds the answers against each other.

To add a noun: give `Model` the methods of its RPCs, write strategies for their
requests, and add rules that hand these to `Machine.call`.
"""
