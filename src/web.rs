//! Pages and SVG plots.
