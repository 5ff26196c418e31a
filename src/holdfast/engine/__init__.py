"""Bytes in, bytes out: RESP, tables, values, keyspace, dispatch. No I/O, no clock."""
