//! The raw twin of the fan-out goals: an axum WebSocket server that sends each text it is posted to all
//! its sockets. Its sockets have the buffers that the product's have, and nothing else: no protocol, no
//! authentication, no limits, no pings.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::Path;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use futures_util::SinkExt as _;
use tokio::sync::broadcast;

/// As large as those of the product's sockets.
const READ_BUFFER: usize = 4 << 10;
/// Likewise.
const WRITE_BUFFER: usize = 16 << 10;
/// Bursts that may wait for a socket; one that falls behind further ends.
const WAITING: usize = 1_024;

/// Texts that are sent together.
type Burst = Arc<[Utf8Bytes]>;

/// Serves until it is killed. `GET /ws` is a socket; `POST /publish/{parts}` sends the body, which must be
/// ASCII, as so many texts of about the same size, and answers before they arrive; `POST /quiet/{parts}`
/// does the same to nobody.
pub async fn serve() -> Result<()> {
    let (heard, _) = broadcast::channel::<Burst>(WAITING);
    let (unheard, _) = broadcast::channel::<Burst>(WAITING);
    let subscribed = heard.clone();
    let upgrade = async move |socket: WebSocketUpgrade| {
        let socket = socket.read_buffer_size(READ_BUFFER).write_buffer_size(WRITE_BUFFER);
        socket.on_upgrade(move |socket| deliver(socket, subscribed.subscribe()))
    };
    let router = Router::new()
        .route("/ws", get(upgrade))
        .route("/publish/{parts}", post(async move |Path(parts): Path<usize>, body: String| send(&heard, parts, body)))
        .route("/quiet/{parts}", post(async move |Path(parts): Path<usize>, body: String| send(&unheard, parts, body)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener.tap_io(|wire| drop(wire.set_nodelay(true))), router).await?;
    Ok(())
}

fn send(to: &broadcast::Sender<Burst>, parts: usize, body: String) -> StatusCode {
    if !body.is_ascii() || parts == 0 || body.len() < parts {
        return StatusCode::BAD_REQUEST;
    }
    let body = Utf8Bytes::from(body);
    let cut = |part: usize| body.len() * part / parts;
    let text = |part: usize| Utf8Bytes::from(&body[cut(part)..cut(part + 1)]);
    // Where nobody listens there is nothing to do.
    let _nobody_listens = to.send((0..parts).map(text).collect());
    StatusCode::OK
}

/// Says that it is there by an empty text, then sends what waits together: fed, and flushed once.
async fn deliver(mut socket: WebSocket, mut bursts: broadcast::Receiver<Burst>) {
    if socket.send(Message::Text(Utf8Bytes::default())).await.is_err() {
        return;
    }
    while let Ok(burst) = bursts.recv().await {
        let mut next = Some(burst);
        while let Some(burst) = next {
            for text in burst.iter() {
                if socket.feed(Message::Text(text.clone())).await.is_err() {
                    return;
                }
            }
            next = bursts.try_recv().ok();
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}
