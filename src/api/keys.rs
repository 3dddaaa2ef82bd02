//! The keys' routes, as WAHA has them, and one more that renews. For the operator.
//!
//! WAHA knows six actions where we have three scopes: `setting`, `app` and `delete` belong to `control` here. A request that would
//! part them is refused rather than granted more than it asked for. `metrics`, which WAHA does not have, is of no session, and goes with
//! nothing else: a key that opens the counters of all tenants opens none of them.

use std::{collections::BTreeSet, convert::Infallible};

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value, json};

use super::{
    App,
    answer::{Created, NoContent},
    auth::Scope,
    input::{Body, Path, object},
    problem::{FieldError, Problem},
};
use crate::{
    config::Secret,
    tenant::TenantId,
    vault::{
        VaultError,
        access::{ApiKey, Rights},
    },
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(example = json!({ "session": "trattoria", "isAdmin": false, "isActive": true, "actions": { "read": true } }))]
pub struct KeyRequest {
    /// Opens everything.
    #[serde(default)]
    is_admin: bool,
    /// The tenant whose key it is, unless it is an admin's.
    session: Option<String>,
    /// None: yes for a new key, and unchanged for another.
    is_active: Option<bool>,
    /// None: all that can be done for the session, and unchanged for a key that has some.
    #[serde(default, deserialize_with = "asked_actions")]
    #[schemars(with = "Option<Actions>")]
    actions: Option<AskedActions>,
}

/// Actions as somebody wrote them. One that is misspelt is no right, and whoever wrote it must hear of it.
struct AskedActions {
    known: Actions,
    unknown: Vec<String>,
}

/// The names of [`Actions`].
const ACTION_NAMES: [&str; 7] = ["read", "send", "control", "setting", "app", "delete", "metrics"];

fn asked_actions<'de, D: Deserializer<'de>>(field: D) -> Result<Option<AskedActions>, D::Error> {
    let Some(asked) = object::<Map<String, Value>, D>(field)? else { return Ok(None) };
    let unknown = asked.keys().filter(|name| !ACTION_NAMES.contains(&name.as_str())).cloned().collect();
    let known = Actions::deserialize(Value::Object(asked)).map_err(D::Error::custom)?;
    Ok(Some(AskedActions { known, unknown }))
}

/// The rights of a key. `setting`, `app` and `delete` go with `control` here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline)]
pub struct Actions {
    read: Option<bool>,
    send: Option<bool>,
    control: Option<bool>,
    setting: Option<bool>,
    app: Option<bool>,
    delete: Option<bool>,
    /// To read `/metrics`, without a session and without another action. WAHA has no such action.
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Key")]
pub struct KeyAnswer {
    id: String,
    /// Shown once, when the key is made.
    key: String,
    is_active: bool,
    is_admin: bool,
    session: Option<TenantId>,
    /// `true` for a new key whose session does not exist yet: the key opens it once it does, unless the name is misspelt.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_unknown: Option<bool>,
    actions: Option<Actions>,
    created_at: jiff::Timestamp,
    last_used_at: Option<jiff::Timestamp>,
}

#[derive(Deserialize, JsonSchema)]
pub struct KeyPath {
    /// As the list of keys names it; not the key itself.
    id: String,
}

impl KeyRequest {
    /// Returns the rights that the request asks for; `now`: those that the key has.
    fn rights(&self, now: Option<&Rights>) -> Result<Rights, Problem> {
        let invalid = |field: &'static str, message: &str| {
            Problem::invalid(
                format!("{field} {message}"),
                vec![FieldError { field: field.into(), message: message.into() }],
            )
        };
        let session = self.session.as_deref().filter(|session| !session.is_empty());
        let unknown = self.actions.iter().flat_map(|asked| &asked.unknown);
        let unknown: Vec<_> = unknown
            .map(|name| FieldError {
                field: format!("actions.{name}").into(),
                message: format!("there is no such action, but {}", ACTION_NAMES.join(", ")),
            })
            .collect();
        if let Some(first) = unknown.first() {
            return Err(Problem::invalid(format!("{}: {}", first.field, first.message), unknown));
        }
        let asked = self.actions.as_ref().map(|asked| asked.known);
        if self.is_admin {
            // The key would open all other sessions as well.
            return match session {
                Some(_) => Err(invalid("session", "goes with no admin's key: that is of all sessions")),
                None => Ok(Rights::Admin),
            };
        }
        if asked.is_some_and(|actions| actions.metrics == Some(true)) {
            let alone = Actions { metrics: Some(true), ..Actions::default() };
            let others = asked.map(Actions::asked_for);
            return match session {
                Some(_) => Err(invalid("session", "goes with no key for metrics: that is of all sessions")),
                None if others != Some(alone) => {
                    Err(invalid("actions.metrics", "goes with no other action: make two keys"))
                }
                None => Ok(Rights::Metrics),
            };
        }
        // A key that is for metrics stays so as long as nothing else is said.
        if let (None, None, Some(Rights::Metrics)) = (session, asked, now) {
            return Ok(Rights::Metrics);
        }
        let session = session.ok_or_else(|| invalid("session", "is required, unless isAdmin"))?;
        let tenant =
            session.parse().map_err(|error: crate::tenant::InvalidTenantId| invalid("session", &error.to_string()))?;
        let Some(actions) = asked else {
            let scopes = match now {
                Some(Rights::Tenant { scopes, .. }) => scopes.clone(),
                _ => Scope::ALL.into(),
            };
            return Ok(Rights::Tenant { tenant, scopes });
        };
        let control = actions.control.unwrap_or(false);
        let with_control =
            [("actions.setting", actions.setting), ("actions.app", actions.app), ("actions.delete", actions.delete)];
        for (field, asked) in with_control {
            if asked.is_some_and(|asked| asked != control) {
                return Err(invalid(field, "goes with actions.control here: leave it out, or set both alike"));
            }
        }
        let asked = [(Scope::Read, actions.read), (Scope::Send, actions.send), (Scope::Control, actions.control)];
        let scopes: BTreeSet<_> =
            asked.into_iter().filter(|(_, asked)| *asked == Some(true)).map(|(scope, _)| scope).collect();
        if scopes.is_empty() {
            return Err(invalid(
                "actions",
                "allow nothing: set one of read, send and control, or leave actions out for all",
            ));
        }
        Ok(Rights::Tenant { tenant, scopes })
    }
}

