//! Messages in words, in Spanish and English. Pure.

use std::fmt::Write as _;

use super::{
    condition::AlertCondition,
    message::{AlertMessage, AlertSection, AlertState},
};

/// In which language people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertLanguage {
    Spanish,
    English,
}

/// So many tenants are named in a message for people; the console has the others.
const NAMED: usize = 20;

/// What is the matter, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertWords {
    pub title: &'static str,
    pub advice: &'static str,
}

impl AlertCondition {
    #[rustfmt::skip]
    pub fn words(self, language: AlertLanguage) -> AlertWords {
        let (spanish, english) = match self {
            Self::VaultDown => (
                ("La bóveda no acepta nada", "Repara la base de datos (Firestore, o el disco); reiniciar no ayuda. Mientras tanto los mensajes esperan en WhatsApp y los envíos se rechazan."),
                ("The vault takes nothing", "Mend the database (Firestore, or the disk); a restart helps nobody. Messages wait at WhatsApp meanwhile, and sends are refused."),
            ),
            Self::DiskLow => (
                ("El disco está casi lleno", "Libera espacio. Ya no se guardan archivos; si queda aún menos, tampoco mensajes."),
                ("The disk is nearly full", "Make room. Files are not kept any more; with still less room, messages are not either."),
            ),
            Self::ScanNeeded => (
                ("Hay que escanear de nuevo", "WhatsApp cerró la sesión. Pide al restaurante que abra su página de conexión y escanee el código QR."),
                ("Must scan again", "WhatsApp has logged the session out. Tell the restaurant to open its connect page and scan the QR code."),
            ),
            Self::Banned => (
                ("WhatsApp bloqueó el número por un tiempo", "Que el dueño lea el aviso de WhatsApp en su teléfono. Después, escribe menos a desconocidos."),
                ("WhatsApp has banned the number for a while", "Let its owner read WhatsApp's message on the phone. Afterwards send less to strangers."),
            ),
            Self::TenantFailed => (
                ("La sesión falló", "Lee la razón en la consola: estado dañado, rechazo de WhatsApp, o falta de recursos."),
                ("The session has failed", "Read the reason in the console: damaged state, WhatsApp's refusal, or a lack of resources."),
            ),
            Self::Unowned => (
                ("Ningún proceso atiende al restaurante", "Busca en el registro 'the tenant cannot be opened'. Si no se recupera solo, reinicia el proceso."),
                ("No process serves the tenant", "Read the log for 'the tenant cannot be opened'. If it does not come back by itself, restart the process."),
            ),
            Self::Offline => (
                ("Sin conexión con WhatsApp", "Si son muchos, revisa la red del servidor o si WhatsApp está caído. Si es uno solo, lee la razón en la consola. Se reconecta solo."),
                ("Not connected to WhatsApp", "If there are many, look at the server's network, and whether WhatsApp is down. If it is one, read the reason in the console. It reconnects by itself."),
            ),
            Self::Silent => (
                ("Conectado, pero WhatsApp no dice nada", "La sesión puede estar sorda: reiníciala desde la consola."),
                ("Connected, but WhatsApp says nothing", "The session may be deaf: restart it in the console."),
            ),
            Self::Flapping => (
                ("La conexión con WhatsApp se corta una y otra vez", "Revisa la red del servidor y que no haya otra copia de la sesión en uso."),
                ("The connection to WhatsApp breaks again and again", "Look at the server's network, and whether another copy of the session is in use."),
            ),
            Self::Outdated => (
                ("WhatsApp rechaza la versión por antigua", "Se busca otra versión sin ayuda. Si se repite, actualiza sessiond o fija whatsapp.version."),
                ("WhatsApp calls the version outdated", "A newer version is fetched by itself. If this repeats, update sessiond or set whatsapp.version."),
            ),
            Self::OtherAccount => (
                ("Otra cuenta intentó escanear", "Se rechazó. Si el restaurante tiene un número nuevo, permite el cambio en la consola y que escanee otra vez."),
                ("Another account tried to scan", "It was refused. If the restaurant has a new number, allow the change in the console and let it scan again."),
            ),
            Self::Timelocked => (
                ("WhatsApp no deja escribir a desconocidos", "Responde solo a clientes hasta que termine; lo demás espera."),
                ("WhatsApp keeps the account from strangers", "Answer customers only until that ends; everything else waits."),
            ),
            Self::NewChats => (
                ("Último aviso: demasiados chats nuevos", "No empieces más chats con desconocidos en este ciclo, o WhatsApp restringe la cuenta."),
                ("Last warning: too many new chats", "Begin no more chats with strangers in this cycle, or WhatsApp restricts the account."),
            ),
            Self::OutboxOld => (
                ("Hay mensajes sin enviar desde hace rato", "WhatsApp no los confirma. Mira la sesión en la consola; si no avanza, reiníciala."),
                ("Messages have waited for long to be sent", "WhatsApp does not confirm them. Look at the session in the console; if nothing moves, restart it."),
            ),
            Self::WebhookFailing => (
                ("Un webhook falla", "Revisa el servidor que lo recibe: el último error está en la consola. Los eventos esperan."),
                ("A webhook fails", "Look at the server that receives it: the console has the last error. Its events wait."),
            ),
            Self::WebhookParked => (
                ("Un webhook tiene eventos apartados", "El servidor los rechazó. Repáralo y vuelve a enviarlos desde la consola."),
                ("A webhook has parked events", "Its server refused them. Mend it, then send them again from the console."),
            ),
            Self::HandoverFailed => (
                ("Falló el traspaso de una sesión a otro proceso", "La sesión se tomó por la fuerza o se quedó donde estaba; no se pierde nada. Busca en el registro 'did not let go' o 'crashed'."),
                ("A session's handover to another process failed", "The session was taken by force, or stayed where it was; nothing is lost. Read the log for 'did not let go' or 'crashed'."),
            ),
        };
        let (title, advice) = match language {
            AlertLanguage::Spanish => spanish,
            AlertLanguage::English => english,
        };
        AlertWords { title, advice }
    }
}

