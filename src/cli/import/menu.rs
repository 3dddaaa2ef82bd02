//! `sessiond import menu`: a restaurant's menu, hours and delivery of the old service, without a session.
//!
//! A daemon that runs is asked over HTTP, at the address of the configuration or another one, with the admin key: it goes on with the new
//! menu at once. Without one the vault is written here, where no process has the tenant.

use std::{fs::File, io::Read as _};

use anyhow::{Context as _, bail};
use reqwest::{StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use ulid::Ulid;

use super::owner::LivingDaemons;
use crate::{
    bot::owner_records::Versioned,
    cli::running_daemon::RunningDaemon,
    config::Config,
    import::{
        EntryKind, EntryProblem, ImportFailure, ImportTally, LiveSource, OwnedRestaurant, RestaurantPlaces,
        RestaurantUpdate, SOURCE_BYTES,
    },
    tenant::TenantId,
    vault::InstanceId,
};

#[derive(Debug, clap::Args)]
pub struct MenuOptions {
    /// A JSON file of the Realtime Database: all of it, a tenant, or its menu. Or the https address of the database, which is read with the
    /// service account.
    source: String,
    /// The restaurant that gets it.
    #[arg(long, value_name = "ID")]
    tenant: TenantId,
    /// Its name in the source, where it has another.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The daemon to ask, instead of the one at `http.listen`.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Say what would be written, and what is wrong with the rest. Write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print an object instead of words.
    #[arg(long)]
    json: bool,
}

impl MenuOptions {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.tenant.as_str())
    }
}

/// What an import writes, or would write.
struct BroughtMenu {
    update: RestaurantUpdate,
    /// Nobody has the tenant yet, and may have meant another one.
    is_of_newcomer: bool,
}

pub async fn run(config: &Config, options: &MenuOptions) -> anyhow::Result<()> {
    let places = read(config, options).await?;
    let brought = match RunningDaemon::find(config, options.url.as_deref()).await? {
        Some(daemon) => AskedDaemon(daemon).bring(options, places).await?,
        None => bring_here(config, options, places).await?,
    };
    match options.json {
        true => println!("{}", report(&brought, options)),
        false => print!("{}", words(&brought, options)),
    }
    if brought.update.is_empty() {
        bail!("{}: no menu and no settings that could be taken", options.source)
    } else {
        Ok(())
    }
}

async fn read(config: &Config, options: &MenuOptions) -> anyhow::Result<RestaurantPlaces> {
    let (source, name) = (options.source.as_str(), options.name());
    let is_address = source.starts_with("https://") || source.starts_with("http://");
    let places = if is_address {
        LiveSource::realtime(&config.import, &config.outbound, Some(source)).await?.restaurant(name).await
    } else {
        let mut text = Vec::new();
        let file = File::open(source).with_context(|| source.to_owned())?;
        // One byte more tells that it is too large.
        file.take(SOURCE_BYTES as u64 + 1).read_to_end(&mut text).with_context(|| source.to_owned())?;
        RestaurantPlaces::read(&text, name)
    };
    places.map_err(|error| anyhow::anyhow!("{source}: {}", ImportFailure::from(&error).detail))
}

/// No daemon does it.
async fn bring_here(config: &Config, options: &MenuOptions, places: RestaurantPlaces) -> anyhow::Result<BroughtMenu> {
    let tenant = &options.tenant;
    let instance = InstanceId(Ulid::generate().to_string().into());
    let (writer, _lock) = super::open(config, options.dry_run, instance).await?;
    let Some(writer) = writer else {
        let update = RestaurantUpdate::new(places, &OwnedRestaurant::nothing());
        return Ok(BroughtMenu { update, is_of_newcomer: true });
    };
    let record = writer.vault.tenant(tenant).await?;
    let is_of_newcomer = record.is_none();
    if record.is_some_and(|record| record.deleted_at.is_some()) {
        bail!("the tenant {tenant} was deleted");
    }
    if options.dry_run {
        let update = RestaurantUpdate::new(places, &writer.owned_restaurant(tenant).await?);
        return Ok(BroughtMenu { update, is_of_newcomer });
    }
    if let Some(others) = LivingDaemons::of(config)
        && others.have(&writer, tenant).await?
    {
        bail!("a daemon that runs has the tenant {tenant}: ask that one, with --url");
    }
    Ok(BroughtMenu { update: writer.write_restaurant(tenant, places).await?, is_of_newcomer })
}

