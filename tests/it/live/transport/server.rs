//! A server in memory, and a client of it that says what it is told to say.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::serve::Listener;
use futures_util::{SinkExt as _, StreamExt as _};
use packtrail::http::live::{Draining, Live, LiveLimits, routes};
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::fake::Fake;

/// Longer than anything takes.
const NEVER: Duration = Duration::from_hours(1);

struct Wires(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Wires {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(wire) => (wire, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

pub struct Server {
    pub fake: Fake,
    pub live: Arc<Live<Fake>>,
    wires: mpsc::UnboundedSender<DuplexStream>,
    drain: Option<oneshot::Sender<()>>,
    /// Bytes on their way in each direction.
    pub wire_bytes: usize,
}

impl Server {
    pub fn new() -> Self {
        Self::with(LiveLimits::default())
    }

    pub fn with(limits: LiveLimits) -> Self {
        let fake = Fake::default();
        let (drain, drained) = oneshot::channel();
        let draining = Draining::when(async { drop(drained.await) });
        let mut live = Live::new(fake.clone(), limits, draining);
        live.origins.push(HeaderValue::from_static("https://app.example.com"));
        let live = Arc::new(live);
        let (wires, accepted) = mpsc::unbounded_channel();
        tokio::spawn(axum::serve(Wires(accepted), routes(Arc::clone(&live))).into_future());
        Self { fake, live, wires, drain: Some(drain), wire_bytes: 64 * 1024 }
    }

    pub fn drain(&mut self) {
        self.drain.take().unwrap().send(()).unwrap();
    }

    pub async fn upgrade(&self, headers: &[(&'static str, &str)]) -> Result<Client, Response<Option<Vec<u8>>>> {
        let mut request = "ws://server/graphql/ws".into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let (near, far) = duplex(self.wire_bytes);
        self.wires.send(far).unwrap();
        match client_async(request, near).await {
            Ok((socket, _response)) => Ok(Client { socket }),
            Err(Error::Http(response)) => Err(*response),
            Err(other) => panic!("{other}"),
        }
    }

    /// The status by which an upgrade is refused.
    pub async fn refusal(&self, headers: &[(&'static str, &str)]) -> StatusCode {
        let mut all = vec![("sec-websocket-protocol", "graphql-transport-ws")];
        all.extend_from_slice(headers);
        self.upgrade(&all).await.err().map_or(StatusCode::SWITCHING_PROTOCOLS, |response| response.status())
    }

    /// A client that has said nothing yet.
    pub async fn connect(&self) -> Client {
        self.upgrade(&[("sec-websocket-protocol", "graphql-transport-ws")]).await.unwrap()
    }

    pub async fn connect_as(&self, token: &str) -> Client {
        let token = format!("Bearer {token}");
        let headers = [("sec-websocket-protocol", "graphql-transport-ws"), ("authorization", token.as_str())];
        self.upgrade(&headers).await.unwrap()
    }

    /// A client that may subscribe.
    pub async fn open(&self) -> Client {
        let mut client = self.connect().await;
        client.init("someone").await;
        assert_eq!(client.hear().await, json!({"type": "connection_ack"}));
        client
    }
}

pub struct Client {
    pub socket: WebSocketStream<DuplexStream>,
}

impl Client {
    pub async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub async fn init(&mut self, token: &str) {
        self.say(json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {token}")}})).await;
    }

    pub async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({"type": "subscribe", "id": id, "payload": {"query": query, "operationName": id}})).await;
    }

    pub async fn complete(&mut self, id: &str) {
        self.say(json!({"type": "complete", "id": id})).await;
    }

    /// The next text or close.
    pub async fn receive(&mut self) -> Message {
        loop {
            let message = timeout(NEVER, self.socket.next()).await.expect("something is heard").unwrap().unwrap();
            if !message.is_ping() && !message.is_pong() {
                return message;
            }
        }
    }

    pub async fn hear(&mut self) -> Value {
        match self.receive().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Whether the connection has answered everything it was told so far.
    pub async fn settle(&mut self) {
        self.say(json!({"type": "ping", "payload": {"settled": true}})).await;
        assert_eq!(self.hear().await, json!({"type": "pong", "payload": {"settled": true}}));
    }

    /// The code and the reason of the close that comes next.
    pub async fn close(&mut self) -> (u16, String) {
        match self.receive().await {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?}"),
        }
    }
}
