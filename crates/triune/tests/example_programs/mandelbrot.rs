//! The picture of the Mandelbrot set: its pixels, and what it refuses.

use super::run::{refuses, run};

#[test]
fn the_picture_is_the_set_with_something_around_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("picture.png");
    let path = path.to_str().expect("the path is text");
    let ran = run("mandelbrot", &[path, "--width=121", "--height=81", "--center=0,0", "--span=2.4"]);
    assert_eq!(ran.code, Some(0), "{}", ran.errors);
    assert_eq!(ran.output, format!("{path}: 121 x 81 pixels\n"));
    let picture = image::open(path).expect("it is a picture").into_rgb8();
    assert_eq!(picture.dimensions(), (121, 81));
    let at = |x: f64, y: f64| {
        let step = 2.4 / 81.0;
        let place = |value: f64, size: f64| (value / step + size / 2.0).floor() as u32;
        picture.get_pixel(place(x, 121.0), place(-y, 81.0)).0
    };
    let set = [0; 3];
    // The main body, the circle beside it, and what is outside on each side. 0.26 lies just outside, -1.25 just inside.
    for (x, y) in [(0.0, 0.0), (-0.5, 0.2), (-1.0, 0.0), (-1.2, 0.0), (0.2, 0.0), (-0.12, 0.75)] {
        assert_eq!(at(x, y), set, "{x} {y}");
    }
    for (x, y) in [(0.5, 0.0), (0.4, 0.0), (1.0, 1.0), (-1.7, 0.8), (0.0, -1.1), (0.3, -0.7)] {
        assert_ne!(at(x, y), set, "{x} {y}");
    }
    for row in 0..40 {
        let mirrored = picture.rows().nth(80 - row).expect("there are 81 rows");
        assert!(picture.rows().nth(row).expect("as many").eq(mirrored), "the set is symmetric: row {row}");
    }
}

#[test]
fn what_it_cannot_draw_is_refused() {
    refuses("mandelbrot", &[], "a file for the picture is needed");
    refuses("mandelbrot", &["p.png", "--width=0"], "1 to 400000000 pixels");
    refuses("mandelbrot", &["p.png", "--center=here"], "--center is two numbers");
    refuses("mandelbrot", &["p.png", "--span=-1"], "--span more than 0");
    refuses("mandelbrot", &["/no/such/folder/p.png", "--width=9", "--height=9"], "cannot write the picture");
    assert!(run("mandelbrot", &["--help"]).output.starts_with("mandelbrot: draws"));
}
