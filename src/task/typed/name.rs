//! The name of a task that was given none: its path, with dots.

/// The length of `path` with `.` for every `::`.
pub const fn dotted_len(path: &str) -> usize {
    let bytes = path.as_bytes();
    let (mut at, mut length) = (0, 0);
    while at < bytes.len() {
        at += if is_joint(bytes, at) { 2 } else { 1 };
        length += 1;
    }
    length
}

/// `path` with `.` for every `::`, at compile time. `N` is its [`dotted_len`].
pub const fn dotted<const N: usize>(path: &str) -> [u8; N] {
    let bytes = path.as_bytes();
    let mut name = [b'.'; N];
    let (mut at, mut length) = (0, 0);
    while at < bytes.len() && length < N {
        if is_joint(bytes, at) {
            at += 2;
        } else {
            name[length] = bytes[at];
            at += 1;
        }
        length += 1;
    }
    name
}

const fn is_joint(bytes: &[u8], at: usize) -> bool {
    bytes[at] == b':' && at + 1 < bytes.len() && bytes[at + 1] == b':'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_dotted_name() {
        const PATH: &str = "shop::mail::send";
        const NAME: [u8; dotted_len(PATH)] = dotted(PATH);
        assert_eq!(NAME, *b"shop.mail.send");
        assert_eq!(dotted::<{ dotted_len("alone") }>("alone"), *b"alone");
    }
}
