//! Contact cards to be sent: as they are given, or made from a name and a number. Looks nobody up at WhatsApp.

use axum::extract::State;
use phonenumber::country::Id as CountryId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{SendAddressed, SendResult, SessionBody, send};
use crate::{
    api::{
        App,
        auth::{Names, TenantRequest},
        input::{Body, IdempotencyKey},
        problem::Problem,
        waha::flaw,
    },
    message::{Contact, Draft, card, is_blank},
    session,
};

in_session!(SendContacts: to.session);

/// Contact cards.
#[derive(Deserialize, JsonSchema)]
pub struct SendContacts {
    #[serde(flatten)]
    to: SendAddressed,
    #[schemars(required, length(min = 1, max = 100))]
    contacts: Option<Vec<ContactCard>>,
}

/// A card as it is, or what one is made of.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactCard {
    #[schemars(example = "Ana Gómez")]
    full_name: Option<String>,
    organization: Option<String>,
    #[schemars(example = "+57 300 111 2233")]
    phone_number: Option<String>,
    /// The digits of the phone number with its country code (the tenant's, where it has none), unless WhatsApp has others.
    whatsapp_id: Option<String>,
    vcard: Option<String>,
}

/// `POST /api/sendContactVcard`
pub async fn contacts(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<SendContacts>,
) -> SendResult {
    let country = app.fleet.country(&tenant);
    let mut contacts = Vec::new();
    for person in body.contacts.unwrap_or_default() {
        contacts.push(contact_of(person, country).await?);
    }
    send(&app, &tenant, &key, body.to, Draft::Contacts { contacts }).await
}

/// A card as it is given, or one made from its fields. `country`: where a number without a country code is dialed.
async fn contact_of(person: ContactCard, country: CountryId) -> Result<Contact, Problem> {
    let given = |text: Option<String>| text.filter(|text| !is_blank(text));
    if let Some(vcard) = given(person.vcard) {
        return Ok(Contact { name: card::name(&vcard), vcard });
    }
    let (Some(name), Some(phone)) = (given(person.full_name), given(person.phone_number)) else {
        return Err(flaw("contacts", "a vcard, or fullName and phoneNumber, are required"));
    };
    // A LID in a card would be dialed as somebody's number.
    if phone.contains('@') {
        return Err(flaw("contacts", "phoneNumber: expected a phone number"));
    }
    let known = session::chat_of(&phone, country).await;
    let known = known.and_then(|jid| Some(jid.strip_suffix("@s.whatsapp.net")?.to_owned()));
    // In another country it must be dialed with its code.
    let dialed = match &known {
        Some(known) if !phone.trim_start().starts_with('+') => format!("+{known}"),
        _ => phone.clone(),
    };
    let digits = || phone.chars().filter(char::is_ascii_digit).collect();
    let waid = given(person.whatsapp_id).or(known).unwrap_or_else(digits);
    let vcard = card::card(&name, given(person.organization).as_deref(), &waid, &dialed);
    Ok(Contact { name, vcard })
}
