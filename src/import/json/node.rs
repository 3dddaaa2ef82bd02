//! A JSON value as it was written.

/// Numbers of one array that are made items of. Where numbers are meant, not bytes, they are devices and indexes: a few hundred.
const NUMBERS: usize = 4096;

/// Keeps the order of an object's fields: libsignal's JSON tells the age of chains by nothing else.
#[derive(Clone, PartialEq)]
pub enum JsonNode {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// An array of numbers from 0 to 255; an empty array as well.
    Bytes(Vec<u8>),
    List(Vec<JsonNode>),
    Map(Vec<(String, JsonNode)>),
}

impl JsonNode {
    /// The field of an object. Of two with one name the last counts, as in JavaScript.
    pub fn get(&self, name: &str) -> Option<&JsonNode> {
        let found = self.fields()?.iter().rev().find(|(field, _)| field == name);
        found.map(|(_, node)| node).filter(|node| !matches!(node, JsonNode::Null))
    }

    pub fn fields(&self) -> Option<&[(String, JsonNode)]> {
        match self {
            JsonNode::Map(fields) => Some(fields),
            _ => None,
        }
    }

    pub fn into_fields(self) -> Option<Vec<(String, JsonNode)>> {
        match self {
            JsonNode::Map(fields) => Some(fields),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            JsonNode::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn is_true(&self) -> bool {
        *self == JsonNode::Bool(true)
    }

    /// The items of an array; none of one that holds bytes, and many. Databases without arrays make objects with numbered fields of
    /// them: those, by number.
    pub fn into_items(self) -> Option<Vec<JsonNode>> {
        match self {
            JsonNode::List(items) => Some(items),
            JsonNode::Bytes(bytes) if bytes.len() > NUMBERS => None,
            JsonNode::Bytes(bytes) => Some(bytes.into_iter().map(|byte| JsonNode::Integer(byte.into())).collect()),
            JsonNode::Map(fields) => {
                let mut numbered = fields
                    .into_iter()
                    .map(|(name, node)| Some((name.parse::<u32>().ok()?, node)))
                    .collect::<Option<Vec<_>>>()?;
                numbered.sort_by_key(|(number, _)| *number);
                Some(numbered.into_iter().map(|(_, node)| node).collect())
            }
            _ => None,
        }
    }
}

/// Kinds only: values are key material.
impl std::fmt::Debug for JsonNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JsonNode::Null => f.write_str("null"),
            JsonNode::Bool(_) => f.write_str("a boolean"),
            JsonNode::Integer(_) | JsonNode::Float(_) => f.write_str("a number"),
            JsonNode::Text(text) => write!(f, "a text of {} bytes", text.len()),
            JsonNode::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            JsonNode::List(items) => write!(f, "a list of {}", items.len()),
            JsonNode::Map(fields) => write!(f, "an object of {}", fields.len()),
        }
    }
}
