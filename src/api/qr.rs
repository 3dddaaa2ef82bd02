//! QR codes as pictures.

use qrcode::{Color, EcLevel, QrCode};

/// Pixels of a module, and of the quiet zone around the code in modules.
const SCALE: usize = 6;
const QUIET: usize = 4;

/// A PNG of one bit a pixel. `None` when the text is too long for a QR code.
pub fn png(text: &str) -> Option<Vec<u8>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let modules = code.width();
    let side = (modules + 2 * QUIET) * SCALE;
    let dark = |x: usize, y: usize| {
        let at = |pixel: usize| (pixel / SCALE).checked_sub(QUIET).filter(|module| *module < modules);
        matches!((at(x), at(y)), (Some(x), Some(y)) if code[(x, y)] == Color::Dark)
    };
    let mut rows = Vec::with_capacity(side * side.div_ceil(8));
    for y in 0..side {
        for start in (0..side).step_by(8) {
            let light = (0..8).filter(|bit| !dark(start + bit, y));
            rows.push(light.fold(0u8, |byte, bit| byte | (0x80 >> bit)));
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, u32::try_from(side).ok()?, u32::try_from(side).ok()?);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.write_header().ok()?.write_image_data(&rows).ok()?;
    Some(bytes)
}
