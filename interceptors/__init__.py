"""Guards around every RPC: tracing, logging, metrics, errors, identity, limits, deadline.

They know gRPC and nothing of books; each file is one concern and owns no policy.
"""
