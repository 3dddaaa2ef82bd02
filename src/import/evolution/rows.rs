//! The table `Session`, exported as CSV or as JSON: `sessionId` is the instance, `creds` its credentials.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::add_keys;
use crate::import::{
    ImportError, ImportLimits, ImportOrigin, SourceTenant,
    baileys::Assembly,
    csv::CsvRecords,
    encoding::Utf8Reader,
    json::{self, JsonNode, NodeSeed},
    source::{StreamSink, walk},
};

/// As PostgreSQL has it, and as some exporters write it.
const INSTANCE: [&str; 3] = ["sessionId", "session_id", "sessionid"];
const CREDS: &str = "creds";

/// Reads the rows. `instances` is the folder with the keys, where there is one.
pub fn read(
    source: impl Read,
    instances: Option<&Path>,
    limits: &ImportLimits,
    take: &mut dyn FnMut(SourceTenant),
) -> Result<(), ImportError> {
    let mut source = BufReader::new(Utf8Reader::new(source));
    let reader = RowReader { instances, sink: StreamSink::new(limits, take) };
    let first = source.fill_buf()?.trim_ascii_start().first().copied();
    if matches!(first, Some(b'[' | b'{')) {
        reader.sink.end(walk(source, "the rows", limits, |parser| (&reader).deserialize(parser)))?;
    } else {
        reader.read_csv(source, limits)?;
    }
    if reader.sink.found() == 0 {
        return Err(ImportError::OtherFormat("rows with sessionId and creds"));
    }
    Ok(())
}

struct RowReader<'s> {
    instances: Option<&'s Path>,
    sink: StreamSink<'s>,
}

impl RowReader<'_> {
    fn read_csv(&self, source: impl Read, limits: &ImportLimits) -> Result<(), ImportError> {
        let mut records = CsvRecords::new(source, limits);
        let header = records.header()?;
        let column = |names: &[&str]| header.iter().position(|name| names.contains(&name.as_str()));
        let (Some(instance), Some(creds)) = (column(&INSTANCE), column(&[CREDS])) else {
            return Err(ImportError::OtherFormat("rows with sessionId and creds"));
        };
        while let Some(mut record) = records.next_record()? {
            if record.len() <= instance.max(creds) {
                return Err(ImportError::OtherFormat("rows as long as their header"));
            }
            let text = std::mem::take(&mut record[creds]);
            let tenant = self.tenant(self.assembly(), &record[instance], JsonNode::Text(text));
            self.sink.put_or(tenant)?;
        }
        Ok(())
    }

    fn tenant(&self, mut assembly: Assembly, instance: &str, creds: JsonNode) -> SourceTenant {
        let limits = self.sink.limits();
        let mut build = || {
            // A row without credentials: the instance was never paired.
            if matches!(&creds, JsonNode::Null) || creds.text().is_some_and(|text| text.trim().is_empty()) {
                return Err(ImportError::NoCredentials);
            }
            let creds = json::unwrap_text(creds.clone(), "creds", assembly.budget())?;
            if creds.fields().is_none() {
                return Err(ImportError::Json { what: "creds", line: 1, column: 1 });
            }
            assembly.set_creds(creds);
            match self.instances {
                Some(instances) => add_keys(&mut assembly, instances, instance, &limits),
                None => Ok(()),
            }
        };
        SourceTenant::new(instance, build().and_then(|()| assembly.finish()))
    }

    fn put_row<E: Error>(&self, assembly: Assembly, row: &JsonNode) -> Result<(), E> {
        let Some(instance) = INSTANCE.iter().find_map(|name| row.get(name)).and_then(JsonNode::text) else {
            return Ok(());
        };
        let creds = row.get(CREDS).cloned().unwrap_or(JsonNode::Null);
        self.sink.put(self.tenant(assembly, instance, creds))
    }

    fn assembly(&self) -> Assembly {
        Assembly::new(ImportOrigin::Evolution, &self.sink.limits())
    }
}

impl<'de> DeserializeSeed<'de> for &RowReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &RowReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<(), A::Error> {
        while source.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    /// `{"Session": […]}` of a whole dump, `{"rows": […]}` of a tool, `{"type": "table", "data": […]}` of phpMyAdmin, or one row.
    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<(), A::Error> {
        let assembly = self.assembly();
        let mut row = Vec::new();
        while let Some(name) = source.next_key::<String>()? {
            match name.as_str() {
                "Session" | "rows" | "data" => source.next_value_seed(self)?,
                name if name == CREDS || INSTANCE.contains(&name) => {
                    row.push((name.to_owned(), source.next_value_seed(NodeSeed::in_stream(assembly.budget()))?));
                }
                _ => drop(source.next_value::<IgnoredAny>()?),
            }
        }
        self.put_row(assembly, &JsonNode::Map(row))
    }
}
