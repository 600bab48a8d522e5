//! The job: the colours of some rows of the plane.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// The part of the complex plane that the picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plane {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) center: (f64, f64),
    /// What the shorter side of the picture spans.
    pub(crate) span: f64,
    pub(crate) iterations: u32,
}

impl Plane {
    /// The size of the picture in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.width as usize * self.height as usize * 3
    }

    /// The size of one row in memory.
    pub(crate) fn row_bytes(&self) -> u64 {
        u64::from(self.width) * 3
    }

    fn point(&self, column: u32, row: u32) -> (f64, f64) {
        let step = self.span / f64::from(self.width.min(self.height));
        let offset = |at: u32, of: u32| (f64::from(at) + 0.5 - f64::from(of) / 2.0) * step;
        (self.center.0 + offset(column, self.width), self.center.1 - offset(row, self.height))
    }
}

/// Red, green and blue of each pixel of these rows.
#[triune::job]
pub(crate) fn band(plane: Plane, rows: Range<u32>) -> ByteBuf {
    let points = rows.flat_map(|row| (0..plane.width).map(move |column| (column, row)));
    let colours = points.flat_map(|(column, row)| colour(escape(plane.point(column, row), plane.iterations)));
    ByteBuf::from(colours.collect::<Vec<u8>>())
}

/// After how many steps a point leaves, with the fraction of the last one, so that the colours have no edges. `None` if it
/// stays.
fn escape((x, y): (f64, f64), iterations: u32) -> Option<f64> {
    let (mut a, mut b) = (0.0, 0.0);
    for step in 0..iterations {
        let (a2, b2) = (a * a, b * b);
        // Larger than the usual 4: the fraction is smoother.
        if a2 + b2 > 256.0 {
            let log = f64::ln(a2 + b2) / 2.0;
            return Some(f64::from(step) + 1.0 - f64::log2(log / f64::ln(2.0)));
        }
        (a, b) = (a2 - b2 + x, 2.0 * a * b + y);
    }
    None
}

/// The stops of the palette, which goes round: from far outside towards the set.
const PALETTE: [[f64; 3]; 5] =
    [[0.0, 7.0, 80.0], [32.0, 107.0, 203.0], [237.0, 255.0, 255.0], [255.0, 170.0, 0.0], [60.0, 10.0, 30.0]];

/// The set itself is black.
fn colour(escape: Option<f64>) -> [u8; 3] {
    let Some(steps) = escape else { return [0; 3] };
    // The root: colours change slowly where the steps change fast.
    let place = steps.max(0.0).sqrt() * 0.45;
    let (stop, part) = (place as usize, place.fract());
    let (from, to) = (PALETTE[stop % PALETTE.len()], PALETTE[(stop + 1) % PALETTE.len()]);
    std::array::from_fn(|part_of| (from[part_of] + (to[part_of] - from[part_of]) * part) as u8)
}
