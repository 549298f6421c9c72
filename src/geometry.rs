//! Sizes, rectangles and view transforms. Names say their spaces: `image_from_screen` takes a
//! point on the screen to a point in the picture.

use serde::{Deserialize, Serialize};

/// A size in whole pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Extent {
    pub width: u32,
    pub height: u32,
}

impl Extent {
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub const fn area(self) -> usize {
        self.width as usize * self.height as usize
    }

    pub const fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// The whole extent as a rectangle at the origin.
    pub const fn bounds(self) -> Bounds {
        Bounds { x: 0, y: 0, width: self.width, height: self.height }
    }
}

impl std::fmt::Display for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A point in continuous pixel coordinates: (0, 0) is the outer corner of the first pixel, whose
/// centre is (0.5, 0.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

impl Point {
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    pub fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// The point at `t` of the way (0 here, 1 at `other`).
    pub fn lerp(self, other: Self, t: f32) -> Self {
        Self::new(self.x + (other.x - self.x) * t, self.y + (other.y - self.y) * t)
    }
}

/// A half-open rectangle of whole pixels: columns `x..x + width`, rows `y..y + height`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bounds {
    pub x: i32,
    pub y: i32,
    pub width: u32,
    pub height: u32,
}

impl Bounds {
    pub const fn new(x: i32, y: i32, width: u32, height: u32) -> Self {
        Self { x, y, width, height }
    }

    /// From corners, the far one exclusive. Empty if they are out of order.
    pub fn from_corners(x0: i32, y0: i32, x1: i32, y1: i32) -> Self {
        Self::new(x0, y0, (x1 - x0).max(0) as u32, (y1 - y0).max(0) as u32)
    }

    /// Every pixel that a disc touches.
    pub fn around_disc(centre: Point, radius: f32) -> Self {
        Self::from_corners(
            (centre.x - radius).floor() as i32,
            (centre.y - radius).floor() as i32,
            (centre.x + radius).ceil() as i32,
            (centre.y + radius).ceil() as i32,
        )
    }

    pub const fn right(self) -> i32 {
        self.x + self.width as i32
    }

    pub const fn bottom(self) -> i32 {
        self.y + self.height as i32
    }

    pub const fn extent(self) -> Extent {
        Extent::new(self.width, self.height)
    }

    pub const fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0
    }

    pub fn contains(self, x: i32, y: i32) -> bool {
        x >= self.x && y >= self.y && x < self.right() && y < self.bottom()
    }

    pub fn intersect(self, other: Self) -> Self {
        Self::from_corners(
            self.x.max(other.x),
            self.y.max(other.y),
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        )
    }

    /// The smallest rectangle around both; an empty one adds nothing.
    pub fn union(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        Self::from_corners(
            self.x.min(other.x),
            self.y.min(other.y),
            self.right().max(other.right()),
            self.bottom().max(other.bottom()),
        )
    }

    /// Grown by `margin` pixels on every side.
    pub fn grow(self, margin: u32) -> Self {
        let m = margin as i32;
        Self::from_corners(self.x - m, self.y - m, self.right() + m, self.bottom() + m)
    }
}

/// How the picture lies on the screen: `screen = image * zoom + offset`, in screen points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Screen points per image pixel.
    pub zoom: f32,
    /// Where the picture's corner lies, in screen points.
    pub offset: Point,
}

/// The furthest out and in that a view goes, in screen points per image pixel.
pub const ZOOM_RANGE: std::ops::RangeInclusive<f32> = 0.05..=64.0;

impl View {
    /// The whole of `image` centred in a screen rectangle with a margin, never enlarged past 1:1
    /// unless the picture is tiny.
    pub fn fit(image: Extent, screen_origin: Point, screen_size: Point, margin: f32) -> Self {
        let room = |size: f32| (size - 2.0 * margin).max(16.0);
        let zoom = (room(screen_size.x) / image.width.max(1) as f32)
            .min(room(screen_size.y) / image.height.max(1) as f32)
            .clamp(*ZOOM_RANGE.start(), 8.0);
        let offset = Point::new(
            screen_origin.x + (screen_size.x - image.width as f32 * zoom) / 2.0,
            screen_origin.y + (screen_size.y - image.height as f32 * zoom) / 2.0,
        );
        Self { zoom, offset }
    }

    pub fn screen_from_image(self, p: Point) -> Point {
        Point::new(p.x * self.zoom + self.offset.x, p.y * self.zoom + self.offset.y)
    }

    pub fn image_from_screen(self, p: Point) -> Point {
        Point::new((p.x - self.offset.x) / self.zoom, (p.y - self.offset.y) / self.zoom)
    }

    /// Zoomed by `factor` with the image point under `anchor` (screen) held still.
    pub fn zoom_at(self, anchor: Point, factor: f32) -> Self {
        let held = self.image_from_screen(anchor);
        let zoom = (self.zoom * factor).clamp(*ZOOM_RANGE.start(), *ZOOM_RANGE.end());
        Self { zoom, offset: Point::new(anchor.x - held.x * zoom, anchor.y - held.y * zoom) }
    }

    pub fn pan(self, dx: f32, dy: f32) -> Self {
        Self { offset: Point::new(self.offset.x + dx, self.offset.y + dy), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_mathematics() {
        let a = Bounds::new(0, 0, 10, 10);
        let b = Bounds::new(5, -5, 10, 10);
        assert_eq!(a.intersect(b), Bounds::new(5, 0, 5, 5));
        assert_eq!(a.union(b), Bounds::new(0, -5, 15, 15));
        assert_eq!(a.union(Bounds::default()), a);
        assert!(a.intersect(Bounds::new(20, 20, 3, 3)).is_empty());
        assert_eq!(a.grow(2), Bounds::new(-2, -2, 14, 14));
        assert_eq!(Bounds::around_disc(Point::new(5.5, 5.5), 1.0), Bounds::new(4, 4, 3, 3));
    }

    #[test]
    fn zooming_holds_the_point_under_the_pointer() {
        let view = View { zoom: 0.7, offset: Point::new(31.0, -12.0) };
        let anchor = Point::new(200.0, 90.0);
        let before = view.image_from_screen(anchor);
        let after = view.zoom_at(anchor, 1.7).image_from_screen(anchor);
        assert!(before.distance(after) < 1e-3);
        assert!((view.zoom_at(anchor, 1e9).zoom - 64.0).abs() < 1e-6);
    }

    #[test]
    fn transforms_are_each_others_inverse() {
        let view = View::fit(
            Extent::new(640, 480),
            Point::new(50.0, 20.0),
            Point::new(900.0, 500.0),
            24.0,
        );
        let p = Point::new(123.25, 45.5);
        assert!(view.image_from_screen(view.screen_from_image(p)).distance(p) < 1e-3);
    }
}
