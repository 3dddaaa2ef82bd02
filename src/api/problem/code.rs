//! The name of a problem, and where the guide explains it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

/// The name of a problem: a stable word for programs as `code`, and as `type` the place of the guide that explains it.
#[derive(Debug, Clone, Copy)]
pub struct ProblemCode(pub &'static str);

impl ProblemCode {
    /// The page of the guide that lists all codes.
    const PAGE: &'static str = "/docs/guide/problems";
}

impl Serialize for ProblemCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("Code", 2)?;
        members.serialize_field("type", &format_args!("{}#{}", Self::PAGE, self.0))?;
        members.serialize_field("code", self.0)?;
        members.end()
    }
}

impl JsonSchema for ProblemCode {
    fn schema_name() -> Cow<'static, str> {
        "ProblemCode".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "type": {
                    "type": "string", "format": "uri-reference",
                    "description": "Where this daemon's guide explains the code.",
                    "examples": ["/docs/guide/problems#vault_down"],
                },
                "code": { "type": "string", "description": "Stable; for programs." },
            },
            "required": ["type", "code"],
        })
    }
}
