//! Requests to Firestore: the connection, their deadlines, what their failures mean.
//!
//! The plain protocol instead of the crate's fluent API, because that has no `Commit` of several preconditioned writes without a
//! transaction around it, retries reads by itself, and tells a missing document from a missing database in no call by id. The
//! connection is our own too: the crate's notices a silent one after two minutes.
//!
//! Promises: no request outlives its time limit (a streamed answer: none of its pieces), none is repeated, and one that was left
//! without an answer makes the next one dial anew.

mod failure;

use std::{error::Error, fmt, future::Future, sync::Mutex, time::Duration};

use firestore::gcloud_sdk::{
    self, GoogleAuthHeaders, GoogleAuthMiddleware, GoogleAuthMiddlewareLayer, HeaderMap,
    error::ErrorKind,
    google::firestore::v1::{
        BatchGetDocumentsRequest, CommitRequest, CommitResponse, Document, DocumentMask, ListDocumentsRequest,
        Precondition, RunAggregationQueryRequest, RunQueryRequest, StructuredAggregationQuery, StructuredQuery, Write,
        WriteResult, batch_get_documents_response,
        firestore_client::FirestoreClient,
        precondition::ConditionType,
        run_aggregation_query_request, run_query_request,
        structured_aggregation_query::{
            self, Aggregation,
            aggregation::{Count, Operator},
        },
        value::ValueType,
        write::Operation,
    },
    google_cloud_auth::credentials::anonymous,
    tonic::{
        Code, Request, Status, Streaming,
        client::Grpc,
        transport::{ClientTlsConfig, Endpoint},
    },
};
use http::uri::PathAndQuery;
use jiff::Timestamp;
use tonic_prost::ProstCodec;
use tower::Layer;

pub(super) use self::failure::RpcFailure;
use self::failure::chain;
use super::{FirestoreConfig, FirestoreCredentials, VaultError};
use crate::sync::lock;

const PRODUCTION: &str = "https://firestore.googleapis.com";
const SCOPE: &str = "https://www.googleapis.com/auth/datastore";
/// A connection on which nothing moves is asked this often, and given up after as long without an answer.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Names a page: an answer over 4 MiB is refused by the client.
const PAGE: i32 = 300;

type Client = FirestoreClient<GoogleAuthMiddleware>;

pub(super) struct Wire {
    /// `projects/{project}/databases/{database}`
    database: String,
    endpoint: Endpoint,
    auth: GoogleAuthMiddlewareLayer,
    time_limit: Duration,
    connection: Mutex<FirestoreConnection>,
}

#[derive(Clone)]
struct FirestoreConnection {
    client: Client,
    /// The channel that the client sends through.
    service: GoogleAuthMiddleware,
    /// Counts dials, so that many requests that time out together make one.
    dial: u64,
}

impl FirestoreConnection {
    fn new(service: GoogleAuthMiddleware, dial: u64) -> Self {
        Self { client: FirestoreClient::new(service.clone()), service, dial }
    }
}

impl Wire {
    pub(super) async fn connect(config: FirestoreConfig) -> Result<Self, VaultError> {
        let FirestoreConfig { project, database, credentials, request_timeout: time_limit } = config;
        let database = format!("projects/{project}/databases/{database}");
        let silent = || VaultError::Unavailable("no connection within the time limit".into());
        // First, so that missing credentials are not taken for a missing network.
        let auth = deadline(time_limit, authorization(&credentials, &database)).await.ok_or_else(silent)??;
        let endpoint = endpoint(&credentials, time_limit)?;
        let channel = deadline(time_limit, endpoint.connect())
            .await
            .ok_or_else(silent)?
            .map_err(|error| VaultError::Unavailable(chain(&error)))?;
        let connection = Mutex::new(FirestoreConnection::new(auth.layer(channel), 0));
        Ok(Self { database, endpoint, auth, time_limit, connection })
    }

