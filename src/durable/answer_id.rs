//! Ids by which somebody outside answers.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use crate::models::{CaseId, JournalId, Operation, OperationKind, WorkflowId};

/// Beginning of each id; another form will have another one.
const FORM: &str = "aw1";

/// Bytes of the part that nobody can guess.
const SECRET: usize = 16;

/// The place of an operation that waits for an answer, and what shows that it was given out by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AnswerId {
    pub item: JournalId,
    pub of: Operation,
    secret: Vec<u8>,
}

impl AnswerId {
    /// The id of an operation in the journal with a seed.
    pub(super) fn of(item: &JournalId, of: &Operation, seed: &str) -> Self {
        Self { item: item.clone(), of: of.clone(), secret: secret(of, seed) }
    }

    /// Returns true if it was given out by its operation, in the journal with a seed. All its bytes are compared.
    pub(super) fn is_of(&self, seed: &str) -> bool {
        let own = secret(&self.of, seed);
        let differ = own.iter().zip(&self.secret).fold(0, |all, (one, other)| all | (one ^ other));
        own.len() == self.secret.len() && differ == 0
    }
}

fn secret(of: &Operation, seed: &str) -> Vec<u8> {
    let text = format!("{seed} awakeable {} {}", of.scope, of.number);
    Sha256::digest(text)[..SECRET].to_vec()
}

impl fmt::Display for AnswerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JournalId { workflow, case, item } = &self.item;
        let Operation { scope, number, .. } = &self.of;
        let place = format!("{workflow} {case} {item} {number} {scope}");
        let (place, secret) = (place.as_bytes(), &self.secret);
        write!(f, "{FORM}.{}.{}", BASE64URL_NOPAD.encode(place), BASE64URL_NOPAD.encode(secret))
    }
}

impl FromStr for AnswerId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let (Some(FORM), Some(place), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let secret = BASE64URL_NOPAD.decode(secret.as_bytes()).map_err(drop)?;
        let place = BASE64URL_NOPAD.decode(place.as_bytes()).map_err(drop)?;
        let place = String::from_utf8(place).map_err(drop)?;
        let mut parts = place.splitn(5, ' ');
        let mut next = || parts.next().ok_or(());
        let (workflow, case) = (WorkflowId::new(next()?), CaseId::new(next()?));
        let (workflow, case) = (workflow.map_err(drop)?, case.map_err(drop)?);
        let item = JournalId { workflow, case, item: next()?.parse().map_err(drop)? };
        let (number, scope) = (next()?.parse().map_err(drop)?, next()?.to_owned());
        let (kind, name, input_hash) = (OperationKind::Awakeable, String::new(), None);
        Ok(Self { item, of: Operation { scope, number, kind, name, input_hash }, secret })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_and_counts_for_its_operation_alone() {
        let item = JournalId {
            workflow: WorkflowId::new("w").unwrap(),
            case: CaseId::new("order-7").unwrap(),
            item: 3,
        };
        let of = Operation {
            scope: "2:a b%2F".to_owned(),
            number: 4,
            kind: OperationKind::Awakeable,
            name: String::new(),
            input_hash: None,
        };
        let id = AnswerId::of(&item, &of, "seed");
        let back: AnswerId = id.to_string().parse().unwrap();
        assert_eq!(back, id);
        assert!(back.is_of("seed") && !back.is_of("other"));
        let other = AnswerId { of: Operation { number: 5, ..of }, ..back };
        assert!(!other.is_of("seed"));
        for text in ["", "aw1", "aw1..", "aw1.dw.AA", "aw2.dw.AA", "aw1.é.ü", "aw1.dw.AA.AA"] {
            assert!(text.parse::<AnswerId>().is_err(), "{text}");
        }
    }
}