impl AlertMessage {
    /// For a person who reads it on a phone. `console`: where the console is.
    pub fn text(&self, language: AlertLanguage, console: &str) -> String {
        if self.sections.is_empty() {
            return format!(
                "{}\n{console}",
                in_language(
                    language,
                    "Prueba de alertas de sessiond: este canal funciona.",
                    "Test of sessiond's alerts: this channel works."
                )
            );
        }
        let mut parts: Vec<_> = self.sections.iter().map(|section| section.text(language, console)).collect();
        if self.is_last {
            let limit = in_language(
                language,
                "Es el último mensaje por ahora (alerts.per_hour): lo que venga se dirá más tarde.",
                "This is the last message for now (alerts.per_hour): what comes next is told later.",
            );
            parts.push(limit.to_owned());
        }
        parts.join("\n\n")
    }

    /// In one line, as the subject of a mail.
    pub fn subject(&self, language: AlertLanguage) -> String {
        let Some(first) = self.sections.first() else {
            return in_language(language, "sessiond: prueba", "sessiond: test").to_owned();
        };
        let more = match self.sections.len() {
            1 => String::new(),
            count => format!(" (+{})", count - 1),
        };
        format!("sessiond: {}{more}", first.headline(language))
    }
}

impl AlertSection {
    fn text(&self, language: AlertLanguage, console: &str) -> String {
        let mark = match self.state {
            AlertState::Firing => "🔴",
            AlertState::Resolved => "🟢",
        };
        let mut text = format!("{mark} {}", self.headline(language));
        if self.left > 0 {
            let (spanish, english) = match self.state {
                AlertState::Firing => ("además de los ya avisados", "besides those told before"),
                AlertState::Resolved => ("quedan", "still left"),
            };
            let _ = write!(text, " ({}: {})", in_language(language, spanish, english), self.left);
        }
        if self.state == AlertState::Firing {
            let _ = write!(text, "\n→ {}\n{}", self.condition.words(language).advice, self.link(console));
        }
        text
    }

    /// What is the matter, and with whom.
    fn headline(&self, language: AlertLanguage) -> String {
        let title = self.condition.words(language).title;
        let mut line = match self.state {
            AlertState::Firing => title.to_owned(),
            AlertState::Resolved => format!("{}: {title}", in_language(language, "Resuelto", "Resolved")),
        };
        if !self.tenants.is_empty() {
            let count = self.tenants.len();
            let names = self.tenants[..count.min(NAMED)].join(", ");
            let _ = write!(line, ": {names}");
            if count > NAMED {
                let _ = write!(
                    line,
                    " {} {} {}",
                    in_language(language, "y", "and"),
                    count - NAMED,
                    in_language(language, "más", "more")
                );
            }
        }
        line
    }

    /// The tenant's page, or the list.
    pub fn link(&self, console: &str) -> String {
        match self.tenants.as_slice() {
            [tenant] => format!("{console}#/t/{tenant}"),
            _ => format!("{console}#/"),
        }
    }
}

fn in_language(language: AlertLanguage, spanish: &'static str, english: &'static str) -> &'static str {
    match language {
        AlertLanguage::Spanish => spanish,
        AlertLanguage::English => english,
    }
}
