//! Version 2: a binary block with addresses and TLVs.
//!
//! The TLVs of a peer are used only to verify the checksum, if there is one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crc32c::crc32c;
use super::error::Malformed;
use super::facts::ClientFacts;
use super::v1::v6;
use super::{Addresses, canonical};

/// The header with `addresses` and `facts`.
///
/// A connection that is not TCP is sent as LOCAL, without facts: every receiver must accept that, while HAProxy and others
/// reject a proxied client that has Unix addresses or none. Where one address is IPv4 and the other IPv6, both are
/// written as IPv6, the first as IPv4-mapped. Facts that do not fit their TLV are left out.
pub(crate) fn encode(addresses: &Addresses, facts: &ClientFacts<'_>) -> Vec<u8> {
    let Addresses::Tcp { source, destination } = addresses else {
        return header(COMMAND_LOCAL, UNSPECIFIED, &[]);
    };
    let (source, destination) = (canonical(*source), canonical(*destination));
    let mut block = Vec::with_capacity(256);
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            block.extend(source.octets());
            block.extend(destination.octets());
            TCP_OVER_IPV4
        }
        (source, destination) => {
            block.extend(v6(source).octets());
            block.extend(v6(destination).octets());
            TCP_OVER_IPV6
        }
    };
    block.extend(source.port().to_be_bytes());
    block.extend(destination.port().to_be_bytes());
    facts.encode(&mut block);
    header(COMMAND_PROXY, family, &block)
}

fn header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("36 bytes of addresses, and six values of at most 255");
    [&SIGNATURE[..], &[VERSION << 4 | command, family], &length.to_be_bytes(), block].concat()
}

/// What the first 16 bytes of a header say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    family: Family,
    /// How many bytes follow.
    pub(super) length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// The rest of the header is ignored.
    Unspecified,
    Ipv4,
    Ipv6,
    Unix,
}

impl Start {
    /// Parses the first 16 bytes, which begin with the signature.
    pub(super) fn parse(bytes: [u8; PREFIX]) -> Result<Self, Malformed> {
        let [.., command, family, high, low] = bytes;
        if command >> 4 != VERSION {
            return Err(Malformed::Version(command >> 4));
        }
        let family = match command & 0xF {
            // Its family is ignored.
            COMMAND_LOCAL => Family::Unspecified,
            COMMAND_PROXY => Family::parse(family)?,
            unknown => return Err(Malformed::Command(unknown)),
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let addresses = family.addresses();
        if length < addresses {
            return Err(Malformed::TooShort { length, addresses });
        }
        // Where the family is ignored, the addresses before the TLVs may be of any.
        let most = TLVS_MAX + if family == Family::Unspecified { Family::Unix.addresses() } else { addresses };
        if length > most {
            return Err(Malformed::TooLong { length, most });
        }
        Ok(Self { family, length })
    }

    /// Parses the block that follows `prefix`, the bytes that this start was parsed from.
    pub(super) fn finish(self, prefix: &[u8; PREFIX], block: &[u8]) -> Result<Addresses, Malformed> {
        let too_short = Malformed::TooShort { length: block.len(), addresses: self.family.addresses() };
        let (addresses, tlvs) = block.split_at_checked(self.family.addresses()).ok_or(too_short)?;
        if self.family == Family::Unspecified {
            return Ok(Addresses::Unknown);
        }
        verify_checksum(&[prefix, addresses], tlvs)?;
        let parsed = match self.family {
            Family::Ipv4 => ip_addresses::<4, Ipv4Addr>(addresses),
            Family::Ipv6 => ip_addresses::<16, Ipv6Addr>(addresses),
            Family::Unix => addresses
                .split_at_checked(UNIX_PATH)
                .map(|(source, destination)| Addresses::Unix { source: path(source), destination: path(destination) }),
            Family::Unspecified => Some(Addresses::Unknown),
        };
        parsed.ok_or(too_short)
    }
}

impl Family {
    fn parse(byte: u8) -> Result<Self, Malformed> {
        let (family, transport) = (byte >> 4, byte & 0xF);
        match (family, transport) {
            (4.., _) => Err(Malformed::AddressFamily(family)),
            (_, 3..) => Err(Malformed::Transport(transport)),
            (1, 1) => Ok(Self::Ipv4),
            (2, 1) => Ok(Self::Ipv6),
            (3, 1) => Ok(Self::Unix),
            // Half unspecified, or datagrams: as if unspecified, by the specification.
            _ => Ok(Self::Unspecified),
        }
    }

    /// How many bytes the addresses take.
    fn addresses(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::Ipv4 => 2 * 4 + 2 * 2,
            Self::Ipv6 => 2 * 16 + 2 * 2,
            Self::Unix => 2 * UNIX_PATH,
        }
    }
}

fn ip_addresses<const N: usize, Ip: From<[u8; N]> + Into<IpAddr>>(bytes: &[u8]) -> Option<Addresses> {
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, _) = rest.split_first_chunk::<2>()?;
    let address = |ip: &[u8; N], port: &[u8; 2]| SocketAddr::new(Ip::from(*ip).into(), u16::from_be_bytes(*port));
    Some(Addresses::tcp(address(source, from), address(destination, to)))
}

/// A path up to its first zero byte; an abstract one begins with such a byte, and keeps it.
fn path(field: &[u8]) -> Vec<u8> {
    let skipped = usize::from(field.first() == Some(&0));
    let end = field.iter().skip(skipped).position(|byte| *byte == 0).map_or(field.len(), |end| end + skipped);
    if end == 1 && skipped == 1 { Vec::new() } else { field.get(..end).unwrap_or_default().to_vec() }
}

/// Walks the TLVs, and verifies the checksum if it is among them: that of the header with zeros in its place.
fn verify_checksum(before: &[&[u8]; 2], tlvs: &[u8]) -> Result<(), Malformed> {
    let mut rest = tlvs;
    let mut checksum = None;
    while let Some((&kind, after)) = rest.split_first() {
        let truncated = Malformed::TlvTruncated(kind);
        let (length, after) = after.split_first_chunk::<2>().ok_or(truncated)?;
        let (value, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(truncated)?;
        if kind == CRC32C {
            let value = <[u8; 4]>::try_from(value).map_err(|_| Malformed::Checksum)?;
            let at = tlvs.len() - after.len() - value.len();
            if checksum.replace((at, value)).is_some() {
                return Err(Malformed::Checksum);
            }
        }
        rest = after;
    }
    let Some((at, value)) = checksum else { return Ok(()) };
    let [prefix, addresses] = before;
    let parts = [*prefix, *addresses, &tlvs[..at], &[0; 4], &tlvs[at + 4..]];
    if crc32c(&parts) == u32::from_be_bytes(value) { Ok(()) } else { Err(Malformed::ChecksumMismatch) }
}

/// What every header of this version begins with.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// How many bytes say how many follow.
pub(super) const PREFIX: usize = 16;

/// How many bytes of TLVs are accepted.
const TLVS_MAX: usize = 4096;

const VERSION: u8 = 2;
const COMMAND_LOCAL: u8 = 0;
const COMMAND_PROXY: u8 = 1;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const CRC32C: u8 = 0x03;

/// The bytes of a Unix socket's path, on every system.
const UNIX_PATH: usize = 108;

#[cfg(test)]
mod tests;
