//! Small pictures of pictures. Decoding strangers' pictures is where memory goes: the size is read before anything is decoded, and what
//! would be too large has no small picture.

use std::io::{BufReader, Cursor};

use image::{
    DynamicImage, ImageDecoder as _, ImageReader, Limits, Rgb, RgbImage, codecs::jpeg::JpegEncoder,
    metadata::Orientation,
};

use super::Spooled;

/// Of a decoded picture: 40 megapixels of three bytes.
const MAX_DECODED: u64 = 120 * 1024 * 1024;

/// Pixels of a side that no camera has.
const MAX_SIDE: u32 = 30_000;

/// Pixels of the longer side.
const SIDE: u32 = 96;

const QUALITY: u8 = 60;

/// How a picture looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Pixels, as it is shown.
    pub width: u32,
    pub height: u32,
    /// A small JPEG; `None`: it cannot be decoded, or is too large to be.
    pub jpeg: Option<Vec<u8>>,
}

/// `None`: it is no picture that we can read. Blocks, and takes up to [`MAX_DECODED`] of memory.
pub fn preview(file: &Spooled) -> Option<Preview> {
    let mut reader = ImageReader::new(BufReader::new(file.reader())).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let turned = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    let (width, height) = if turned { (height, width) } else { (width, height) };
    let jpeg = (decoder.total_bytes() <= MAX_DECODED).then(|| {
        let mut small = DynamicImage::from_decoder(decoder).ok()?.thumbnail(SIDE, SIDE);
        small.apply_orientation(orientation);
        encode(&small)
    });
    Some(Preview { width, height, jpeg: jpeg.flatten() })
}

/// JPEG has no transparency: what shines through is white.
fn encode(picture: &DynamicImage) -> Option<Vec<u8>> {
    let picture = picture.to_rgba8();
    let mut opaque = RgbImage::new(picture.width(), picture.height());
    for (to, from) in opaque.pixels_mut().zip(picture.pixels()) {
        let [red, green, blue, alpha] = from.0;
        let over_white = |part: u8| {
            let mixed = (u16::from(part) * u16::from(alpha) + 255 * (255 - u16::from(alpha))) / 255;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        *to = Rgb([red, green, blue].map(over_white));
    }
    let mut jpeg = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&opaque).ok()?;
    Some(jpeg.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use image::ImageFormat;

    use super::*;

    fn spooled(bytes: &[u8]) -> Spooled {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Spooled::new(file, bytes.len() as u64, [0; 32], Vec::new())
    }

    fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let picture = DynamicImage::ImageRgb8(RgbImage::from_pixel(width, height, Rgb([200, 30, 30])));
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn pictures_have_small_ones() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let found = preview(&spooled(&picture(400, 200, format))).unwrap();
            assert_eq!((found.width, found.height), (400, 200), "{format:?}");
            let small = image::load_from_memory(&found.jpeg.unwrap()).unwrap();
            assert_eq!((small.width(), small.height()), (96, 48), "{format:?}");
        }
    }

    #[test]
    fn what_shines_through_is_white() {
        let clear = DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(10, 10, image::Rgba([0, 0, 0, 0])));
        let small = image::load_from_memory(&encode(&clear).unwrap()).unwrap().to_rgb8();
        assert!(small.pixels().all(|pixel| pixel.0.iter().all(|&part| part > 250)));
    }

    /// A PNG of a few bytes that says it is 25,000 by 25,000 pixels: two gigabytes.
    #[test]
    fn a_bomb_is_measured_and_not_decoded() {
        let mut png = picture(1, 1, ImageFormat::Png);
        png[16..20].copy_from_slice(&25_000_u32.to_be_bytes());
        png[20..24].copy_from_slice(&25_000_u32.to_be_bytes());
        let sum = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&sum.to_be_bytes());
        let found = preview(&spooled(&png));
        assert!(found.is_none_or(|found| found.width == 25_000 && found.jpeg.is_none()));
    }

    #[test]
    fn rubbish_is_none() {
        for bytes in [b"".as_slice(), b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"plain"] {
            assert!(preview(&spooled(bytes)).is_none_or(|found| found.jpeg.is_none()));
        }
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
        })
    }
}
