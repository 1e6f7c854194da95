//! Ridge regression by its normal equations, in f64.
//!
//! Sums of products are gathered once a fold and added or subtracted, so that inner folds and penalties cost one
//! Cholesky factorisation each and never another pass over the genes. All heavy work is matrix products by block; each
//! block is computed by one thread in a fixed order, so that the result does not depend on the number of threads.
//! Imports nothing of the crate.

use nalgebra::{Cholesky, DMatrix, DMatrixViewMut, DVector};
use rayon::prelude::*;

/// Columns of a block: small enough for the cache, large enough for the product's kernels.
const BLOCK: usize = 128;

/// Sums over rows that least squares needs: of inputs, outputs, and their products.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NormalEquations {
    rows: f64,
    x: DVector<f64>,
    y: DVector<f64>,
    xx: DMatrix<f64>,
    xy: DMatrix<f64>,
    /// Sum of squares by output.
    yy: DVector<f64>,
}

/// Coefficients (inputs × outputs) and one intercept an output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Solution {
    pub(super) coefficients: DMatrix<f64>,
    pub(super) intercept: DVector<f64>,
}

impl NormalEquations {
    pub(super) fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            rows: 0.0,
            x: DVector::zeros(inputs),
            y: DVector::zeros(outputs),
            xx: DMatrix::zeros(inputs, inputs),
            xy: DMatrix::zeros(inputs, outputs),
            yy: DVector::zeros(outputs),
        }
    }

    /// Adds rows; both matrices have one column a row, so that a row-major table is taken as it lies.
    pub(super) fn add_rows(&mut self, x: &DMatrix<f64>, y: &DMatrix<f64>) {
        let (x_rows, y_rows) = (x.transpose(), y.transpose());
        self.rows += x.ncols() as f64;
        self.x += x.column_sum();
        self.y += y.column_sum();
        self.yy += y.component_mul(y).column_sum();
        self.xy.gemm(1.0, x, &y_rows, 1.0);
        let inputs = x.nrows();
        blocks(&mut self.xx, 0).for_each(|(start, mut block)| {
            // The lower triangle alone: the upper one mirrors it in `mirror`.
            let width = block.ncols();
            let mut below = block.rows_mut(start, inputs - start);
            below.gemm(1.0, &x.rows(start, inputs - start), &x_rows.columns(start, width), 1.0);
        });
    }

    /// Fills the upper triangle once all rows are in.
    pub(super) fn mirror(&mut self) {
        self.xx.fill_upper_triangle_with_lower_triangle();
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.x += &other.x;
        self.y += &other.y;
        self.xx += &other.xx;
        self.xy += &other.xy;
        self.yy += &other.yy;
    }

    pub(super) fn without(&self, other: &Self) -> Self {
        Self {
            rows: self.rows - other.rows,
            x: &self.x - &other.x,
            y: &self.y - &other.y,
            xx: &self.xx - &other.xx,
            xy: &self.xy - &other.xy,
            yy: &self.yy - &other.yy,
        }
    }

    /// Minimises the squared error plus, for each input, rows × penalty × squared coefficients; the intercept is free.
    /// `None` where the equations are not positive definite, which a positive penalty rules out for finite input.
    pub(super) fn solve(&self, penalties: &[f64]) -> Option<Solution> {
        let mut xx = self.xx.clone();
        let mut xy = self.xy.clone();
        xx.ger(-1.0 / self.rows, &self.x, &self.x, 1.0);
        xy.ger(-1.0 / self.rows, &self.x, &self.y, 1.0);
        for (at, penalty) in penalties.iter().enumerate() {
            xx[(at, at)] += self.rows * penalty;
        }
        let coefficients = Factor::new(xx)?.solve(xy);
        let intercept = (&self.y - coefficients.tr_mul(&self.x)) / self.rows;
        Some(Solution { coefficients, intercept })
    }

    /// Returns the squared error of a solution on these rows, over the first `outputs` outputs.
    pub(super) fn squared_error(&self, solution: &Solution, outputs: usize) -> f64 {
        let Solution { coefficients, intercept } = solution;
        let explained = &self.xx * coefficients;
        let error = |output: usize| {
            let (b, c) = (coefficients.column(output), intercept[output]);
            let products = b.dot(&explained.column(output)) - 2.0 * b.dot(&self.xy.column(output));
            let constants = c * (self.rows * c - 2.0 * self.y[output] + 2.0 * b.dot(&self.x));
            self.yy[output] + products + constants
        };
        (0..outputs).map(error).sum()
    }
}

/// Splits a square matrix from `first` on into blocks of columns, each with the index of its first column.
fn blocks(
    matrix: &mut DMatrix<f64>,
    first: usize,
) -> impl IndexedParallelIterator<Item = (usize, DMatrixViewMut<'_, f64>)> {
    let rows = matrix.nrows();
    let columns = &mut matrix.as_mut_slice()[first * rows..];
    columns.par_chunks_mut(rows.max(1) * BLOCK).enumerate().map(move |(at, values)| {
        let width = values.len() / rows;
        (first + at * BLOCK, DMatrixViewMut::from_slice(values, rows, width))
    })
}

/// The lower Cholesky factor of a matrix, by blocks, with the inverse of each block of the diagonal.
struct Factor {
    lower: DMatrix<f64>,
    inverses: Vec<DMatrix<f64>>,
}

