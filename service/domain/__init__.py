"""Books, readers, interactions and ranking; knows no gRPC, protobuf, SQL, clock or environment."""
