//! Documents of the journal as rows: what an append writes, the document on which it stands, and what readers ask for.

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params, types::Type};

use super::{
    columns::{malformed, micros, payload, seq_from, seq_to, time},
    directory::decide,
    writer::vault_error,
};
use crate::{
    seal::Digest,
    tenant::TenantId,
    vault::{AppendError, Decision, DocumentKind, Footing, Heading, InstanceId, JournalDocument, Seq},
};

pub(super) fn append(
    connection: &Connection,
    tenant: &TenantId,
    after: Option<Digest>,
    documents: &[JournalDocument],
    decision: Option<&Decision>,
) -> Result<(), AppendError> {
    let vault = |error| AppendError::Vault(vault_error(error));
    create(connection, tenant, documents)?;
    if let Some(before) = documents.first().and_then(|document| document.seq.previous()) {
        stand(connection, tenant, &Footing::Document(before, after))?;
    }
    let Some(decision) = decision else { return Ok(()) };
    let present = "SELECT 1 FROM tenants WHERE id = ?1";
    if !connection.prepare_cached(present).and_then(|mut query| query.exists([tenant.as_str()])).map_err(vault)? {
        return Err(AppendError::TenantGone);
    }
    decide(connection, tenant, decision).map_err(vault)
}

pub(super) fn create(
    connection: &Connection,
    tenant: &TenantId,
    documents: &[JournalDocument],
) -> Result<(), AppendError> {
    let vault = |error| AppendError::Vault(vault_error(error));
    let put = "INSERT INTO journal (tenant, seq, kind, writer, at, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut statement = connection.prepare_cached(put).map_err(vault)?;
    for JournalDocument { seq, kind, writer, at, payload } in documents {
        let row = params![tenant.as_str(), seq_to(*seq), kind.as_str(), &*writer.0, micros(*at), &payload[..]];
        statement.execute(row).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => AppendError::Exists,
            _ => vault(error),
        })?;
    }
    Ok(())
}

/// True if the footing is there.
pub(super) fn stand(connection: &Connection, tenant: &TenantId, footing: &Footing) -> Result<(), AppendError> {
    let stands = || match footing {
        Footing::Nothing => Ok(true),
        Footing::Document(seq, None) => connection
            .prepare_cached("SELECT 1 FROM journal WHERE tenant = ?1 AND seq = ?2")?
            .exists(params![tenant.as_str(), seq_to(*seq)]),
        Footing::Document(seq, Some(digest)) => {
            let query = "SELECT payload FROM journal WHERE tenant = ?1 AND seq = ?2";
            let mut statement = connection.prepare_cached(query)?;
            let found = statement.query_row(params![tenant.as_str(), seq_to(*seq)], payload).optional()?;
            Ok(found.is_some_and(|found| Digest::of([&*found]) == *digest))
        }
        Footing::Manifest(id) => connection
            .prepare_cached("SELECT 1 FROM manifests WHERE tenant = ?1 AND seq = ?2 AND attempt = ?3")?
            .exists(params![tenant.as_str(), seq_to(id.seq), &*id.attempt]),
    };
    match stands().map_err(|error| AppendError::Vault(vault_error(error)))? {
        true => Ok(()),
        false => Err(AppendError::Gap),
    }
}

pub(super) fn find(connection: &Connection, tenant: &TenantId, seq: Seq) -> rusqlite::Result<Option<JournalDocument>> {
    let query = "SELECT seq, kind, writer, at, payload FROM journal WHERE tenant = ?1 AND seq = ?2";
    let mut statement = connection.prepare_cached(query)?;
    statement.query_row(params![tenant.as_str(), seq_to(seq)], journal_document).optional()
}

pub(super) fn read_from(
    connection: &Connection,
    tenant: &TenantId,
    first: Seq,
) -> rusqlite::Result<Vec<JournalDocument>> {
    let query = "SELECT seq, kind, writer, at, payload FROM journal WHERE tenant = ?1 AND seq >= ?2 ORDER BY seq";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map(params![tenant.as_str(), seq_to(first)], journal_document)?;
    rows.collect()
}

pub(super) fn takeovers(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<Vec<(Seq, Timestamp)>> {
    let query = "SELECT seq, at FROM journal WHERE tenant = ?1 AND kind = ?2 ORDER BY seq";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([tenant.as_str(), DocumentKind::Takeover.as_str()], |row| {
        Ok((seq_from(row.get("seq")?), time(row, "at")?))
    })?;
    rows.collect()
}

pub(super) fn headings(
    connection: &Connection,
    tenant: &TenantId,
    first: Seq,
    limit: usize,
) -> rusqlite::Result<Vec<Heading>> {
    let query = "SELECT seq, writer, at FROM journal WHERE tenant = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3";
    let mut statement = connection.prepare_cached(query)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![tenant.as_str(), seq_to(first), limit], heading)?;
    rows.collect()
}

pub(super) fn count(connection: &Connection, tenant: &TenantId, first: Seq, last: Seq) -> rusqlite::Result<i64> {
    let query = "SELECT count(*) FROM journal WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3";
    let mut statement = connection.prepare_cached(query)?;
    statement.query_row(params![tenant.as_str(), seq_to(first), seq_to(last)], |row| row.get(0))
}

/// Numbers of all that are no takeovers.
pub(super) fn entries_below(connection: &Connection, tenant: &TenantId, end: Seq) -> rusqlite::Result<Vec<Seq>> {
    let query = "SELECT seq FROM journal WHERE tenant = ?1 AND seq < ?2 AND kind != ?3 ORDER BY seq";
    let mut statement = connection.prepare_cached(query)?;
    let takeover = DocumentKind::Takeover.as_str();
    let rows =
        statement.query_map(params![tenant.as_str(), seq_to(end), takeover], |row| Ok(seq_from(row.get("seq")?)))?;
    rows.collect()
}

pub(super) fn remove(connection: &Connection, tenant: &TenantId, seqs: &[Seq]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM journal WHERE tenant = ?1 AND seq = ?2")?;
    seqs.iter().try_for_each(|seq| statement.execute(params![tenant.as_str(), seq_to(*seq)]).map(drop))
}

fn journal_document(row: &Row<'_>) -> rusqlite::Result<JournalDocument> {
    let kind: String = row.get("kind")?;
    let unknown = || malformed(row, "kind", Type::Text, format!("{kind:?} is no kind of document"));
    Ok(JournalDocument {
        seq: seq_from(row.get("seq")?),
        kind: DocumentKind::parse(&kind).ok_or_else(unknown)?,
        writer: InstanceId(row.get("writer")?),
        at: time(row, "at")?,
        payload: payload(row)?,
    })
}

fn heading(row: &Row<'_>) -> rusqlite::Result<Heading> {
    Ok(Heading { seq: seq_from(row.get("seq")?), writer: InstanceId(row.get("writer")?), at: time(row, "at")? })
}