impl Factor {
    /// Factorises a symmetric matrix; reads its lower triangle alone.
    fn new(mut a: DMatrix<f64>) -> Option<Self> {
        let n = a.nrows();
        let mut inverses = Vec::with_capacity(n.div_ceil(BLOCK));
        for start in (0..n).step_by(BLOCK) {
            let width = BLOCK.min(n - start);
            let behind = start + width;
            let diagonal = Cholesky::new(a.view((start, start), (width, width)).into_owned())?.l();
            let inverse = diagonal.solve_lower_triangular(&DMatrix::identity(width, width))?;
            a.view_mut((start, start), (width, width)).copy_from(&diagonal);
            if behind < n {
                let panel = a.view((behind, start), (n - behind, width)) * inverse.transpose();
                a.view_mut((behind, start), (n - behind, width)).copy_from(&panel);
                let mirrored = panel.transpose();
                blocks(&mut a, behind).for_each(|(column, mut block)| {
                    let (offset, width) = (column - behind, block.ncols());
                    let mut below = block.rows_mut(column, n - column);
                    below.gemm(-1.0, &panel.rows(offset, n - column), &mirrored.columns(offset, width), 1.0);
                });
            }
            inverses.push(inverse);
        }
        Some(Self { lower: a, inverses })
    }

    /// Solves for a right side of one column a problem.
    fn solve(&self, mut b: DMatrix<f64>) -> DMatrix<f64> {
        let n = self.lower.nrows();
        let spans = |at: usize| (at * BLOCK, BLOCK.min(n - at * BLOCK));
        for (at, inverse) in self.inverses.iter().enumerate() {
            let (start, width) = spans(at);
            let solved = inverse * b.rows(start, width);
            b.rows_mut(start, width).copy_from(&solved);
            let behind = start + width;
            let panel = self.lower.view((behind, start), (n - behind, width));
            b.rows_mut(behind, n - behind).gemm(-1.0, &panel, &solved, 1.0);
        }
        for (at, inverse) in self.inverses.iter().enumerate().rev() {
            let (start, width) = spans(at);
            let behind = start + width;
            let panel = self.lower.view((behind, start), (n - behind, width)).transpose();
            let rest = b.rows(start, width) - panel * b.rows(behind, n - behind);
            b.rows_mut(start, width).copy_from(&(inverse.transpose() * rest));
        }
        b
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn random(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        DMatrix::from_fn(rows, columns, |_, _| rng.random_range(-1.0..1.0))
    }

    #[test]
    fn the_factor_solves_across_blocks() {
        for n in [1, 7, BLOCK, BLOCK + 1, 2 * BLOCK + 37] {
            let half = random(n, n + 5, 1);
            let a = &half * half.transpose() + DMatrix::identity(n, n);
            let b = random(n, 3, 2);
            let x = Factor::new(a.clone()).unwrap().solve(b.clone());
            assert!((a * x - b).amax() < 1e-9, "{n}");
        }
        assert!(Factor::new(DMatrix::from_element(2, 2, -1.0)).is_none());
    }

    #[test]
    fn the_solution_is_where_the_gradient_is_zero() {
        let (inputs, outputs, rows) = (9, 2, 40);
        let (x, y) = (random(inputs, rows, 3), random(outputs, rows, 4).add_scalar(0.7));
        let mut equations = NormalEquations::new(inputs, outputs);
        equations.add_rows(&x.columns(0, 15).into_owned(), &y.columns(0, 15).into_owned());
        equations.add_rows(&x.columns(15, 25).into_owned(), &y.columns(15, 25).into_owned());
        equations.mirror();
        let penalties: Vec<f64> = (0..inputs).map(|at| 0.01 * (at + 1) as f64).collect();
        let solution = equations.solve(&penalties).unwrap();
        let mut residual = solution.coefficients.transpose() * &x - &y;
        residual.column_iter_mut().for_each(|mut column| column += &solution.intercept);
        let squared: f64 = residual.row(0).iter().map(|r| r * r).sum();
        assert!((equations.squared_error(&solution, 1) - squared).abs() < 1e-9);
        assert!(residual.column_sum().amax() < 1e-9, "the intercept is free");
        let mut gradient = &x * residual.transpose();
        for input in 0..inputs {
            for output in 0..outputs {
                gradient[(input, output)] += rows as f64 * penalties[input] * solution.coefficients[(input, output)];
            }
        }
        assert!(gradient.amax() < 1e-9);
    }

    #[test]
    fn folds_can_be_taken_out_again() {
        let (x, y) = (random(5, 30, 5), random(1, 30, 6));
        let part = |from: usize, to: usize| {
            let mut equations = NormalEquations::new(5, 1);
            equations.add_rows(&x.columns(from, to - from).into_owned(), &y.columns(from, to - from).into_owned());
            equations.mirror();
            equations
        };
        let mut all = part(0, 12);
        all.add(&part(12, 30));
        let (left, direct) = (all.without(&part(0, 12)), part(12, 30));
        let difference = left.solve(&[0.1; 5]).unwrap().coefficients - direct.solve(&[0.1; 5]).unwrap().coefficients;
        assert!(difference.amax() < 1e-9);
    }
}
