//! A subscriber over a WebSocket.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The log of a run, from a cursor on.
pub const LOGS: &str = "subscription($r: String!, $a: String) { runLogs(runId: $r, after: $a) { \
    entries { seq message } cursor endOfLog } }";

/// How long anything that must come may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A WebSocket that was acknowledged.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Connects to a server, such as `http://127.0.0.1:8080`; `None` if it is not there.
    pub async fn connect(url: &str) -> Option<Self> {
        let url = format!("{}/graphql/ws", url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
        let mut socket = Self(connect_async(request).await.ok()?.0);
        socket.send(&json!({"type": "connection_init"})).await?;
        (socket.next().await?["type"] == "connection_ack").then_some(socket)
    }

    /// Sends a message; `None` if the connection is gone.
    pub async fn send(&mut self, message: &Value) -> Option<()> {
        self.0.send(Message::text(message.to_string())).await.ok()
    }

    /// Begins an operation.
    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) -> Option<()> {
        let payload = json!({"query": query, "variables": variables});
        self.send(&json!({"id": id, "type": "subscribe", "payload": payload})).await
    }

    /// The next message; `None` if the connection is gone.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message within a minute");
            match message?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => {
                    return Some(json!({"type": "closed", "code": frame.map(|frame| u16::from(frame.code))}));
                }
                _ => {}
            }
        }
    }

    /// The data of the next event of the only operation.
    pub async fn event(&mut self) -> Value {
        let message = self.next().await.unwrap();
        assert_eq!(message["type"], "next", "{message}");
        assert!(message["payload"]["errors"].is_null(), "{message}");
        message["payload"]["data"].clone()
    }

    /// The code with which the only operation is refused.
    pub async fn refusal(&mut self) -> String {
        let message = self.next().await.unwrap();
        assert_eq!(message["type"], "error", "{message}");
        message["payload"][0]["extensions"]["code"].as_str().unwrap().to_owned()
    }
}
