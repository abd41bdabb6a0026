"""Between messages and plain data, by noun.

Converters of requests are total: they append every broken rule they see to the
list they are given, and then answer something nobody will use.
"""