impl Actions {
    /// Without what is said not to be wanted.
    fn asked_for(self) -> Self {
        let wanted = |action: Option<bool>| action.filter(|action| *action);
        let Self { read, send, control, setting, app, delete, metrics } = self;
        let [read, send, control] = [read, send, control].map(wanted);
        let [setting, app, delete, metrics] = [setting, app, delete, metrics].map(wanted);
        Self { read, send, control, setting, app, delete, metrics }
    }
}

impl KeyAnswer {
    fn new(key: &ApiKey, secret: Option<&Secret>) -> Self {
        let (session, actions) = match &key.rights {
            Rights::Admin => (None, None),
            Rights::Tenant { tenant, scopes } => {
                let [read, send, control] = Scope::ALL.map(|scope| Some(scopes.contains(&scope)));
                let actions =
                    Actions { read, send, control, setting: control, app: control, delete: control, metrics: None };
                (Some(tenant.clone()), Some(actions))
            }
            Rights::Metrics => {
                let no = Some(false);
                let actions =
                    Actions { read: no, send: no, control: no, setting: no, app: no, delete: no, metrics: Some(true) };
                (None, Some(actions))
            }
        };
        Self {
            id: key.id.as_ref().to_owned(),
            key: secret.map_or_else(|| "key_…".to_owned(), |secret| secret.expose().to_owned()),
            is_active: key.active,
            is_admin: key.rights == Rights::Admin,
            session,
            session_unknown: None,
            actions,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
        }
    }
}

pub async fn create(State(app): State<App>, Body(request): Body<KeyRequest>) -> Result<Created<KeyAnswer>, Problem> {
    let (key, secret) = app.auth.keys.create(request.rights(None)?, request.is_active.unwrap_or(true)).await?;
    let mut answer = KeyAnswer::new(&key, Some(&secret));
    if let Rights::Tenant { tenant, .. } = &key.rights {
        // The key is made, whether the vault says this or not.
        answer.session_unknown = app.fleet.is_absent(tenant).await.ok().filter(|is_absent| *is_absent);
    }
    Ok(Created(answer))
}

/// WAHA gives the same key each time it is asked for one of these kinds; here nobody can, as only its owner has it.
pub async fn create_or_get() -> Result<Infallible, Problem> {
    let reason = "a key is told once, when it is made: POST /api/keys with the actions that it is to have";
    Err(Problem::not_implemented(reason))
}

pub async fn list(State(app): State<App>) -> Json<Vec<KeyAnswer>> {
    Json(app.auth.keys.list().await.iter().map(|key| KeyAnswer::new(key, None)).collect())
}

pub async fn change(
    State(app): State<App>,
    Path(KeyPath { id }): Path<KeyPath>,
    Body(request): Body<KeyRequest>,
) -> Result<Json<KeyAnswer>, Problem> {
    let old = app.auth.keys.find(&id).await?.ok_or_else(no_such_key)?;
    let (rights, active) = (request.rights(Some(&old.rights))?, request.is_active.unwrap_or(old.active));
    let key = app.auth.keys.change(&old, rights, active).await?.ok_or_else(no_such_key)?;
    Ok(Json(KeyAnswer::new(&key, None)))
}

pub async fn revoke(State(app): State<App>, Path(KeyPath { id }): Path<KeyPath>) -> Result<NoContent, Problem> {
    if app.auth.keys.revoke(&id).await? { Ok(NoContent) } else { Err(no_such_key()) }
}

