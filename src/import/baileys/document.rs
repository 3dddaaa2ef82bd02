//! One JSON: credentials alone, or with their keys.
//!
//! A `creds.json`, the `SESSION_ID` of a bot's environment (base64 of it), the single file of old versions, a document of a
//! database: all are an object with the credentials in it, or as it.

use super::{Assembly, assembly::CREDENTIALS};
use crate::import::{
    EntryError, ImportError, ImportLimits, ImportOrigin, TenantCopy,
    json::{self, JsonBudget, JsonNode},
};

/// Fields that only credentials have, all of them.
const MARKS: [&str; 2] = ["noiseKey", "signedIdentityKey"];

/// Reads the text of one tenant.
pub fn read(text: &[u8], origin: ImportOrigin, limits: &ImportLimits) -> Result<TenantCopy, ImportError> {
    let mut assembly = Assembly::new(origin, limits);
    let document = json::read_wrapped(text, "the document", assembly.budget())?;
    add(&mut assembly, document)?;
    assembly.finish()
}

/// Takes a document apart. Keys lie under `keys`, or beside the credentials under their own names or `keys.<name>`.
pub fn add(assembly: &mut Assembly, document: JsonNode) -> Result<(), ImportError> {
    let document = unwrapped(document, assembly.budget())?;
    if is_credentials(&document) {
        return assembly.add(CREDENTIALS, document);
    }
    let fields = document.into_fields().ok_or(ImportError::OtherFormat("an object with credentials"))?;
    let mut has_credentials = false;
    for (name, node) in fields {
        match name.as_str() {
            CREDENTIALS => {
                if std::mem::replace(&mut has_credentials, true) {
                    return Err(ImportError::Credentials(EntryError::FieldTwice));
                }
                let creds = unwrapped(node, assembly.budget())?;
                assembly.add(CREDENTIALS, creds)?;
            }
            "keys" => {
                let keys = unwrapped(node, assembly.budget())?;
                assembly.add_all_keys(keys)?;
            }
            _ => {
                let name = name.strip_prefix("keys.").unwrap_or(&name).to_owned();
                assembly.add_keys(JsonNode::Map(vec![(name, node)]))?;
            }
        }
    }
    Ok(())
}

pub fn is_credentials(node: &JsonNode) -> bool {
    MARKS.iter().all(|mark| node.get(mark).is_some())
}

fn unwrapped(node: JsonNode, budget: &JsonBudget) -> Result<JsonNode, ImportError> {
    json::unwrap_text(node, "creds", budget)
}