    /// The full name of a document.
    pub(super) fn name(&self, path: &str) -> String {
        format!("{}/documents/{path}", self.database)
    }

    /// All writes, or none of them.
    pub(super) async fn commit(&self, writes: Vec<Write>) -> Result<Vec<WriteResult>, RpcFailure> {
        let request = CommitRequest { database: self.database.clone(), writes, ..Default::default() };
        let answer = self.call(async |mut client| client.commit(self.limited(request)).await).await?;
        Ok(answer.write_results)
    }

    /// All writes, or none of them: none if the document `name` is not in this condition at that moment.
    pub(super) async fn commit_after(
        &self,
        writes: Vec<Write>,
        name: String,
        condition: ConditionType,
    ) -> Result<Vec<WriteResult>, RpcFailure> {
        let (database, writes) = (self.database.clone(), writes.into_iter().map(GuardedWrite::from));
        let verification = GuardedWrite::verifying(name, condition);
        let request = GuardedCommit { database, writes: writes.chain([verification]).collect() };
        let FirestoreConnection { service, dial, .. } = self.current();
        let commit = async {
            let mut service = Grpc::new(service);
            service.ready().await.map_err(|error| Status::unavailable(chain(&*error)))?;
            let path = PathAndQuery::from_static("/google.firestore.v1.Firestore/Commit");
            service.unary(self.limited(request), path, ProstCodec::<GuardedCommit, CommitResponse>::default()).await
        };
        let answer = deadline(self.time_limit, commit).await;
        Ok(self.answered(answer, dial)?.into_inner().write_results)
    }

