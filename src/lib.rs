//! `sessiond` keeps many WhatsApp sessions alive, one a tenant, and serves their dashboards.
