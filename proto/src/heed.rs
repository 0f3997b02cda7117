//! Whom a host heeds: who has one of its group keys and, where it lists its senders, one of their keys.

use crate::seal::GroupKey;
use crate::sign::PublicKey;
use crate::wire::Discard;

/// Whether a host that lists these senders takes what `signer` has signed, or what nobody has. An empty list stands for
/// anybody.
pub(crate) fn accepts(senders: &[PublicKey], signer: Option<PublicKey>) -> bool {
    senders.is_empty() || signer.is_some_and(|signer| senders.contains(&signer))
}

/// Opens a datagram under any of the host's group keys; returns that key's place among them and the content.
///
/// # Errors
/// [`Discard::WrongKey`] if none of them opens it, otherwise why what it holds is refused.
pub(crate) fn open_under_any<T>(
    keys: &[GroupKey],
    open: impl Fn(&GroupKey) -> Result<T, Discard>,
) -> Result<(usize, T), Discard> {
    let mut reason = Discard::WrongKey;
    for (place, key) in keys.iter().enumerate() {
        match open(key) {
            Ok(content) => return Ok((place, content)),
            Err(Discard::WrongKey) => {}
            Err(other) => reason = other,
        }
    }
    Err(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_senders_admits_them_and_nobody_else_and_an_empty_one_anybody() {
        let [listed, other] = [1, 2].map(|byte| PublicKey([byte; PublicKey::BYTES]));
        for (senders, signer, is_taken) in [
            (&[][..], None, true),
            (&[], Some(other), true),
            (&[listed], Some(listed), true),
            (&[listed], Some(other), false),
            (&[listed], None, false),
        ] {
            assert_eq!(accepts(senders, signer), is_taken, "{senders:?} {signer:?}");
        }
    }

    #[test]
    fn the_key_that_opens_counts_and_otherwise_a_reason_that_says_more_than_a_wrong_key() {
        let keys = [1, 2, 3].map(|byte| GroupKey::new([byte; GroupKey::BYTES]));
        let open = |verdicts: [Result<&'static str, Discard>; 3]| {
            let verdicts = std::cell::RefCell::new(verdicts.into_iter());
            open_under_any(&keys, |_| verdicts.borrow_mut().next().expect("three keys"))
        };
        let (wrong, malformed) = (Err(Discard::WrongKey), Err(Discard::Malformed));
        assert_eq!(open([wrong, Ok("second"), Ok("third")]), Ok((1, "second")));
        assert_eq!(open([malformed, wrong, Ok("third")]), Ok((2, "third")));
        assert_eq!(open([wrong, wrong, wrong]), Err(Discard::WrongKey));
        assert_eq!(open([wrong, malformed, wrong]), Err(Discard::Malformed));
        assert_eq!(open_under_any(&[], |_| Ok(())), Err(Discard::WrongKey));
    }
}