    /// Asks if the server knows preconditions alone. Writes nothing.
    pub(super) async fn takes_verifications(&self, name: String) -> Result<bool, VaultError> {
        match self.commit_after(Vec::new(), name, ConditionType::Exists(true)).await {
            Ok(_) => Ok(true),
            Err(RpcFailure(status)) => match status.code() {
                Code::NotFound => Ok(true),
                Code::InvalidArgument | Code::Unimplemented => Ok(false),
                _ => Err(RpcFailure(status).into()),
            },
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Option<Document>, RpcFailure> {
        // Not by GetDocument: there a database that does not exist looks like a document that does not.
        let request = BatchGetDocumentsRequest {
            database: self.database.clone(),
            documents: vec![self.name(path)],
            ..Default::default()
        };
        let answers = self.stream(async |mut client| client.batch_get_documents(request).await).await?;
        Ok(answers.into_iter().find_map(|answer| match answer.result {
            Some(batch_get_documents_response::Result::Found(document)) => Some(document),
            _ => None,
        }))
    }

    /// `parent` is the path of a document, or empty.
    pub(super) async fn query(&self, parent: &str, query: StructuredQuery) -> Result<Vec<Document>, RpcFailure> {
        Ok(self.query_as_of(parent, query).await?.0)
    }

    /// And as of which moment of the server this is all.
    pub(super) async fn query_as_of(
        &self,
        parent: &str,
        query: StructuredQuery,
    ) -> Result<(Vec<Document>, Option<Timestamp>), RpcFailure> {
        let request = RunQueryRequest {
            parent: self.parent(parent),
            query_type: Some(run_query_request::QueryType::StructuredQuery(query)),
            ..Default::default()
        };
        let answers = self.stream(async |mut client| client.run_query(request).await).await?;
        // The first one's time: what comes after it may be newer, and then it comes again.
        let as_of = answers.first().and_then(|answer| answer.read_time);
        let as_of = as_of.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok());
        Ok((answers.into_iter().filter_map(|answer| answer.document).collect(), as_of))
    }

    /// How many documents the query would find.
    pub(super) async fn count(&self, parent: &str, query: StructuredQuery) -> Result<u64, VaultError> {
        const COUNT: &str = "count";
        let count = Aggregation { alias: COUNT.into(), operator: Some(Operator::Count(Count { up_to: None })) };
        let query = StructuredAggregationQuery {
            aggregations: vec![count],
            query_type: Some(structured_aggregation_query::QueryType::StructuredQuery(query)),
        };
        let request = RunAggregationQueryRequest {
            parent: self.parent(parent),
            query_type: Some(run_aggregation_query_request::QueryType::StructuredAggregationQuery(query)),
            ..Default::default()
        };
        let answers = self.stream(async |mut client| client.run_aggregation_query(request).await).await?;
        let count = answers.into_iter().find_map(|answer| answer.result?.aggregate_fields.remove(COUNT)?.value_type);
        match count {
            Some(ValueType::IntegerValue(count)) => Ok(count.unsigned_abs()),
            _ => Err(VaultError::Malformed("a count that is none".into())),
        }
    }

    /// Names of the documents in a collection, in order, those included that only have documents below them.
    pub(super) async fn names(&self, parent: &str, collection: &str) -> Result<Vec<String>, RpcFailure> {
        let mut request = ListDocumentsRequest {
            parent: self.parent(parent),
            collection_id: collection.into(),
            page_size: PAGE,
            mask: Some(DocumentMask { field_paths: vec!["__name__".into()] }),
            show_missing: true,
            ..Default::default()
        };
        let mut names = Vec::new();
        loop {
            let page = request.clone();
            let answer = self.call(async |mut client| client.list_documents(self.limited(page)).await).await?;
            names.extend(answer.documents.into_iter().map(|document| document.name));
            if answer.next_page_token.is_empty() {
                return Ok(names);
            }
            request.page_token = answer.next_page_token;
        }
    }

    fn parent(&self, path: &str) -> String {
        self.name(path).trim_end_matches('/').to_owned()
    }

    /// The server hears of the limit too, and does not carry out what nobody waits for any more.
    fn limited<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.time_limit);
        request
    }

    async fn call<T>(
        &self,
        request: impl AsyncFnOnce(Client) -> Result<gcloud_sdk::tonic::Response<T>, Status>,
    ) -> Result<T, RpcFailure> {
        let FirestoreConnection { client, dial, .. } = self.current();
        let answer = deadline(self.time_limit, request(client)).await;
        Ok(self.answered(answer, dial)?.into_inner())
    }

    /// The limit holds for the first piece and for each further one.
    async fn stream<T>(
        &self,
        request: impl AsyncFnOnce(Client) -> Result<gcloud_sdk::tonic::Response<Streaming<T>>, Status>,
    ) -> Result<Vec<T>, RpcFailure> {
        let FirestoreConnection { client, dial, .. } = self.current();
        let mut stream = self.answered(deadline(self.time_limit, request(client)).await, dial)?.into_inner();
        let mut pieces = Vec::new();
        while let Some(piece) = self.answered(deadline(self.time_limit, stream.message()).await, dial)? {
            pieces.push(piece);
        }
        Ok(pieces)
    }

    fn current(&self) -> FirestoreConnection {
        lock(&self.connection).clone()
    }

    fn answered<T>(&self, answer: Option<Result<T, Status>>, dial: u64) -> Result<T, RpcFailure> {
        let status = match answer {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(status)) => status,
            None => Status::deadline_exceeded("no answer within the time limit"),
        };
        // Cancelled is how the client's own end calls a deadline that it keeps.
        if matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) {
            self.redial(dial);
        }
        Err(RpcFailure(status))
    }

    /// Leaves a connection that gave no answer: it may be dead without anybody having been told. Requests under way keep it.
    fn redial(&self, seen: u64) {
        let mut connection = lock(&self.connection);
        if connection.dial == seen {
            *connection = FirestoreConnection::new(self.auth.layer(self.endpoint.connect_lazy()), seen + 1);
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("database", &self.database)
            .field("endpoint", self.endpoint.uri())
            .finish_non_exhaustive()
    }
}

