//! `session` and `heartbeat`: how a session connects, sends, and is looked after.

use super::SettingReader;
use crate::config::{Heartbeat, SessionPolicy};

impl SettingReader<'_> {
    pub(super) fn session(&mut self) -> Option<SessionPolicy> {
        let backoff_min = self.duration("session.backoff_min", 0..=60);
        let backoff_max = self.duration("session.backoff_max", 1..=3600);
        if let (Some(min), Some(max)) = (backoff_min, backoff_max)
            && min > max
        {
            self.mistake("session.backoff_min", "must not be above session.backoff_max");
        }
        let pairing_timeout = self.duration("session.pairing_timeout", 10..=3600);
        let ownership_limit = self.duration("session.ownership_limit", 1..=300);
        let device_name = self.parsed("session.device_name", "1 to 32 characters", |text| {
            (1..=32).contains(&text.chars().count()).then(|| text.to_owned())
        });
        let pre_keys = self.count("session.pre_keys", 5..=812);
        let quiet_max = self.duration("session.quiet_max", 60..=86_400);
        let ack_timeout = self.duration("session.ack_timeout", 1..=300);
        let send_attempts = self.count("session.send_attempts", 1..=100);
        let file_idle = self.duration("session.file_idle", 1..=86_400);
        let human_percent = self.count("session.human_percent", 0..=1000);
        let slow_down = self.duration("session.slow_down", 0..=600);
        Some(SessionPolicy {
            backoff_min: backoff_min?,
            backoff_max: backoff_max?,
            pairing_timeout: pairing_timeout?,
            ownership_limit: ownership_limit?,
            device_name: device_name?,
            pre_keys: pre_keys?,
            quiet_max: quiet_max?,
            ack_timeout: ack_timeout?,
            send_attempts: u32::try_from(send_attempts?).unwrap_or(u32::MAX),
            file_idle: file_idle?,
            human_percent: u32::try_from(human_percent?).unwrap_or(u32::MAX),
            slow_down: slow_down?,
        })
    }

    pub(super) fn heartbeat(&mut self) -> Option<Heartbeat> {
        let first = self.duration("heartbeat.first", 0..=3600);
        let interval = self.duration("heartbeat.interval", 1..=3600);
        let ping_timeout = self.duration("heartbeat.ping_timeout", 1..=60);
        let announce = self.duration("heartbeat.announce", 1..=600);
        let directory = self.duration("heartbeat.directory", 1..=86_400);
        Some(Heartbeat {
            first: first?,
            interval: interval?,
            ping_timeout: ping_timeout?,
            announce: announce?,
            directory: directory?,
        })
    }
}