/// The daemon that has the tenants, asked for the records of one.
struct AskedDaemon(RunningDaemon);

impl AskedDaemon {
    async fn bring(&self, options: &MenuOptions, places: RestaurantPlaces) -> anyhow::Result<BroughtMenu> {
        let tenant = &options.tenant;
        let nothing = OwnedRestaurant::nothing();
        let (menu, settings) = (self.get(tenant, "menu").await?, self.get(tenant, "settings").await?);
        let is_of_newcomer = menu.is_none() && settings.is_none();
        let here =
            OwnedRestaurant { menu: menu.unwrap_or(nothing.menu), settings: settings.unwrap_or(nothing.settings) };
        let update = RestaurantUpdate::new(places, &here);
        if !options.dry_run {
            if let Some(menu) = &update.menu {
                self.put(tenant, "menu", menu).await?;
            }
            if let Some(settings) = &update.settings {
                self.put(tenant, "settings", settings).await?;
            }
        }
        Ok(BroughtMenu { update, is_of_newcomer })
    }

    /// `None`: the daemon does not know the tenant.
    async fn get<T: DeserializeOwned>(&self, tenant: &TenantId, what: &str) -> anyhow::Result<Option<Versioned<T>>> {
        let answer = self.0.ask(self.0.http.get(self.address(tenant, what))).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.0.expect_success(&answer)?;
        let no_version = || format!("the daemon at {} tells no version of its {what}", self.0.base);
        let version = answer.version.with_context(no_version)?;
        Ok(Some(Versioned { version, value: serde_json::from_str(&answer.text)? }))
    }

    /// Only over the version before it: somebody who writes at the same moment loses nothing.
    async fn put<T: Serialize>(&self, tenant: &TenantId, what: &str, next: &Versioned<T>) -> anyhow::Result<()> {
        let body = serde_json::to_string(&next.value)?;
        let request = self.0.http.put(self.address(tenant, what)).header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::IF_MATCH, format!("\"{}\"", next.version - 1)).body(body);
        let answer = self.0.ask(request).await?;
        self.0.expect_success(&answer).with_context(|| format!("the {what} was not written"))
    }

    fn address(&self, tenant: &TenantId, what: &str) -> String {
        format!("{}/api/{tenant}/bot/{what}", self.0.base)
    }
}

fn report(brought: &BroughtMenu, options: &MenuOptions) -> Value {
    let BroughtMenu { update, is_of_newcomer } = brought;
    let RestaurantUpdate { menu, settings, switches_on, tally } = update;
    let ImportTally { entries, problems, unlisted } = tally;
    json!({
        "tenant": options.tenant.as_str(),
        "outcome": outcome(update, options).replace(' ', "_"),
        "menu_version": menu.as_ref().map(|menu| menu.version),
        "settings_version": settings.as_ref().map(|settings| settings.version),
        "switches_on": switches_on,
        "is_new_tenant": is_of_newcomer,
        "entries": entries,
        "problems": problems,
        "unlisted_problems": unlisted,
    })
}

fn outcome(update: &RestaurantUpdate, options: &MenuOptions) -> &'static str {
    match (update.is_empty(), options.dry_run) {
        (true, _) => "nothing found",
        (false, true) => "importable",
        (false, false) => "imported",
    }
}

fn words(brought: &BroughtMenu, options: &MenuOptions) -> String {
    let BroughtMenu { update, is_of_newcomer } = brought;
    let tally = &update.tally;
    let (dishes, settings) = (tally.of(EntryKind::MenuItem).kept, tally.of(EntryKind::BotSetting).kept);
    let mut words = format!("{}  {}  dishes {dishes}, settings {settings}\n", options.tenant, outcome(update, options));
    for EntryProblem { kind, entry, reason } in &tally.problems {
        words += &format!("    left out: {kind:?} {entry}: {reason}\n");
    }
    if tally.unlisted > 0 {
        words += &format!("    left out: {} more\n", tally.unlisted);
    }
    if *is_of_newcomer && !update.is_empty() {
        words += "    nobody has this tenant yet: it is made, and can be paired whenever you like\n";
    }
    if update.switches_on {
        words += "    the bot is on, as it was there: it answers as soon as the tenant is connected\n";
    }
    words
}
