//! WhatsApp's GraphQL, as far as clients of this network use it: queries are known by the numbers of their documents.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wacore::iq::mex_operations as ops;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::account::DeviceAddress;
use crate::stanza::{attr, content, first_child, iq_error, iq_result};
use crate::world::World;

/// What went wrong, in the form that GraphQL has for it.
pub(crate) struct MexError(pub(crate) i32, pub(crate) String);

pub(crate) type Data = Result<Value, MexError>;

impl World {
    /// `xmlns="w:mex"`.
    pub(crate) fn mex_iq(&mut self, from: DeviceAddress, iq: &Node) -> Node {
        let Some(query) = first_child(iq).filter(|query| query.tag == "query") else {
            return iq_error(iq, 400, "bad-request");
        };
        let id = attr(query, "query_id").unwrap_or_default();
        let asked: Value = serde_json::from_slice(content(query).unwrap_or_default()).unwrap_or_default();
        let said = match self.mex(from, &id, &asked["variables"]) {
            Ok(data) => json!({ "data": data }),
            Err(MexError(code, message)) => {
                let extensions = json!({ "error_code": code, "is_summary": true, "severity": "CRITICAL" });
                json!({ "data": null, "errors": [{ "message": message, "extensions": extensions }] })
            }
        };
        iq_result(iq, [NodeBuilder::new("result").bytes(said.to_string().into_bytes()).build()])
    }

    fn mex(&mut self, from: DeviceAddress, id: &str, variables: &Value) -> Data {
        if id == ops::update_group_property::DOC_ID {
            return self.group_property(from, variables);
        }
        if id == ops::fetch_reachout_timelock::DOC_ID {
            let until = self.directory.get(from.account).locked_until;
            let kind = if until == 0 { "DEFAULT" } else { "BIZ_QUALITY" };
            let lock = json!({
                "enforcement_type": kind, "is_active": until != 0, "time_enforcement_ends": until.to_string(),
            });
            return Ok(json!({ "xwa2_fetch_account_reachout_timelock": lock }));
        }
        if id == ops::fetch_new_chat_message_capping_info::DOC_ID {
            const DAY: u64 = 86_400;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let is_last = self.directory.get(from.account).warned_of_new_chats;
            let warning = if is_last { "SECOND_WARNING" } else { "FIRST_WARNING" };
            let capping = json!({
                "capping_status": warning, "total_quota": "1000", "used_quota": "640",
                "cycle_start_timestamp": now - DAY, "cycle_end_timestamp": now + 29 * DAY,
                "mv_status": "NOT_ELIGIBLE", "ote_status": "NOT_ELIGIBLE",
            });
            return Ok(json!({ "xwa2_message_capping_info": capping }));
        }
        self.channel_mex(from, id, variables).unwrap_or_else(|| Err(MexError(400, format!("unknown query {id}"))))
    }

    fn group_property(&mut self, from: DeviceAddress, variables: &Value) -> Data {
        let group = variables["group_id"].as_str().and_then(|jid| jid.parse().ok());
        let mode = variables["update"]["member_share_group_history_mode"].as_str();
        let (Some(group), Some(mode)) = (group, mode) else {
            return Err(MexError(400, "bad request".to_owned()));
        };
        self.share_history(&group, from.account, mode == "ALL_MEMBER_SHARE").map_err(|reason| MexError(403, reason))?;
        Ok(json!({ "xwa2_group_update_property": { "id": group.to_string(), "state": "ACTIVE" } }))
    }
}
