# A forked child that writes a snapshot.

from holdfast.engine.keyspace cimport Keyspace
from holdfast.persistence.rdb_write cimport Plan, Target
