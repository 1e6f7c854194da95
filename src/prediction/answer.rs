//! The forms of an answer: JSON, TSV, phenotype BED, Arrow and Parquet.