/// `None` when the time is up.
async fn deadline<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

fn endpoint(credentials: &FirestoreCredentials, time_limit: Duration) -> Result<Endpoint, VaultError> {
    let url = match credentials {
        // Given in every case, so that the environment has no say in it.
        FirestoreCredentials::ServiceAccountJson(_) | FirestoreCredentials::ApplicationDefault => PRODUCTION.to_owned(),
        FirestoreCredentials::Emulator { host } => format!("http://{host}"),
    };
    let refused = |error: &dyn Error| VaultError::Refused(format!("{url}: {}", chain(error)));
    let endpoint = Endpoint::from_shared(url.clone()).map_err(|error| refused(&error))?;
    let endpoint = endpoint
        .connect_timeout(time_limit)
        .tcp_keepalive(Some(KEEP_ALIVE))
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        // A restore reads many snapshots at a time; the default of 64 KiB would make each wait for the other.
        .initial_stream_window_size(2 * 1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024);
    match credentials {
        FirestoreCredentials::Emulator { .. } => Ok(endpoint),
        _ => endpoint.tls_config(ClientTlsConfig::new().with_webpki_roots()).map_err(|error| refused(&error)),
    }
}

/// Gets a token at once, to learn whether there is one.
async fn authorization(
    credentials: &FirestoreCredentials,
    database: &str,
) -> Result<GoogleAuthMiddlewareLayer, VaultError> {
    let refused = |error: gcloud_sdk::error::Error| VaultError::Refused(chain(&error));
    let mut headers = HeaderMap::new();
    let auth = match credentials {
        FirestoreCredentials::ServiceAccountJson(key) => {
            let key = serde_json::from_str(&key.0)
                .map_err(|error| VaultError::Refused(format!("the service account key is no JSON: {error}")))?;
            GoogleAuthHeaders::from_service_account_key(key, vec![SCOPE.into()]).await.map_err(refused)?
        }
        FirestoreCredentials::ApplicationDefault => {
            GoogleAuthHeaders::from_adc_with_scopes(vec![SCOPE.into()]).await.map_err(refused)?
        }
        FirestoreCredentials::Emulator { .. } => {
            // The stub token that makes the emulator pass over security rules.
            headers.insert("authorization", "Bearer owner".parse().expect("is a header value"));
            GoogleAuthHeaders::from(anonymous::Builder::new().build())
        }
    };
    auth.headers().await.map_err(|error| {
        let text = format!("no access token from {}: {}", origin(credentials), chain(&error));
        match error.kind() {
            ErrorKind::Credentials(cause) if cause.is_transient() => VaultError::Unavailable(text),
            _ => VaultError::Refused(text),
        }
    })?;
    let mut layer = GoogleAuthMiddlewareLayer::new(auth, Some(database.to_owned())).map_err(refused)?;
    layer.set_additional_headers(headers);
    Ok(layer)
}

fn origin(credentials: &FirestoreCredentials) -> &'static str {
    match credentials {
        FirestoreCredentials::ServiceAccountJson(_) => "the service account key",
        FirestoreCredentials::ApplicationDefault => {
            "the application default credentials (GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the machine's metadata server)"
        }
        FirestoreCredentials::Emulator { .. } => "nowhere",
    }
}

/// As `CommitRequest` and `Write`, with what Google's client libraries send in transactions and what it does not publish in the
/// protocol for others: the precondition of a document that is not written (`verify`; see the scripts that generate the protocol of
/// nodejs-firestore and of firebase-js-sdk). It costs no write.
#[derive(Clone, PartialEq, prost::Message)]
struct GuardedCommit {
    #[prost(string, tag = "1")]
    database: String,
    #[prost(message, repeated, tag = "2")]
    writes: Vec<GuardedWrite>,
}

