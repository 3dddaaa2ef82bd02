//! Mail over SMTP, with TLS from the first byte or by STARTTLS; never without.
//!
//! One connection a message: there are few. It goes to an address that `outbound` admits, as requests do. Of what the server says only its
//! code is told: what it writes beside that may quote the login.

use std::{net::SocketAddr, time::Duration};

use lettre::{
    Message,
    message::{Mailbox, SinglePart},
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use tokio::time::timeout;

use super::{
    channel::{AlertDeliveryError, AlertStyle},
    outbox::PendingAlert,
};
use crate::{
    config::{AlertSmtp, SmtpServer},
    outbound::Outbound,
};

/// For one message, with all that is said before it.
const TIME_LIMIT: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// With this a server says that the message is too large.
const TOO_LARGE: &str = "552";

/// With this it does not take the content of what it has heard whole. Before that it means us: it does not relay for us, or it has blocked
/// our address.
const NOT_TAKEN: &str = "554";

/// How far the server has heard a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MailProgress {
    /// It is still about who we are.
    Greeting,
    /// From whom to whom it goes.
    Envelope,
    Content,
}

/// Sends it once.
pub async fn deliver(
    settings: &AlertSmtp,
    outbound: &Outbound,
    pending: &PendingAlert,
    style: &AlertStyle,
) -> Result<(), AlertDeliveryError> {
    let sent = timeout(TIME_LIMIT, send(settings, outbound, pending, style)).await;
    sent.unwrap_or_else(|_| Err(failed("no answer in time")))
}

async fn send(
    settings: &AlertSmtp,
    outbound: &Outbound,
    pending: &PendingAlert,
    style: &AlertStyle,
) -> Result<(), AlertDeliveryError> {
    let server = &settings.server;
    let message = mail(settings, pending, style)?;
    let tls = tls(server).await?;
    let addresses = outbound.resolve(&server.host).await.map_err(|error| failed(error.to_string()))?;
    let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, server.port)).collect();
    let hello = ClientId::default();
    let from_the_first_byte = (!server.starts_plain).then(|| tls.clone());
    let mut connection = AsyncSmtpConnection::connect_tokio1(
        addresses.as_slice(),
        Some(CONNECT_TIMEOUT),
        &hello,
        from_the_first_byte,
        None,
    )
    .await
    .map_err(|error| explain(&error, MailProgress::Greeting))?;
    if server.starts_plain {
        connection.starttls(tls, &hello).await.map_err(|error| explain(&error, MailProgress::Greeting))?;
    }
    if let Some((user, password)) = &server.login {
        let credentials = Credentials::new(user.clone(), password.expose().to_owned());
        connection
            .auth(DEFAULT_MECHANISMS, &credentials)
            .await
            .map_err(|error| explain(&error, MailProgress::Greeting))?;
    }
    hand_over(&mut connection, &message).await?;
    // It has the message, whatever it says to this.
    let _ = connection.quit().await;
    Ok(())
}

