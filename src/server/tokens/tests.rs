use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::models::Role;

const ANN: &str = "0123456789abcdef-ann";
const BOB: &str = "0123456789abcdef-bob";

fn problem(text: &str) -> (usize, String) {
    file::parse(text).unwrap_err()
}

#[test]
fn a_wrong_line_is_named_and_no_token_is_said() {
    for (text, line, why) in [
        ("ann boss 0123456789abcdef", 1, "reader, operator or admin"),
        ("# a\n\nann admin", 3, "has 2 words"),
        ("ann admin 0123456789abcdef x", 1, "has 4 words"),
        ("ann admin secret", 1, "16 to 512 characters"),
        ("ann admin 0123456789abcde\u{e9}", 1, "16 to 512 characters"),
        ("a/b admin 0123456789abcdef", 1, "a name has"),
        ("a admin 0123456789abcdef\nb reader 0123456789abcdef", 2, "that of line 1"),
    ] {
        let (number, reason) = problem(text);
        assert_eq!(number, line, "{text}");
        assert!(reason.contains(why) && !reason.contains("0123"), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
    }
}

#[test]
fn a_token_is_found_with_name_and_role_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    fs::write(&path, format!("ann admin {ANN}\n\tbob  reader\t{BOB}  \n")).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let tokens = Tokens::open(&path).unwrap();
    let bob = tokens.find(BOB).unwrap();
    assert_eq!((bob.name.as_str(), bob.role), ("bob", Role::Reader));
    assert_eq!(tokens.find(ANN).unwrap().role, Role::Admin);
    for other in ["", "ann", &ANN[1..], &format!("{ANN} ")] {
        assert!(tokens.find(other).is_none(), "{other:?}");
    }
    assert!(!format!("{tokens:?}").contains(ANN));
}

#[test]
fn a_file_that_others_may_read_or_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    let error = |path: &Path| Tokens::open(path).unwrap_err().to_string();
    assert!(error(&path).contains("can't read"));
    assert!(error(folder.path()).contains("is no file"));
    fs::write(&path, format!("ann admin {ANN}\n")).unwrap();
    for (mode, fine) in
        [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o660, false)]
    {
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        match Tokens::open(&path) {
            Ok(_) => assert!(fine, "{mode:o}"),
            Err(error) => assert!(!fine && error.to_string().contains("chmod 600"), "{error}"),
        }
    }
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(&path, "# nobody\n").unwrap();
    assert!(error(&path).contains("has no token"));
}
