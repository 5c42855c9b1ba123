//! GraphQL as clients see it: a served engine, by HTTP and by websocket.

mod activities;
mod bounds;
mod changes;
mod conformance;
mod costs;
mod executor;
mod http;
mod inputs;
mod introspection;
mod limits;
mod listings;
mod merging;
mod nodes;
mod reads;
mod soundness;
mod subscriptions;
mod timestamps;
mod websocket;

use std::{net::SocketAddr, sync::Arc};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use stormpetrel::{
    graphql::{Api, Limits},
    petrel::Petrel,
    server::{ServerState, serve},
    storage::{
        MemoryStorage, ReadPath, Storage,
        nats::{NatsStorage, NatsStorageConfig},
    },
    testing::TestServer,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, protocol::CloseFrame},
};
use tokio_util::sync::CancellationToken;

use crate::support::config;

/// An engine that is served on a free port.
struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
    http: reqwest::Client,
    /// The server beneath, if it is not in memory.
    nats: Option<TestServer>,
}

impl Served {
    async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    /// An engine on a nats-server, with tokens read in one of the ways.
    async fn reading(read_path: ReadPath) -> Self {
        let nats = TestServer::start().await;
        let config = NatsStorageConfig { read_path, ..config(nats.url()) };
        let storage = NatsStorage::connect(config).await.unwrap();
        let served = Self::over(Arc::new(storage), Limits::default()).await;
        Self { nats: Some(nats), ..served }
    }

    async fn with(limits: Limits) -> Self {
        Self::over(Arc::new(MemoryStorage::new()), limits).await
    }

    async fn over(storage: Arc<dyn Storage>, limits: Limits) -> Self {
        Self::of(Petrel::new(storage), limits).await
    }

    async fn of(petrel: Petrel, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let state = ServerState::new(Api::new(petrel, limits));
        let server = tokio::spawn(serve(listener, state, shutdown.clone()));
        Self { address, shutdown, server, http: reqwest::Client::new(), nats: None }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The whole answer to an operation.
    async fn ask(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let answer = self.http.post(self.url("/graphql")).json(&body).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// The data of an operation that must succeed.
    async fn data(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(query, variables).await;
        assert!(answer.get("errors").is_none(), "{answer:#}");
        answer["data"].take()
    }

    /// The only error of an operation that must fail.
    async fn error(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(query, variables).await;
        assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{answer:#}");
        answer["errors"][0].take()
    }

    /// Creates the workflow `orders`: new → review → done, review ← new only for amounts.
    async fn with_orders(self) -> Self {
        let workflow = json!({ "input": {
            "id": "orders",
            "name": "Orders",
            "places": [{ "id": "new" }, { "id": "review" }, { "id": "done", "kind": "TERMINAL" }],
            "transitions": [
                { "id": "submit", "fromPlaces": ["new"], "toPlace": "review",
                  "conditions": ["has(token.data.amount)"] },
                { "id": "approve", "inputs": [{ "place": "review" }],
                  "outputs": [{ "place": "done" }] },
            ],
            "initialPlace": "new",
        }});
        let create = "mutation($input: CreateWorkflowInput!) {
            createWorkflow(input: $input) { workflowId version sequence } }";
        let made = self.data(create, workflow).await;
        assert_eq!(made["createWorkflow"]["version"], 1);
        self
    }

    /// Begins the case `id` of `orders` and answers with its token's id.
    async fn order(&self, id: &str) -> String {
        let create = "mutation($case: ID) { createWorkflowInstance(
            input: { workflowId: \"orders\", caseId: $case, initialData: { amount: 7 } }) { tokenId } }";
        let made = self.data(create, json!({ "case": id })).await;
        made["createWorkflowInstance"]["tokenId"].as_str().unwrap().to_owned()
    }

    /// Fires a transition with a token.
    async fn fire(&self, token: &str, transition: &str) -> Value {
        let fire = "mutation($token: ID!, $transition: ID!) { fireTransition(
            input: { tokenId: $token, transitionId: $transition, triggeredBy: \"test\" }) {
                token { tokenId placeId history { from to sequence } natsSubject }
                case { status revision } sequence transitionId repeated event { time kind } } }";
        let fired = self.data(fire, json!({ "token": token, "transition": transition })).await;
        fired["fireTransition"].clone()
    }

    async fn socket(&self) -> Client {
        self.socket_of("graphql-transport-ws", "graphql-transport-ws").await
    }

    /// A websocket whose client offers some subprotocols, and gets one.
    async fn socket_of(&self, offered: &str, spoken: &str) -> Client {
        let mut request = self.url("/graphql").replace("http", "ws").into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", offered.parse().unwrap());
        let (socket, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
        assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], spoken);
        Client { socket }
    }

    /// A websocket whose connection is initialised, and has little room for what is not read.
    async fn narrow_socket(&self) -> Client {
        let url = self.url("/graphql").replace("http", "ws");
        let mut request = url.into_client_request().unwrap();
        let address = request.uri().authority().unwrap().as_str().parse().unwrap();
        let protocol = "graphql-transport-ws".parse().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(address).await.unwrap());
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        Client { socket }.initialised().await
    }

    /// A websocket whose connection is initialised.
    async fn ready_socket(&self) -> Client {
        self.socket().await.initialised().await
    }

    /// Stops the server in order.
    async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
    }
}

/// A client of `graphql-transport-ws`.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    async fn initialised(mut self) -> Self {
        self.send(json!({ "type": "connection_init" })).await;
        assert_eq!(self.message().await, json!({ "type": "connection_ack" }));
        self
    }

    async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        let payload = json!({ "query": query });
        self.send(json!({ "id": id, "type": "subscribe", "payload": payload })).await;
    }

    /// The next message.
    async fn message(&mut self) -> Value {
        loop {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("no message but {other:?}"),
            }
        }
    }

    /// The data of the next message, which must be a `next`.
    async fn next(&mut self, id: &str) -> Value {
        let mut message = self.message().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!(id)), "{message:#}");
        assert!(message["payload"].get("errors").is_none(), "{message:#}");
        message["payload"]["data"].take()
    }

    /// The code with which the server closes the socket.
    async fn close_code(&mut self) -> u16 {
        loop {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Close(Some(CloseFrame { code, .. })) => return code.into(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("no close frame but {other:?}"),
            }
        }
    }
}
