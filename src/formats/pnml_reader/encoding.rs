//! Decoding of bytes to text: byte order marks, the encoding that the XML declaration names, and
//! the characters that XML allows.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::{Kind, Mode, PnmlError, position};

/// The text of a file, without a byte order mark.
///
/// ISO-8859-1 is read as windows-1252, as browsers do: they differ only in control characters
/// that nobody means.
pub(in crate::formats) fn decode(bytes: &[u8], mode: Mode) -> Result<Cow<'_, str>, PnmlError> {
    let (encoding, body) = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => (UTF_8, rest),
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => {
            return Err(unreadable("UTF-32; save the file as UTF-8"));
        }
        [0xFF, 0xFE, rest @ ..] => (UTF_16LE, rest),
        [0xFE, 0xFF, rest @ ..] => (UTF_16BE, rest),
        [b'<', 0, ..] => (UTF_16LE, bytes),
        [0, b'<', ..] => (UTF_16BE, bytes),
        _ => (declared(bytes, mode)?, bytes),
    };
    let text = if encoding == UTF_8 {
        Cow::Borrowed(std::str::from_utf8(body).map_err(|error| {
            let valid = String::from_utf8_lossy(&body[..error.valid_up_to()]);
            let message = "not UTF-8 here; name the encoding in the first line, as in \
                           <?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>";
            position::error(&valid, valid.len(), Kind::Encoding, message)
        })?)
    } else {
        encoding
            .decode_without_bom_handling_and_without_replacement(body)
            .ok_or_else(|| unreadable(encoding.name()))?
    };
    if text.starts_with('\u{FEFF}') {
        // quick-xml would drop it and count bytes from behind it.
        let message = "a second byte order mark; remove it";
        return Err(position::error(&text, 0, Kind::Encoding, message));
    }
    check_characters(&text)?;
    Ok(text)
}

fn unreadable(what: &str) -> PnmlError {
    PnmlError {
        line: 1,
        column: 1,
        kind: Kind::Encoding,
        message: format!("can't be read as {what}"),
    }
}

/// The encoding that the XML declaration names; UTF-8 if it names none.
fn declared(bytes: &[u8], mode: Mode) -> Result<&'static Encoding, PnmlError> {
    let Some(name) = declared_name(bytes) else { return Ok(UTF_8) };
    let Some(encoding) = Encoding::for_label(name) else {
        let name = String::from_utf8_lossy(name);
        return Err(unreadable(&format!(
            "{}: no encoding of that name is known; save the file as UTF-8",
            position::excerpt(&name)
        )));
    };
    let is_wide = encoding == UTF_16LE || encoding == UTF_16BE;
    match mode {
        // Some writers name the encoding of the string that they had in memory.
        Mode::Lenient if is_wide => Ok(UTF_8),
        Mode::Strict if is_wide => {
            Err(unreadable("UTF-16, which the first line names; correct the first line"))
        }
        _ if encoding == WINDOWS_1252 || encoding.is_ascii_compatible() => Ok(encoding),
        _ => Err(unreadable(encoding.name())),
    }
}

fn declared_name(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().take(1024).position(|byte| *byte == b'>')?;
    let declaration = bytes[..end].strip_prefix(b"<?xml")?;
    let word = b"encoding";
    let at = declaration.windows(word.len()).position(|window| window == word)?;
    let rest = declaration[at + word.len()..].trim_ascii_start().strip_prefix(b"=")?;
    let (quote, rest) = rest.trim_ascii_start().split_first()?;
    let end = rest.iter().position(|byte| byte == quote)?;
    Some(&rest[..end])
}

/// Refuses characters that XML 1.0 has no place for, by its production `Char`.
fn check_characters(text: &str) -> Result<(), PnmlError> {
    let bytes = text.as_bytes();
    let mut from = 0;
    // Nearly every byte is passed over here, which the compiler does many at a time.
    while let Some(step) = bytes[from..].iter().position(|byte| *byte < 0x20 || *byte == 0xEF) {
        let at = from + step;
        from = at + 1;
        let allowed = match bytes[at] {
            b'\t' | b'\n' | b'\r' => true,
            0xEF => !matches!(bytes.get(from..from + 2), Some([0xBF, 0xBE | 0xBF])),
            _ => false,
        };
        if !allowed {
            let found = text[at..].chars().next().unwrap_or_default();
            let message = format!("the character {found:?} is not allowed in XML; remove it");
            return Err(position::error(text, at, Kind::Xml, message));
        }
    }
    Ok(())
}
