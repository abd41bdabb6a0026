"""Conversion between protobuf messages and the model, one module for each entity.

Converters of requests do not raise: they append each violation to the list they are given,
and what they return is used only if that list stays empty.

Functions named `to_proto` write into the message they are given: a message that is built
apart would have to be copied into its response.
"""
