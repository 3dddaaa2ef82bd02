//! WhatsApp's limits of this account: how many new chats it may begin, and whether it may begin any now.

use serde::de::DeserializeOwned;
use whatsapp_rust::{
    IqError,
    wacore::iq::{
        mex::{MexDoc, MexQuerySpec},
        mex_operations::{fetch_new_chat_message_capping_info as capping, fetch_reachout_timelock as timelock},
    },
};

use super::pace::RequestKind;
use crate::session::{RequestError, Session};

/// Whether the account is kept from writing to people who never wrote to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timelock {
    /// WhatsApp's word for why.
    pub kind: String,
    pub active: bool,
    /// Seconds since 1970; 0: it does not hold.
    pub ends: i64,
}

/// How many new chats the account may begin in a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capping {
    /// WhatsApp's word for how near the end is.
    pub status: String,
    /// -1: as many as it likes.
    pub total: i64,
    pub used: i64,
    /// Seconds since 1970.
    pub begins: i64,
    pub ends: i64,
    pub meta_verified: String,
    pub one_time: String,
}

impl Session {
    pub async fn timelock(&self) -> Result<Timelock, RequestError> {
        let doc = MexDoc { name: timelock::NAME, id: timelock::DOC_ID };
        let answer: timelock::Response = self.query(doc, timelock::Variables {}).await?;
        let found = answer.xwa2_fetch_account_reachout_timelock.ok_or(RequestError::Unreadable)?;
        let told = Timelock {
            kind: found.enforcement_type.unwrap_or_else(|| "DEFAULT".into()),
            active: found.is_active.unwrap_or(false),
            ends: found.time_enforcement_ends.and_then(|at| at.parse().ok()).unwrap_or_default(),
        };
        self.0.seen.timelock(&told);
        self.0.outbox.look_anew_at_strangers();
        Ok(told)
    }

    pub async fn capping(&self) -> Result<Capping, RequestError> {
        let doc = MexDoc { name: capping::NAME, id: capping::DOC_ID };
        let input = Some(capping::Input { r#type: Some("INDIVIDUAL_NEW_CHAT_MSG".into()) });
        let answer: capping::Response = self.query(doc, capping::Variables { input }).await?;
        let found = answer.xwa2_message_capping_info.ok_or(RequestError::Unreadable)?;
        let number =
            |text: Option<String>, otherwise: i64| text.and_then(|text| text.parse().ok()).unwrap_or(otherwise);
        let told = Capping {
            status: found.capping_status.unwrap_or_else(|| "NONE".into()),
            total: number(found.total_quota, -1),
            used: number(found.used_quota, 0),
            begins: found.cycle_start_timestamp.unwrap_or_default(),
            ends: found.cycle_end_timestamp.unwrap_or_default(),
            meta_verified: found.mv_status.unwrap_or_default(),
            one_time: found.ote_status.unwrap_or_default(),
        };
        self.0.seen.capping(&told);
        self.0.outbox.look_anew_at_strangers();
        Ok(told)
    }

    /// Asks WhatsApp's GraphQL.
    pub(in crate::session) async fn query<V: serde::Serialize + Send, T: DeserializeOwned>(
        &self,
        doc: MexDoc,
        variables: V,
    ) -> Result<T, RequestError> {
        let answer = self.ask(RequestKind::Query, |client| async move {
            let query = MexQuerySpec::new(doc, &variables).map_err(|error| IqError::EncodeError(error.into()))?;
            client.execute(query).await
        });
        let data = answer.await?.data.ok_or(RequestError::Unreadable)?;
        serde_json::from_value(data).map_err(|_| RequestError::Unreadable)
    }
}
