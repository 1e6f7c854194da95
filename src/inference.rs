//! The engine: a bounded queue in front of one thread that owns a model.
