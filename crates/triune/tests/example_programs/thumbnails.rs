//! Thumbnails of pictures that nobody has looked at.

use std::path::Path;

use image::{ImageFormat, RgbImage};

use super::run::{refuses, run};

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 40]))
}

/// A file of a few bytes that says it has 40 000 x 30 000 pixels, 3.6 GB.
fn bomb() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture(1, 1).write_to(&mut bytes, ImageFormat::Png).expect("it is written to memory");
    let mut bytes = bytes.into_inner();
    // Signature, length and type are 16 bytes; then width and height, and behind 13 bytes of content their checksum.
    bytes[16..20].copy_from_slice(&40_000_u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&30_000_u32.to_be_bytes());
    let mut checksum = flate2::Crc::new();
    checksum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
    bytes
}

fn path(folder: &Path) -> &str {
    folder.to_str().expect("the path is text")
}

#[test]
fn every_good_picture_has_a_thumbnail_whatever_the_others_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pictures, thumbnails) = (folder.path().join("pictures"), folder.path().join("thumbnails"));
    std::fs::create_dir(&pictures).expect("a folder of ours");
    for number in 0..6 {
        let extension = if number % 2 == 0 { "png" } else { "JPG" };
        let name = pictures.join(format!("good{number}.{extension}"));
        picture(300, 150 + number).save(name).expect("a folder of ours");
    }
    let whole = std::fs::read(pictures.join("good0.png")).expect("just written");
    std::fs::write(pictures.join("cut.png"), &whole[..whole.len() / 2]).expect("a folder of ours");
    std::fs::write(pictures.join("words.jpeg"), "no picture at all").expect("a folder of ours");
    std::fs::write(pictures.join("bomb.png"), bomb()).expect("a folder of ours");
    std::fs::write(pictures.join("notes.txt"), "left alone").expect("a folder of ours");

    let ran = run("thumbnails", &[path(&pictures), path(&thumbnails), "--size=64", "--memory=256"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.output, ran.errors);
    let lines: Vec<&str> = ran.output.lines().collect();
    assert_eq!(lines[0], "refused bomb.png: the decoder died: out of memory");
    assert!(lines[1].starts_with("refused cut.png: "), "{}", ran.output);
    assert!(lines[2].starts_with("refused words.jpeg: "), "{}", ran.output);
    assert_eq!(lines[3], format!("6 thumbnails in {}", path(&thumbnails)));
    let mut made: Vec<_> = std::fs::read_dir(&thumbnails)
        .expect("it was made")
        .map(|entry| entry.expect("it is there").path())
        .collect();
    made.sort();
    assert_eq!(made.len(), 6, "and no part of one: {made:?}");
    for thumbnail in made {
        let thumbnail = image::open(thumbnail).expect("it is a picture");
        assert_eq!(thumbnail.width(), 64);
        assert!((30..=40).contains(&thumbnail.height()), "{}", thumbnail.height());
    }
}

#[test]
fn a_folder_of_good_pictures_is_a_success_and_one_without_any_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("thumbnails");
    let empty = run("thumbnails", &[path(folder.path()), path(&target)]);
    assert_eq!(empty.code, Some(0), "{}", empty.errors);
    assert!(empty.output.starts_with("no pictures"), "{}", empty.output);
    picture(10, 20).save(folder.path().join("a.png")).expect("a folder of ours");
    let ran = run("thumbnails", &[path(folder.path()), path(&target)]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.output, ran.errors);
    assert!(target.join("a.png.png").exists());
}

#[test]
fn what_it_cannot_use_is_refused() {
    refuses("thumbnails", &["only-one"], "two folders are needed");
    refuses(
        "thumbnails",
        &["/no/such/folder", "/tmp/never"],
        "cannot read the folder of pictures, /no/such/folder",
    );
    refuses("thumbnails", &["a", "b", "--size=0"], "more than 0");
    refuses("thumbnails", &["a", "b", "--size=large"], "large");
    assert!(run("thumbnails", &["--help"]).output.starts_with("thumbnails: makes"));
}
