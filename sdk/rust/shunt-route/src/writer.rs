//! The MessagePack that a guest writes.

use alloc::vec::Vec;

pub(crate) fn write_array(bytes: &mut Vec<u8>, count: u32) {
    write_length(bytes, count, 0x90, 15, None, 0xdc);
}

pub(crate) fn write_table(bytes: &mut Vec<u8>, count: u32) {
    write_length(bytes, count, 0x80, 15, None, 0xde);
}

pub(crate) fn write_text(bytes: &mut Vec<u8>, text: &str) {
    // Text of more than four gigabytes does not fit into the memory of a guest.
    write_length(bytes, text.len() as u32, 0xa0, 31, Some(0xd9), 0xda);
    bytes.extend_from_slice(text.as_bytes());
}

pub(crate) fn write_unsigned(bytes: &mut Vec<u8>, integer: u32) {
    write_length(bytes, integer, 0x00, 127, Some(0xcc), 0xcd);
}

/// A number as the format packs its lengths and its unsigned integers: in the tag where it is
/// at most `fix_max`, else behind a tag for one byte, for two and, the next tag, for four.
fn write_length(
    bytes: &mut Vec<u8>,
    length: u32,
    fix: u8,
    fix_max: u8,
    tag_8: Option<u8>,
    tag_16: u8,
) {
    if let Ok(short) = u8::try_from(length) {
        if short <= fix_max {
            return bytes.push(fix | short);
        }
        if let Some(tag_8) = tag_8 {
            return bytes.extend_from_slice(&[tag_8, short]);
        }
    }
    if let Ok(short) = u16::try_from(length) {
        bytes.push(tag_16);
        bytes.extend_from_slice(&short.to_be_bytes());
    } else {
        bytes.push(tag_16 + 1);
        bytes.extend_from_slice(&length.to_be_bytes());
    }
}
