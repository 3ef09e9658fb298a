//! OCSP responses as they lie beside a certificate, before they are stapled (RFC 6960, 4.2; RFC 6066, 8).
//!
//! The responder's signature is not verified: that is for clients, which trust it or not. What is checked is what a wrong,
//! old or broken file would do to them: it must be a successful response about this certificate, which it says is good.

use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

/// Reads an OCSP response for the certificate with this serial number, and returns when it is out of date, in seconds since
/// 1970; `None` where it does not say.
pub(super) fn next_update(response: &[u8], serial: &[u8]) -> Result<Option<i64>, String> {
    let (tag, response, rest) = value(response).ok_or("it is no OCSP response in DER")?;
    if tag != SEQUENCE || !rest.is_empty() {
        return Err("it is no OCSP response in DER".into());
    }
    let (status, rest) = expect(response, ENUMERATED).ok_or("it is no OCSP response in DER")?;
    match status {
        [0] => {}
        [1] => return Err("the responder refused the request as malformed".into()),
        [2] => return Err("the responder had an internal error".into()),
        [3] => return Err("the responder told the client to try later".into()),
        [5] => return Err("the responder requires a signed request".into()),
        [6] => return Err("the responder did not authorize the request".into()),
        _ => return Err("its status is unknown".into()),
    }
    basic(rest, serial).ok_or("it is a malformed OCSP response")?
}

/// What is in a successful response. `None` where it is malformed.
fn basic(bytes: &[u8], serial: &[u8]) -> Option<Result<Option<i64>, String>> {
    let (bytes, _) = expect(bytes, EXPLICIT_0)?;
    let (bytes, _) = expect(bytes, SEQUENCE)?;
    let (kind, bytes) = expect(bytes, OBJECT_IDENTIFIER)?;
    if kind != ID_PKIX_OCSP_BASIC {
        return Some(Err("it is not a basic OCSP response".into()));
    }
    let (bytes, _) = expect(bytes, OCTET_STRING)?;
    let (bytes, _) = expect(bytes, SEQUENCE)?;
    let (data, _signature) = expect(bytes, SEQUENCE)?;

    // The version is there only if it is not 1.
    let data = expect(data, EXPLICIT_0).map_or(data, |(_version, rest)| rest);
    let (_responder, _, data) = value(data)?;
    let (_produced_at, data) = expect(data, GENERALIZED_TIME)?;
    let (mut responses, _extensions) = expect(data, SEQUENCE)?;

    while !responses.is_empty() {
        let (single, rest) = expect(responses, SEQUENCE)?;
        responses = rest;
        let (id, single) = expect(single, SEQUENCE)?;
        let (_algorithm, id) = expect(id, SEQUENCE)?;
        let (_issuer_name, id) = expect(id, OCTET_STRING)?;
        let (_issuer_key, id) = expect(id, OCTET_STRING)?;
        let (about, _) = expect(id, INTEGER)?;
        if about != serial {
            continue;
        }
        let (status, _, single) = value(single)?;
        match status {
            GOOD => {}
            REVOKED => return Some(Err("it says that the certificate is revoked".into())),
            _ => return Some(Err("it says that the responder does not know the certificate".into())),
        }
        let (_this_update, single) = expect(single, GENERALIZED_TIME)?;
        let Some((next, _)) = expect(single, EXPLICIT_0) else { return Some(Ok(None)) };
        let (rest, next) = ASN1Time::from_der(next).ok()?;
        return rest.is_empty().then(|| Ok(Some(next.timestamp())));
    }
    Some(Err("it is about another certificate".into()))
}

/// The value at the beginning of `bytes` if it has this tag, and what follows it.
fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, value, rest) = value(bytes)?;
    (found == tag).then_some((value, rest))
}

/// The tag and value at the beginning of `bytes`, and what follows them. Tags and lengths here are always short.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().try_fold(0_usize, |sum, &byte| sum.checked_mul(256)?.checked_add(usize::from(byte)))?, rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;

/// The status of a certificate: `[0] IMPLICIT NULL`.
const GOOD: u8 = 0x80;

