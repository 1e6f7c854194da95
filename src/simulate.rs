//! A small simulated genome for the demo and the tests.
