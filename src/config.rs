//! Settings of the server, the store and the models, from flags and the environment.
