"""The contract as tools for agents, in the Model Context Protocol.

The SDK takes over a second and 30 MB to import. What others may import at once is `rpcs`,
`connection` and `http_app`; the other modules import it.
"""
