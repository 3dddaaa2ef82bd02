//! Sees to it that there are sessions with a group's members, or a status' viewers, before the library sends to them.
//!
//! Where there are none the library asks for their keys itself, but in that time it holds the locks of all sessions that the message needs
//! (whatsapp-rust 0.7.0: `lock_device_sessions` in `prepare_group_stanza`). The session with the tenant's own phone is one of them, and
//! every other message needs that: keys of one stranger in one group that WhatsApp does not send would hold up all chats. Asked for here,
//! they hold up that group.
//!
//! What WhatsApp refuses for good is left to the library: the message goes, and who cannot read it asks for it again.

use whatsapp_rust::{
    Client, ErrorChainExt as _, Jid, SendError, Server,
    wacore::{send::retain_skdm_distribution_targets, types::message::AddressingMode},
};

use crate::session::{Inner, connection::disconnect::is_passing};

pub(super) async fn have_sessions(client: &Client, group: &Jid) -> Result<(), SendError> {
    let info = client.groups().query_info(group).await.map_err(internal)?;
    let is_by_lid = info.addressing_mode == AddressingMode::Lid;
    // As the library names them when it asks for devices, and when it encrypts.
    let mut people = Vec::with_capacity(info.participants.len());
    for member in &info.participants {
        let number =
            if is_by_lid && member.server == Server::Lid { info.phone_jid_for_lid_user(&member.user) } else { None };
        people.push(number.unwrap_or(member).to_non_ad());
    }
    let Some(mut devices) = devices_of(client, &people).await? else { return Ok(()) };
    if is_by_lid {
        devices = devices.into_iter().map(|device| info.phone_device_jid_into_lid(device)).collect();
    }
    have_sessions_with(client, devices).await
}

/// The same for those who are to see a status, whom the library treats as members of a group by their LIDs: it leaves out everybody whose
/// LID is not known.
pub(super) async fn have_sessions_of_viewers(
    session: &Inner,
    client: &Client,
    viewers: &[Jid],
) -> Result<(), SendError> {
    let (own, own_lid) = (client.pn(), client.lid());
    let people: Vec<Jid> = viewers.iter().chain(&own).map(Jid::to_non_ad).collect();
    let Some(found) = devices_of(client, &people).await? else { return Ok(()) };
    let mut devices = Vec::with_capacity(found.len());
    for mut device in found {
        if device.is_pn() {
            let is_own = own.as_ref().is_some_and(|own| own.user == device.user);
            let lid = match own_lid.as_ref().filter(|_| is_own) {
                Some(lid) => Some(lid.user.to_string()),
                None => {
                    session.store.mapping_of_number(&device.user).await.map_err(internal)?.map(|mapping| mapping.lid)
                }
            };
            let Some(lid) = lid else { continue };
            (device.user, device.server) = (lid.as_str().into(), Server::Lid);
        }
        devices.push(device);
    }
    have_sessions_with(client, devices).await
}

/// `None`: WhatsApp refuses to say, for good.
async fn devices_of(client: &Client, people: &[Jid]) -> Result<Option<Vec<Jid>>, SendError> {
    match client.signal().get_user_devices(people).await {
        Err(error) if is_refused(&error) => Ok(None),
        found => found.map(Some).map_err(internal),
    }
}

async fn have_sessions_with(client: &Client, mut devices: Vec<Jid>) -> Result<(), SendError> {
    // There is none with this device.
    for own in [client.pn(), client.lid()].into_iter().flatten() {
        retain_skdm_distribution_targets(&mut devices, &own);
    }
    match client.signal().assert_sessions(&devices).await {
        Err(error) if is_refused(&error) => Ok(()),
        outcome => outcome.map_err(internal),
    }
}

/// For good.
fn is_refused(error: &(impl std::error::Error + 'static)) -> bool {
    error.server_rejection().is_some_and(|rejection| !is_passing(rejection.code))
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> SendError {
    SendError::Internal(error.into())
}
