"""What a document is and where it lies: schema, readers, extraction, shards, commits, ledger."""
