//! The inputs of arcs.

use async_graphql::{ID, InputObject};

use super::reader::Reader;
use crate::{graphql::types::ArcKind, models};

/// An arc from a place to a transition.
#[derive(InputObject)]
pub(super) struct InputArcInput {
    /// The id of the place where it starts.
    place: ID,
    /// Number of tokens; its meaning depends on the kind.
    #[graphql(default = 1)]
    weight: u32,
    /// The effect of the arc.
    #[graphql(default_with = "ArcKind::Consume")]
    kind: ArcKind,
}

/// An arc from a transition to a place.
#[derive(InputObject)]
pub(super) struct OutputArcInput {
    /// The id of the place where it ends.
    place: ID,
    /// Number of tokens that it gives.
    #[graphql(default = 1)]
    weight: u32,
}

/// The input arcs of a transition; ids that can't be read are noted under `path`.
pub(super) fn inputs(
    of: Option<Vec<InputArcInput>>,
    path: &str,
    reader: &mut Reader,
) -> Vec<models::InputArc> {
    let arcs = of.unwrap_or_default().into_iter().enumerate();
    let arc = |(at, arc): (usize, InputArcInput)| {
        let place = reader.id(&format!("{path}.inputs[{at}].place"), &arc.place);
        models::InputArc { place, weight: arc.weight.into(), kind: arc.kind.into() }
    };
    arcs.map(arc).collect()
}

/// The output arcs of a transition or an outcome; ids that can't be read are noted under `path`.
pub(super) fn outputs(
    of: Option<Vec<OutputArcInput>>,
    path: &str,
    reader: &mut Reader,
) -> Vec<models::OutputArc> {
    let arcs = of.unwrap_or_default().into_iter().enumerate();
    let arc = |(at, arc): (usize, OutputArcInput)| {
        let place = reader.id(&format!("{path}.outputs[{at}].place"), &arc.place);
        models::OutputArc { place, weight: arc.weight.into() }
    };
    arcs.map(arc).collect()
}