pub async fn renew(State(app): State<App>, Path(KeyPath { id }): Path<KeyPath>) -> Result<Json<KeyAnswer>, Problem> {
    let (key, secret) = app.auth.keys.renew(&id).await?.ok_or_else(no_such_key)?;
    Ok(Json(KeyAnswer::new(&key, Some(&secret))))
}

fn no_such_key() -> Problem {
    Problem::missing("no_such_key", "There is no such key")
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        tracing::warn!(event = "vault_request_failed", %error, "the vault did not do what a request asked");
        Self::unavailable("vault_down", "The vault does not answer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(request: Value) -> Result<Rights, Problem> {
        serde_json::from_value::<KeyRequest>(request).unwrap().rights(None)
    }

    fn scopes(actions: Value) -> Vec<Scope> {
        match rights(json!({ "session": "a", "isAdmin": false, "isActive": true, "actions": actions })) {
            Ok(Rights::Tenant { scopes, .. }) => scopes.into_iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn actions_become_scopes() {
        assert_eq!(scopes(Value::Null), Scope::ALL);
        assert_eq!(scopes(json!({ "read": true, "send": false })), [Scope::Read]);
        assert_eq!(scopes(json!({ "control": true })), [Scope::Control]);
        assert_eq!(scopes(json!({ "control": true, "setting": true, "app": true, "delete": true })), [Scope::Control]);
        assert_eq!(scopes(json!({ "read": true, "delete": false, "control": null })), [Scope::Read]);
    }

    #[test]
    fn a_key_for_metrics_is_for_nothing_else() {
        let metrics = json!({ "metrics": true });
        assert_eq!(rights(json!({ "actions": metrics })).unwrap(), Rights::Metrics);
        assert_eq!(
            rights(json!({ "session": "", "actions": { "metrics": true, "read": false } })).unwrap(),
            Rights::Metrics
        );
        assert!(rights(json!({ "session": "a", "actions": metrics })).is_err());
        assert!(rights(json!({ "actions": { "metrics": true, "read": true } })).is_err());
        assert!(rights(json!({ "actions": { "metrics": false } })).is_err());
        let unchanged: KeyRequest = serde_json::from_value(json!({ "isActive": false })).unwrap();
        assert_eq!(unchanged.rights(Some(&Rights::Metrics)).unwrap(), Rights::Metrics);
    }

    #[test]
    fn a_key_that_could_do_nothing_and_an_action_that_is_none_are_refused() {
        let fields = |actions: Value| {
            let problem = rights(json!({ "session": "a", "actions": actions })).unwrap_err();
            let told = serde_json::to_value(&problem).unwrap();
            let errors = told["errors"].as_array().unwrap().iter();
            errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(fields(json!({ "sned": true, "read": true, "raed": false })), ["actions.raed", "actions.sned"]);
        for nothing in [json!({}), json!({ "read": false }), json!({ "read": null, "control": false })] {
            assert_eq!(fields(nothing), ["actions"]);
        }
        assert!(rights(json!({ "isAdmin": true, "actions": { "all": true } })).is_err());
        let known = serde_json::to_value(Actions { metrics: Some(true), ..Actions::default() }).unwrap();
        assert!(known.as_object().unwrap().keys().all(|name| ACTION_NAMES.contains(&name.as_str())));
    }

    #[test]
    fn a_change_without_actions_leaves_the_scopes() {
        let tenant = |id: &str| id.parse().unwrap();
        let reading = Rights::Tenant { tenant: tenant("a"), scopes: [Scope::Read].into() };
        let request: KeyRequest = serde_json::from_value(json!({ "session": "b", "isActive": false })).unwrap();
        let moved = Rights::Tenant { tenant: tenant("b"), scopes: [Scope::Read].into() };
        assert_eq!(request.rights(Some(&reading)).unwrap(), moved);
    }

    #[test]
    fn nothing_is_granted_that_was_not_asked_for() {
        for actions in [json!({ "delete": true }), json!({ "control": true, "delete": false }), json!({ "app": true })]
        {
            assert!(rights(json!({ "session": "a", "actions": actions })).is_err(), "{actions}");
        }
        for session in [Value::Null, json!(""), json!("../etc"), json!("sessions")] {
            assert!(rights(json!({ "session": session })).is_err(), "{session}");
        }
        for session in [Value::Null, json!("")] {
            assert_eq!(rights(json!({ "isAdmin": true, "session": session })).unwrap(), Rights::Admin);
        }
        let named = rights(json!({ "isAdmin": true, "session": "trattoria" })).unwrap_err();
        let unnamed = rights(json!({})).unwrap_err();
        for problem in [named, unnamed] {
            let answer = format!("{problem:?}");
            assert!(answer.contains("session"), "{answer}");
        }
    }
}
