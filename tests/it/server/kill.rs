//! kill −9: what was acknowledged is there after it.

use super::load::{Load, check, check_known};
use crate::support::db::Database;
use crate::support::server::{Server, run, times};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled_by_a_kill_under_load() {
    for database in Database::all() {
        let url = database.url().await;
        let mut acknowledged = Vec::new();
        let mut server = Server::start(&url);
        for round in 0..times("PACKTRAIL_TEST_KILLS", 2) {
            let mut load = Load::start(&server, &round.to_string());
            acknowledged.extend(load.answers(12 + round * 7 % 23).await);
            server.kill();
            acknowledged.extend(load.rest().await);
            server = Server::start(&url);
            check(&url, &acknowledged).await;
            check_known(&server, &acknowledged).await;
            check(&url, &acknowledged).await;
        }
        server.kill();
        let verified = run(&["rebuild", "--verify", "--database", &url], b"");
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    }
}