/// As the library does it, which does not say how far it came.
async fn hand_over(connection: &mut AsyncSmtpConnection, message: &Message) -> Result<(), AlertDeliveryError> {
    let (envelope, content) = (message.envelope(), message.formatted());
    let supports = |extension| connection.server_info().supports_feature(extension);
    let mut parameters = Vec::new();
    let mut addresses = envelope.from().into_iter().chain(envelope.to());
    if !addresses.all(|address| address.user().is_ascii() && address.domain().is_ascii()) {
        if !supports(Extension::SmtpUtfEight) {
            return Err(failed("it takes no such addresses (SMTPUTF8)"));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !content.is_ascii() {
        if !supports(Extension::EightBitMime) {
            return Err(failed("it takes no such text (8BITMIME)"));
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let of_envelope = |error: SmtpError| explain(&error, MailProgress::Envelope);
    connection.command(Mail::new(envelope.from().cloned(), parameters)).await.map_err(of_envelope)?;
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(of_envelope)?;
    }
    connection.command(Data).await.map_err(of_envelope)?;
    let taken = connection.message(&content).await;
    taken.map_err(|error| explain(&error, MailProgress::Content))?;
    Ok(())
}

/// The message as mail. A repeat has the same id.
fn mail(settings: &AlertSmtp, pending: &PendingAlert, style: &AlertStyle) -> Result<Message, AlertDeliveryError> {
    let id = format!("<{}@{}>", pending.id, settings.from.email.domain());
    let builder = Message::builder()
        .from(settings.from.clone())
        .subject(pending.message.subject(style.language))
        .message_id(Some(id));
    let builder = settings.to.iter().cloned().fold(builder, |builder, to: Mailbox| builder.to(to));
    let text = pending.message.text(style.language, &style.console);
    builder.singlepart(SinglePart::plain(text)).map_err(|error| failed(error.to_string()))
}

/// Whom the connection trusts: the roots that are compiled in, or who is named.
async fn tls(server: &SmtpServer) -> Result<TlsParameters, AlertDeliveryError> {
    let builder = TlsParameters::builder(server.host.clone());
    let builder = match &server.ca {
        None => builder.certificate_store(CertificateStore::WebpkiRoots),
        Some(file) => {
            let read = tokio::fs::read(file).await;
            let pem = read.map_err(|error| failed(format!("alerts.smtp_ca cannot be read: {error}")))?;
            let trusted = Certificate::from_pem(&pem).map_err(|_| failed("alerts.smtp_ca has no certificates"))?;
            builder.certificate_store(CertificateStore::None).add_root_certificate(trusted)
        }
    };
    builder.build().map_err(|error| failed(error.to_string()))
}

fn failed(why: impl Into<String>) -> AlertDeliveryError {
    AlertDeliveryError::new(why, None)
}

fn explain(error: &SmtpError, progress: MailProgress) -> AlertDeliveryError {
    let Some(code) = error.status() else {
        return match error.is_response() {
            true => failed("what it answers is not SMTP"),
            false => failed(in_our_words(error.to_string())),
        };
    };
    let code = code.to_string();
    let is_refusal = blames_message(&code, progress);
    failed(format!("answered {code}")).blaming_message(is_refusal)
}

/// What `openssl req -x509` makes is an authority's certificate, and no server may show such a one: the library has a name for that, and no
/// help.
fn in_our_words(said: String) -> String {
    if !said.contains("CaUsedAsEndEntity") {
        return said;
    }
    format!(
        "{said}: the server shows an authority's certificate; make it one with CA:FALSE, or let the authority sign one"
    )
}

/// Whether the server says that it will never take this message; else the channel is in trouble, and is tried again.
fn blames_message(code: &str, progress: MailProgress) -> bool {
    match progress {
        MailProgress::Greeting => false,
        MailProgress::Envelope => code == TOO_LARGE,
        MailProgress::Content => code == TOO_LARGE || code == NOT_TAKEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::alerts::{
        condition::AlertCondition,
        message::{AlertMessage, AlertSection, AlertState},
        words::AlertLanguage,
    };

    #[test]
    fn only_what_is_said_of_the_message_gives_it_up() {
        use MailProgress::{Content, Envelope, Greeting};
        let given_up = [("552", Envelope), ("552", Content), ("554", Content)];
        for code in ["421", "450", "535", "550", "552", "554"] {
            for progress in [Greeting, Envelope, Content] {
                let is_given_up = given_up.contains(&(code, progress));
                assert_eq!(blames_message(code, progress), is_given_up, "{code} {progress:?}");
            }
        }
    }

    #[test]
    fn an_authority_in_the_place_of_a_server_is_told_what_to_do() {
        let said = in_our_words("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))".to_owned());
        assert!(said.contains("CA:FALSE"), "{said}");
        assert_eq!(in_our_words("no answer".to_owned()), "no answer");
    }

    #[test]
    fn a_repeat_is_the_same_mail_to_everybody() {
        let section = AlertSection {
            condition: AlertCondition::ScanNeeded,
            state: AlertState::Firing,
            tenants: vec!["trattoria".into()],
            left: 0,
            since: "2026-11-30T12:00:00Z".parse().unwrap(),
        };
        let message = AlertMessage { at: section.since, sections: vec![section], is_last: false };
        let pending = PendingAlert { id: "alert_1".into(), message, channels: Default::default() };
        let settings = AlertSmtp {
            server: SmtpServer {
                host: "smtp.kds.example".into(),
                port: 465,
                starts_plain: false,
                login: None,
                ca: None,
            },
            from: "KDS <sessiond@kds.example>".parse().unwrap(),
            to: ["night@kds.example", "Day <day@kds.example>"].map(|to| to.parse().unwrap()).to_vec(),
        };
        let style = AlertStyle { language: AlertLanguage::Spanish, console: "https://x.example/console/".into() };
        let mail = mail(&settings, &pending, &style).unwrap();
        assert_eq!(mail.envelope().to().len(), 2);
        let text = String::from_utf8(mail.formatted()).unwrap();
        assert!(text.contains("Message-ID: <alert_1@kds.example>\r\n"), "{text}");
        assert!(text.contains("Subject: sessiond: Hay que escanear de nuevo: trattoria\r\n"), "{text}");
        assert!(text.contains("Content-Type: text/plain; charset=utf-8\r\n"), "{text}");
    }
}
