//! Matrix products on one thread, for kernels that share out their work themselves.

use gemm::Parallelism;

/// The place of a matrix in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl Layout {
    /// Rows of `columns` numbers that begin `stride` apart.
    pub fn rows(rows: usize, columns: usize, stride: usize) -> Self {
        Self { rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The same numbers with rows for columns.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// One past the last number; 0 if there is none.
    pub fn end(self) -> usize {
        match (self.rows.checked_sub(1), self.columns.checked_sub(1)) {
            (Some(row), Some(column)) => row * self.row_stride + column * self.column_stride + 1,
            _ => 0,
        }
    }
}

/// `out` = `factor` * left * right.
pub fn product(
    (out, layout): (&mut [f32], Layout),
    left: (&[f32], Layout),
    right: (&[f32], Layout),
    factor: f32,
) {
    assert!(layout.end() <= out.len());
    // SAFETY: `out` is borrowed mutably, and the matrix lies within it, as was just asserted.
    unsafe { product_at(out.as_mut_ptr(), layout, left, right, factor, false) }
}

/// As [`product`], to an address; with `add`, on top of what is there.
///
/// # Safety
/// Every number of `layout` from `out` on must be initialised and writable, and no other thread
/// may touch it meanwhile.
pub unsafe fn product_at(
    out: *mut f32,
    layout: Layout,
    (left, left_layout): (&[f32], Layout),
    (right, right_layout): (&[f32], Layout),
    factor: f32,
    add: bool,
) {
    assert!(left_layout.end() <= left.len() && right_layout.end() <= right.len());
    assert_eq!((left_layout.rows, right_layout.columns), (layout.rows, layout.columns));
    assert_eq!(left_layout.columns, right_layout.rows);
    // SAFETY: the operands lie within their slices, as was just asserted, and the caller vouches
    // for the result.
    unsafe {
        gemm::gemm(
            layout.rows,
            layout.columns,
            left_layout.columns,
            out,
            layout.column_stride as isize,
            layout.row_stride as isize,
            add,
            left.as_ptr(),
            left_layout.column_stride as isize,
            left_layout.row_stride as isize,
            right.as_ptr(),
            right_layout.column_stride as isize,
            right_layout.row_stride as isize,
            1.0,
            factor,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_hand() {
        let left = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut out = [0.0; 5];
        // Two rows of two, three apart: [1 2 3; 4 5 6] times its transposed.
        let layout = Layout::rows(2, 2, 3);
        let rows = Layout::rows(2, 3, 3);
        product((&mut out, layout), (&left, rows), (&left, rows.transposed()), 2.0);
        assert_eq!(out, [28.0, 64.0, 0.0, 64.0, 154.0]);
        assert_eq!((layout.end(), Layout::rows(0, 3, 3).end()), (5, 0));
    }

    #[test]
    #[should_panic]
    fn operands_must_lie_within_their_slices() {
        let mut out = [0.0; 4];
        let square = Layout::rows(2, 2, 2);
        product((&mut out, square), (&[1.0; 3], square), (&[1.0; 4], square), 1.0);
    }
}
