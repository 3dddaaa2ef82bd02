//! Firestore's `baileys_sessions/{t}`, over its REST interface, whose documents [`crate::import::baileys::firestore`] reads.
//!
//! It does not say who is connected: whoever has a document there is taken for somebody who was.

use reqwest::Url;
use serde::Deserialize;

use super::{ImportError, LiveSource, NAMES_BYTES, SourceTenant, TENANT_BYTES, below, parse};
use crate::import::baileys;

const COLLECTION: &str = "baileys_sessions";
/// Names in an answer. Their documents come without fields.
const PAGE: usize = 300;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FirestorePage {
    #[serde(default)]
    documents: Vec<FirestoreDocument>,
    #[serde(default)]
    next_page_token: String,
}

#[derive(Deserialize)]
struct FirestoreDocument {
    name: String,
}

impl LiveSource {
    pub(super) async fn firestore_names(&self, documents: &Url) -> Result<Vec<String>, ImportError> {
        const WHAT: &str = "the list of sessions";
        let mut names = Vec::new();
        let mut token = String::new();
        loop {
            let mut url = below(documents, &[COLLECTION]);
            url.query_pairs_mut()
                .append_pair("pageSize", &PAGE.to_string())
                .append_pair("mask.fieldPaths", "__name__")
                .append_pair("pageToken", &token);
            let Some(page) = self.get_json(&url, WHAT, NAMES_BYTES).await? else { break };
            let page: FirestorePage =
                serde_json::from_value(page).map_err(|_| ImportError::OtherFormat("a list of documents"))?;
            names.extend(
                page.documents.iter().filter_map(|document| document.name.rsplit('/').next().map(str::to_owned)),
            );
            self.check_count(&names)?;
            if page.next_page_token.is_empty() || page.next_page_token == token {
                break;
            }
            token = page.next_page_token;
        }
        Ok(names)
    }

    pub(super) async fn firestore_tenant(&self, documents: &Url, name: &str) -> SourceTenant {
        let url = below(documents, &[COLLECTION, name]);
        let text = match self.get(&url, "the session", TENANT_BYTES).await {
            Ok(Some(text)) => text,
            Ok(None) => return SourceTenant::new(name, Err(ImportError::NotInSource)),
            Err(error) => return SourceTenant::new(name, Err(error)),
        };
        let (limits, owned) = (self.limits, name.to_owned());
        let read = move || {
            let mut found = None;
            let read = baileys::firestore::read(&text[..], &limits, &mut |tenant| found = Some(tenant));
            let copy = match (read, found) {
                (_, Some(tenant)) => tenant.copy,
                // A document without fields.
                (Err(ImportError::OtherFormat(_)) | Ok(()), None) => Err(ImportError::NoCredentials),
                (Err(error), None) => Err(error),
            };
            SourceTenant::new(owned, copy)
        };
        parse(name, read).await
    }
}
