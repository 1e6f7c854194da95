//! Who lives next to whom: the measured genes around a place, and the minimal cover by vicinities.
