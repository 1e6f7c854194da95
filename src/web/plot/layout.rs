//! Where things are in the picture of a profile: a wide one that stands alone, and a narrow one for a phone's page, which
//! says the gene and where it is itself.

/// Places and sizes, in the picture's units.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(super) width: f32,
    /// Where the bars start, and where the axis ends: behind it there is room for the last number.
    pub(super) bars: (f32, f32),
    /// Where the first row starts.
    pub(super) top: f32,
    pub(super) row: f32,
    /// From a row's top to its bar.
    pub(super) to_bar: f32,
    /// The end of a tissue's name, or its start where it stands above the bar.
    pub(super) name: f32,
    pub(super) is_wide: bool,
    /// What tells the identifiers of two pictures on one page apart.
    pub(super) prefix: &'static str,
}

impl Layout {
    /// Names beside the bars, under a heading.
    pub(crate) const WIDE: Self = Self {
        width: 960.0,
        bars: (286.0, 836.0),
        top: 104.0,
        row: 17.0,
        to_bar: 3.0,
        name: 278.0,
        is_wide: true,
        prefix: "tc",
    };

    /// Names above the bars, without a heading.
    pub(crate) const NARROW: Self = Self {
        width: 400.0,
        bars: (10.0, 270.0),
        top: 36.0,
        row: 32.0,
        to_bar: 17.0,
        name: 10.0,
        is_wide: false,
        prefix: "tn",
    };
}
