//! The composition root: store, reference, models, engines, router, listener, shutdown.