/// The status of a certificate: `[1] IMPLICIT RevokedInfo`.
const REVOKED: u8 = 0xa1;

/// 1.3.6.1.5.5.7.48.1.1
const ID_PKIX_OCSP_BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 1];

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let value = parts.concat();
        let length = u16::try_from(value.len()).unwrap();
        [&[tag, 0x82], &length.to_be_bytes()[..], &value].concat()
    }

    /// A response with this status of the certificate with this serial number. Its signature is no signature.
    pub(in crate::tls) fn response(serial: &[u8], status: &[u8], next_update: Option<&str>) -> Vec<u8> {
        let time = |text: &str| tlv(GENERALIZED_TIME, &[text.as_bytes()]);
        let id = tlv(
            SEQUENCE,
            &[
                &tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[&[0x2b, 14, 3, 2, 26]])]),
                &tlv(OCTET_STRING, &[&[1; 20]]),
                &tlv(OCTET_STRING, &[&[2; 20]]),
                &tlv(INTEGER, &[serial]),
            ],
        );
        let next = next_update.map(|text| tlv(EXPLICIT_0, &[&time(text)])).unwrap_or_default();
        let single = tlv(SEQUENCE, &[&id, status, &time("20240101000000Z"), &next]);
        let data = tlv(
            SEQUENCE,
            &[&tlv(0xa2, &[&tlv(OCTET_STRING, &[&[3; 20]])]), &time("20240101000000Z"), &tlv(SEQUENCE, &[&single])],
        );
        let algorithm = tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])]);
        let basic = tlv(SEQUENCE, &[&data, &algorithm, &tlv(0x03, &[&[0, 1, 2]])]);
        let bytes = tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[ID_PKIX_OCSP_BASIC]), &tlv(OCTET_STRING, &[&basic])]);
        tlv(SEQUENCE, &[&[ENUMERATED, 1, 0], &tlv(EXPLICIT_0, &[&bytes])])
    }

    pub(in crate::tls) const IS_GOOD: &[u8] = &[GOOD, 0];
    const IS_REVOKED: &[u8] = &[REVOKED, 0];
    const IS_UNKNOWN: &[u8] = &[0x82, 0];

    #[test]
    fn a_good_response_tells_when_it_is_out_of_date() {
        let until = |next| next_update(&response(&[7, 8], IS_GOOD, next), &[7, 8]).unwrap();
        assert_eq!(until(Some("20240108000000Z")), Some(1_704_672_000));
        assert_eq!(until(None), None);
    }

    #[test]
    fn a_response_that_would_harm_clients_is_rejected_with_its_reason() {
        let next = Some("20240108000000Z");
        for (bytes, reason) in [
            (response(&[7, 8], IS_REVOKED, next), "it says that the certificate is revoked"),
            (response(&[7, 8], IS_UNKNOWN, next), "it says that the responder does not know the certificate"),
            (response(&[7, 9], IS_GOOD, next), "it is about another certificate"),
            (response(&[7, 8], IS_GOOD, Some("tomorrow")), "it is a malformed OCSP response"),
            (vec![SEQUENCE, 3, ENUMERATED, 1, 3], "the responder told the client to try later"),
            (vec![SEQUENCE, 3, ENUMERATED, 1, 0], "it is a malformed OCSP response"),
            (b"-----BEGIN OCSP RESPONSE-----".to_vec(), "it is no OCSP response in DER"),
            (Vec::new(), "it is no OCSP response in DER"),
        ] {
            assert_eq!(next_update(&bytes, &[7, 8]), Err(reason.into()));
        }
    }

    /// The signature at the end is not looked at, so only a length that points beyond the end fails there.
    #[test]
    fn no_prefix_of_a_response_is_one() {
        let whole = response(&[7, 8], IS_GOOD, Some("20240108000000Z"));
        for end in 0..whole.len() {
            assert!(next_update(&whole[..end], &[7, 8]).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                // It returns, whatever it returns.
                let _ = next_update(&bytes, &[7, 8]);
            }
        }
    }
}
