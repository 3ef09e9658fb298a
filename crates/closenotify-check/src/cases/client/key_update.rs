//! New keys in and around the answer (TLS 1.3).

use super::{SUCCESS, TLS_KEY_UPDATE};
use crate::case::{Allowed, Case};
use crate::cases::{BASE, TLS13};
use crate::step::{Framing, Part, Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "client/key-update/before-the-answer",
        requirement: "An answer under new keys is understood",
        origin: &["R38"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::KeyUpdate(true), Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify]),
            Step::Fin,
        ],
        ..FOLLOWED
    },
    Case {
        id: "client/key-update/in-the-answer",
        requirement: "An answer that changes its keys in the middle is understood",
        origin: &["R46"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Close, Part::Half),
                Put::KeyUpdate(true),
                Put::Answer(Framing::Close, Part::OtherHalf),
                Put::CloseNotify,
            ]),
            Step::Fin,
        ],
        ..FOLLOWED
    },
    Case {
        id: "client/key-update/not-requested",
        requirement: "A KeyUpdate that asks for none in return is followed too",
        origin: &["R46"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Close, Part::Half),
                Put::KeyUpdate(false),
                Put::Answer(Framing::Close, Part::OtherHalf),
                Put::CloseNotify,
            ]),
            Step::Fin,
        ],
        ..FOLLOWED
    },
    Case {
        id: "client/key-update/behind-the-answer",
        requirement: "A close_notify under new keys is understood",
        origin: &["O18"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::KeyUpdate(true), Put::CloseNotify]),
            Step::Fin,
        ],
        ..FOLLOWED
    },
    Case {
        id: "client/key-update/several",
        requirement: "Several KeyUpdates in one segment are followed",
        origin: &["O18"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::KeyUpdate(true),
                Put::KeyUpdate(false),
                Put::KeyUpdate(true),
                Put::Answer(Framing::Close, Part::Whole),
                Put::CloseNotify,
            ]),
            Step::Fin,
        ],
        ..FOLLOWED
    },
];

const FOLLOWED: Case = Case {
    clauses: &[TLS_KEY_UPDATE],
    versions: TLS13,
    allowed: Allowed { data: SUCCESS, ..Allowed::ANYTHING },
    harm: "Long sessions break at the first change of keys, and their answers are lost",
    mend: "Follow every KeyUpdate at the record where it stands; answer it before the next data that is sent, or not at all",
    ..BASE
};
