//! Makes small pictures of pictures, and pictures as WhatsApp takes them for profiles. Decoding strangers' pictures is where memory
//! goes: so it reads the size before it decodes anything, and a picture that would be too large gets no small one.

use std::io::{BufRead, BufReader, Cursor, Seek};

use image::{
    DynamicImage, ImageDecoder, ImageReader, Limits, Rgb, RgbImage, codecs::jpeg::JpegEncoder, metadata::Orientation,
};

use super::Spooled;

/// Bytes of a decoded picture: 40 megapixels of three bytes.
const MAX_DECODED: u64 = 120 * 1024 * 1024;

/// Pixels of a side that no camera has.
const MAX_SIDE: u32 = 30_000;

/// Pixels of the longer side.
const SIDE: u32 = 96;

const QUALITY: u8 = 60;

/// Side and quality of a profile's picture, as WhatsApp's clients send it.
const PORTRAIT_SIDE: u32 = 640;
const PORTRAIT_QUALITY: u8 = 85;

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
    let mut decoder = decoder(BufReader::new(file.reader()))?;
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
        encode(&small, QUALITY)
    });
    Some(Preview { width, height, jpeg: jpeg.flatten() })
}

/// The middle of a picture as a square JPEG of at most [`PORTRAIT_SIDE`] pixels. `None`: it cannot be decoded, or is too large to be.
/// Blocks, and takes up to twice [`MAX_DECODED`] of memory.
pub fn portrait(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = decoder(Cursor::new(bytes))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if decoder.total_bytes() > MAX_DECODED {
        return None;
    }
    let mut picture = DynamicImage::from_decoder(decoder).ok()?;
    let short = picture.width().min(picture.height());
    if short > PORTRAIT_SIDE {
        let scaled = |side: u32| u32::try_from(u64::from(side) * u64::from(PORTRAIT_SIDE) / u64::from(short)).ok();
        picture = picture.thumbnail_exact(scaled(picture.width())?, scaled(picture.height())?);
    }
    let side = picture.width().min(picture.height());
    let (left, top) = ((picture.width() - side) / 2, (picture.height() - side) / 2);
    let mut square = picture.crop_imm(left, top, side, side);
    square.apply_orientation(orientation);
    encode(&square, PORTRAIT_QUALITY)
}

/// Knows the size of a picture, and decodes none that is too large.
fn decoder<'a>(from: impl BufRead + Seek + 'a) -> Option<impl ImageDecoder + 'a> {
    let mut reader = ImageReader::new(from).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    reader.into_decoder().ok()
}

/// JPEG has no transparency: what shines through is white.
fn encode(picture: &DynamicImage, quality: u8) -> Option<Vec<u8>> {
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
    JpegEncoder::new_with_quality(&mut jpeg, quality).encode_image(&opaque).ok()?;
    Some(jpeg.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

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
        let small = image::load_from_memory(&encode(&clear, QUALITY).unwrap()).unwrap().to_rgb8();
        assert!(small.pixels().all(|pixel| pixel.0.iter().all(|&part| part > 250)));
    }

    #[test]
    fn a_portrait_is_the_middle_of_a_picture() {
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            let found = image::load_from_memory(&portrait(&picture(1300, 900, format)).unwrap()).unwrap();
            assert_eq!((found.width(), found.height()), (640, 640), "{format:?}");
            // A small one is not blown up.
            let small = image::load_from_memory(&portrait(&picture(30, 50, format)).unwrap()).unwrap();
            assert_eq!((small.width(), small.height()), (30, 30), "{format:?}");
        }
        // Red in the middle of what is white at its sides.
        let mut sides = RgbImage::from_pixel(900, 300, Rgb([255, 255, 255]));
        for (x, y) in (300..600).flat_map(|x| (0..300).map(move |y| (x, y))) {
            sides.put_pixel(x, y, Rgb([200, 30, 30]));
        }
        let mut png = Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(sides).write_to(&mut png, ImageFormat::Png).unwrap();
        let found = image::load_from_memory(&portrait(png.get_ref()).unwrap()).unwrap().to_rgb8();
        assert_eq!((found.width(), found.height()), (300, 300));
        assert!(found.pixels().all(|pixel| pixel.0[1] < 120), "the middle is red");
        for rubbish in [b"".as_slice(), b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"plain"] {
            assert_eq!(portrait(rubbish), None);
        }
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
        assert_eq!(portrait(&png), None);
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