/// One of the first two fields and the last is set.
#[derive(Clone, PartialEq, prost::Message)]
struct GuardedWrite {
    #[prost(message, optional, tag = "1")]
    update: Option<Document>,
    #[prost(string, optional, tag = "2")]
    delete: Option<String>,
    #[prost(message, optional, tag = "3")]
    update_mask: Option<DocumentMask>,
    #[prost(message, optional, tag = "4")]
    current_document: Option<Precondition>,
    #[prost(string, optional, tag = "5")]
    verify: Option<String>,
}

impl GuardedWrite {
    fn verifying(name: String, condition: ConditionType) -> Self {
        let current_document = Some(Precondition { condition_type: Some(condition) });
        Self { verify: Some(name), current_document, ..Self::default() }
    }
}

impl From<Write> for GuardedWrite {
    fn from(write: Write) -> Self {
        let Write { operation, update_mask, current_document, .. } = write;
        let (update, delete) = match operation {
            Some(Operation::Update(document)) => (Some(document), None),
            Some(Operation::Delete(name)) => (None, Some(name)),
            Some(Operation::Transform(_)) | None => (None, None),
        };
        Self { update, delete, update_mask, current_document, verify: None }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ServiceAccountKey, *};

    fn key(json: &str) -> FirestoreCredentials {
        FirestoreCredentials::ServiceAccountJson(ServiceAccountKey::new(json.into()))
    }

    /// Looks like a key file; what should be its private key is none.
    const UNUSABLE: &str = r#"{ "type": "service_account", "project_id": "p", "private_key_id": "k",
        "private_key": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "client_email": "a@b.c" }"#;

    #[tokio::test]
    async fn unusable_credentials_are_refused_before_anything_is_dialed() {
        for json in ["", "{}", "not json: secret", UNUSABLE] {
            let config = FirestoreConfig {
                project: "p".into(),
                database: "(default)".into(),
                credentials: key(json),
                request_timeout: Duration::from_secs(10),
            };
            assert!(!format!("{config:?}").contains("secret"));
            match Wire::connect(config).await {
                Err(VaultError::Refused(reason)) => assert!(!reason.contains("secret"), "{reason}"),
                other => panic!("{json}: {other:?}"),
            }
        }
    }

    /// Later, when a token that was good once cannot be had any more.
    #[tokio::test]
    async fn a_request_without_credentials_is_refused() {
        let FirestoreCredentials::ServiceAccountJson(json) = key(UNUSABLE) else { unreachable!() };
        let auth = GoogleAuthHeaders::from_service_account_key(serde_json::from_str(&json.0).unwrap(), vec![]);
        let auth = GoogleAuthMiddlewareLayer::new(auth.await.unwrap(), None).unwrap();
        let endpoint = Endpoint::from_static("http://127.0.0.1:1");
        let connection = Mutex::new(FirestoreConnection::new(auth.layer(endpoint.connect_lazy()), 0));
        let wire = Wire {
            database: "projects/p/databases/d".into(),
            endpoint,
            auth,
            time_limit: Duration::from_secs(10),
            connection,
        };
        let failure = VaultError::from(wire.get("a/b").await.unwrap_err());
        assert!(matches!(failure, VaultError::Refused(_)), "{failure:?}");
    }

    #[test]
    fn what_may_have_happened_is_unavailable() {
        let unknown = [Code::Unknown, Code::DeadlineExceeded, Code::Unavailable, Code::Internal, Code::Cancelled];
        let passing = [Code::Aborted, Code::ResourceExhausted];
        for code in unknown.into_iter().chain(passing) {
            let error = VaultError::from(RpcFailure(Status::new(code, "")));
            assert!(matches!(error, VaultError::Unavailable(_)), "{error:?}");
        }
        for code in [Code::InvalidArgument, Code::PermissionDenied, Code::Unauthenticated, Code::NotFound] {
            let error = VaultError::from(RpcFailure(Status::new(code, "")));
            assert!(matches!(error, VaultError::Refused(_)), "{error:?}");
        }
    }
}
