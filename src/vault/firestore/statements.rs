//! Parts of queries and writes that many requests share. Pure; asks nothing.

use firestore::gcloud_sdk::google::firestore::v1::{
    Precondition, StructuredQuery, Write,
    precondition::ConditionType,
    structured_query::{CollectionSelector, Direction, FieldReference, Order, Projection},
    write::Operation,
};

/// All documents of a collection, by id.
pub(super) fn by_id(collection: &str) -> StructuredQuery {
    StructuredQuery {
        from: vec![CollectionSelector { collection_id: collection.into(), all_descendants: false }],
        order_by: vec![Order { field: Some(field("__name__")), direction: Direction::Ascending.into() }],
        ..Default::default()
    }
}

pub(super) fn only(fields: &[&str]) -> Option<Projection> {
    Some(Projection { fields: fields.iter().map(|name| field(name)).collect() })
}

pub(super) fn field(path: &str) -> FieldReference {
    FieldReference { field_path: path.into() }
}

pub(super) fn delete(name: &str) -> Write {
    Write { operation: Some(Operation::Delete(name.to_owned())), ..Default::default() }
}

pub(super) fn require(write: Write, exists: bool) -> Write {
    let condition_type = Some(ConditionType::Exists(exists));
    Write { current_document: Some(Precondition { condition_type }), ..write }
}
