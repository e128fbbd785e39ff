//! What several servers on one Postgres tell each other, and which of them leads. Where the tests have no Postgres,
//! there is nothing to tell.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use packtrail::storage::Topic;
use packtrail::storage::replica::{Heard, Hearing, Leadership, Replica, ReplicaError, Settings, Wake};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgPool};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than anything takes on a machine that is busy with other things.
const GENEROUS: Duration = Duration::from_mins(1);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(GENEROUS, what).await.expect("it does not happen")
}

fn has_postgres() -> bool {
    std::env::var("PACKTRAIL_TEST_POSTGRES_URL").is_ok()
}

fn server() -> String {
    std::env::var("PACKTRAIL_TEST_POSTGRES_URL").expect("PACKTRAIL_TEST_POSTGRES_URL must lead to a Postgres")
}

/// A database of its own, dropped at the end.
struct Database {
    url: String,
    name: String,
    pool: PgPool,
}

impl Database {
    async fn new(test: &str) -> Self {
        let options = PgConnectOptions::from_str(&server()).unwrap();
        let name = format!("replica_{test}_{}", std::process::id());
        admin(&format!("CREATE DATABASE {name}")).await;
        let options = options.database(&name);
        let url = options.to_url_lossy().to_string();
        let pool = PgPoolOptions::new().max_connections(12).connect_with(options).await.unwrap();
        Self { url, name, pool }
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    /// Ends the sessions of a role when there are so many, and waits until there are.
    async fn terminate(&self, role: &str, count: i64) {
        let here = format!("FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{role}'");
        self.until(&format!("SELECT COUNT(*) {here}"), count).await;
        self.count(&format!("SELECT COUNT(pg_terminate_backend(pid)) {here}")).await;
    }

    async fn until(&self, sql: &str, count: i64) {
        soon(async {
            while self.count(sql).await != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn drop(self) {
        self.pool.close().await;
        admin(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

async fn admin(sql: &str) {
    let mut connection = PgConnectOptions::from_str(&server()).unwrap().connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

fn ledger(tenant: i64, head: i64) -> Wake {
    Wake { topic: Topic::Ledger { tenant }, number: head }
}

fn log(run: i64, logged: i64) -> Wake {
    Wake { topic: Topic::Log { tenant: 1, run }, number: logged }
}

async fn join(url: &str, settings: &Settings) -> (Replica, Hearing) {
    let (replica, mut hearing) = Replica::start(url, settings.clone()).await.unwrap();
    assert_eq!(soon(hearing.next()).await, Some(Heard::Everything), "the first thing heard");
    (replica, hearing)
}

/// Hears until this wake.
async fn until(hearing: &mut Hearing, wake: Wake) -> Vec<Heard> {
    let mut heard = Vec::new();
    while heard.last() != Some(&Heard::Wake(wake)) {
        heard.push(soon(hearing.next()).await.unwrap());
    }
    heard
}

/// What was done to a stretch of network so far.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Way {
    /// How often it was frozen: what was connected then stays connected, and nothing is carried or said ever again.
    frozen: u32,
    /// How often it was cut: what was connected then is closed.
    cut: u32,
    /// Whether new connections are carried.
    open: bool,
}

/// A stretch of network before Postgres.
struct Network {
    url: String,
    way: watch::Sender<Way>,
}

impl Network {
    async fn new(url: &str) -> Self {
        let options = PgConnectOptions::from_str(url).unwrap();
        let postgres = (options.get_host().to_owned(), options.get_port());
        let entry = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = options.host("127.0.0.1").port(entry.local_addr().unwrap().port()).to_url_lossy().to_string();
        let (way, seen) = watch::channel(Way { frozen: 0, cut: 0, open: true });
        tokio::spawn(async move {
            loop {
                let (client, _) = entry.accept().await.unwrap();
                tokio::spawn(carry(client, postgres.clone(), seen.clone()));
            }
        });
        Self { url, way }
    }

    fn freeze(&self) {
        self.way.send_modify(|way| *way = Way { frozen: way.frozen + 1, open: false, ..*way });
    }

    fn cut(&self) {
        self.way.send_modify(|way| *way = Way { cut: way.cut + 1, open: false, ..*way });
    }

    fn open(&self) {
        self.way.send_modify(|way| way.open = true);
    }
}

/// Waits until connections of that time are cut or frozen.
async fn turned(way: &mut watch::Receiver<Way>, started: Way) -> Option<Way> {
    way.wait_for(|way| way.cut != started.cut || way.frozen != started.frozen).await.ok().map(|way| *way)
}

async fn carry(mut client: TcpStream, postgres: (String, u16), mut way: watch::Receiver<Way>) {
    let started = *way.borrow_and_update();
    if !started.open {
        return;
    }
    let mut server = TcpStream::connect(postgres).await.unwrap();
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            biased;
            turned = turned(&mut way, started) => match turned {
                // Both sockets stay open, and the kernel acknowledges what arrives.
                Some(turned) if turned.frozen != started.frozen => break,
                _ => return,
            },
            read = client.read(&mut up) => match read {
                Ok(n) if n > 0 && server.write_all(&up[..n]).await.is_ok() => {}
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(n) if n > 0 && client.write_all(&down[..n]).await.is_ok() => {}
                _ => return,
            },
        }
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_wake_is_heard_by_the_others_and_not_by_its_own_server() {
    if !has_postgres() {
        return;
    }
    let database = Database::new("heard").await;
    let (a, mut a_hears) = join(&database.url, &Settings::default()).await;
    let (b, mut b_hears) = join(&database.url, &Settings::default()).await;
    a.tell(ledger(1, 5));
    a.tell(log(7, 3));
    let mut heard = HashSet::new();
    while heard.len() < 2 {
        heard.insert(soon(b_hears.next()).await.unwrap());
    }
    assert_eq!(heard, HashSet::from([Heard::Wake(ledger(1, 5)), Heard::Wake(log(7, 3))]));
    b.tell(ledger(2, 9));
    assert_eq!(until(&mut a_hears, ledger(2, 9)).await, [Heard::Wake(ledger(2, 9))], "and nothing of its own");
    let other = Settings { name: "another installation".to_owned(), ..Settings::default() };
    let (c, mut c_hears) = join(&database.url, &other).await;
    a.tell(ledger(1, 6));
    until(&mut b_hears, ledger(1, 6)).await;
    for replica in [&a, &b, &c] {
        replica.stop().await;
    }
    assert_eq!(soon(c_hears.next()).await, None, "other installations hear nothing, and stopping ends hearing");
    assert_eq!(soon(a_hears.next()).await, None);
    database.drop().await;
}

#[tokio::test]
async fn ten_thousand_wakes_arrive_as_the_highest_of_each_place_in_few_notifications() {
    if !has_postgres() {
        return;
    }
    let database = Database::new("coalesce").await;
    let settings = Settings::default();
    let mut raw = PgListener::connect(&database.url).await.unwrap();
    raw.listen(&settings.channel()).await.unwrap();
    let (a, _a_hears) = join(&database.url, &settings).await;
    let (_b, mut b_hears) = join(&database.url, &settings).await;
    for logged in 1..=100 {
        for run in 0..100 {
            a.tell(log(run, logged));
        }
        tokio::task::yield_now().await;
    }
    let mut highest = HashMap::new();
    while highest.len() < 100 || highest.values().any(|logged| *logged < 100) {
        let Some(Heard::Wake(Wake { topic: Topic::Log { run, .. }, number: logged })) = soon(b_hears.next()).await
        else {
            panic!("only wakes are heard")
        };
        assert!(highest.insert(run, logged).is_none_or(|before| before < logged), "numbers only rise");
    }
    let mut notifications = 0;
    let last = format!(" l99:{}", i64::MAX);
    a.tell(ledger(99, i64::MAX));
    loop {
        let notification = soon(raw.recv()).await.unwrap();
        if notification.payload().ends_with(&last) {
            break;
        }
        notifications += 1;
    }
    println!("10,000 tells: {notifications} notifications");
    assert!(notifications <= 500, "{notifications} notifications");
    database.drop().await;
}

/// Follows the numbers of a table by what is heard alone: what a reader of the product does, without its poll.
async fn follow(pool: PgPool, mut hearing: Hearing, place: watch::Sender<i64>) {
    let mut cursor = 0_i64;
    while let Some(heard) = hearing.next().await {
        if matches!(heard, Heard::Wake(Wake { topic: Topic::Ledger { .. }, number: head }) if head <= cursor) {
            continue;
        }
        let found: Vec<i64> = sqlx::query_scalar("SELECT n FROM numbers WHERE n > $1 ORDER BY n")
            .bind(cursor)
            .fetch_all(&pool)
            .await
            .unwrap();
        for n in found {
            assert_eq!(n, cursor + 1, "each number in its order");
            cursor = n;
        }
        place.send_replace(cursor);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_misses_nothing_while_the_listening_connection_is_ended_a_hundred_times() {
    if !has_postgres() {
        return;
    }
    let database = Arc::new(Database::new("follow").await);
    database.run("CREATE TABLE numbers (n BIGINT PRIMARY KEY)").await;
    let (a, _a_hears) = join(&database.url, &Settings::default()).await;
    let (b, b_hears) = join(&database.url, &Settings::default()).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (database, done) = (Arc::clone(&database), Arc::clone(&done));
        async move {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                n += 1;
                sqlx::query("INSERT INTO numbers VALUES ($1)").bind(n).execute(&database.pool).await.unwrap();
                a.tell(ledger(1, n));
            }
            (n, a)
        }
    });
    let (place, mut reached) = watch::channel(0);
    let reader = tokio::spawn(follow(database.pool.clone(), b_hears, place));
    for _ in 0..100 {
        database.terminate("packtrail listener", 2).await;
    }
    done.store(true, Ordering::Relaxed);
    let (last, a) = soon(writer).await.unwrap();
    soon(reached.wait_for(|cursor| *cursor == last)).await.unwrap();
    println!("{last} numbers were read while the listeners were ended 100 times");
    b.stop().await;
    soon(reader).await.unwrap();
    drop((a, b));
    Arc::into_inner(database).unwrap().drop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_heard_as_everything() {
    if !has_postgres() {
        return;
    }
    let database = Database::new("garbage").await;
    let settings = Settings::default();
    let (a, _a_hears) = join(&database.url, &settings).await;
    let (_b, mut b_hears) = join(&database.url, &settings).await;
    let garbage = [
        "",
        "hello",
        "p1",
        "p9 00000000000000ff l1:2",
        "p1 00000000000000ff l1:2:x",
        "p1 zzzzzzzzzzzzzzzz l1:2",
        "é🦀",
    ];
    for (head, payload) in (1..).zip(garbage.map(str::to_owned).into_iter().chain(["x".repeat(7_999)])) {
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(settings.channel())
            .bind(payload)
            .execute(&database.pool)
            .await
            .unwrap();
        assert_eq!(soon(b_hears.next()).await, Some(Heard::Everything));
        a.tell(ledger(1, head));
        assert_eq!(soon(b_hears.next()).await, Some(Heard::Wake(ledger(1, head))), "and the next one is heard");
    }
    database.drop().await;
}

#[tokio::test]
async fn while_postgres_is_away_wakes_are_kept_up_to_the_bound_and_told_after_it() {
    if !has_postgres() {
        return;
    }
    let database = Database::new("away").await;
    let network = Network::new(&database.url).await;
    let settings = Settings { bound: 100, ..Settings::default() };
    let (a, mut a_hears) = join(&network.url, &settings).await;
    let (b, mut b_hears) = join(&database.url, &settings).await;

    network.cut();
    for head in 1..=1_000 {
        a.tell(ledger(1, head));
    }
    network.open();
    let heard = until(&mut b_hears, ledger(1, 1_000)).await;
    assert!(heard.len() <= 2 && !heard.contains(&Heard::Everything), "few places are kept: {heard:?}");
    assert_eq!(soon(a_hears.next()).await, Some(Heard::Everything), "it may have missed something itself");

    network.cut();
    for run in 0..200_000 {
        a.tell(log(run, 1));
    }
    network.open();
    while soon(b_hears.next()).await != Some(Heard::Everything) {}
    a.tell(ledger(1, 1_001));
    until(&mut b_hears, ledger(1, 1_001)).await;
    b.tell(ledger(1, 1_002));
    until(&mut a_hears, ledger(1, 1_002)).await;
    database.drop().await;
}

#[tokio::test]
async fn a_network_that_dies_silently_is_noticed_by_the_one_that_listens() {
    if !has_postgres() {
        return;
    }
    let database = Database::new("silent").await;
    let network = Network::new(&database.url).await;
    let settings =
        Settings { pulse: Duration::from_millis(200), answer: Duration::from_millis(700), ..Settings::default() };
    let (a, mut a_hears) = join(&network.url, &settings).await;
    let (b, mut b_hears) = join(&database.url, &settings).await;
    network.freeze();
    b.tell(ledger(1, 1));
    a.tell(ledger(2, 1));
    network.open();
    // The connections from before stay dead, without a word.
    assert_eq!(soon(a_hears.next()).await, Some(Heard::Everything), "what was missed meanwhile");
    assert_eq!(soon(b_hears.next()).await, Some(Heard::Wake(ledger(2, 1))), "what could not be told is told again");
    b.tell(ledger(1, 2));
    until(&mut a_hears, ledger(1, 2)).await;
    database.drop().await;
}

/// When servers led: each moment at which one answered that it did.
fn reigns(mut claims: Vec<(Instant, usize)>) -> Vec<(Instant, usize)> {
    claims.sort();
    claims.dedup_by_key(|(_, server)| *server);
    claims
}

/// Asks a server whether it leads, over and over, and writes the row of the leader when it does.
async fn work(
    server: usize,
    leadership: Leadership,
    pool: PgPool,
    done: watch::Receiver<bool>,
) -> Vec<(Instant, usize)> {
    let mut claims = Vec::new();
    while !*done.borrow() {
        if leadership.is_leader() {
            claims.push((Instant::now(), server));
            let number = i64::try_from(server).unwrap();
            let written = sqlx::query("UPDATE leader SET server = $1, writes = writes + 1").bind(number).execute(&pool);
            assert_eq!(written.await.unwrap().rows_affected(), 1);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    claims
}

const HOLDERS: &str = "FROM pg_locks WHERE locktype = 'advisory' \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND granted";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_never_lead_at_once_while_connections_are_ended() {
    if !has_postgres() {
        return;
    }
    let database = Database::new("leaders").await;
    database.run("CREATE TABLE leader (server BIGINT, writes BIGINT); INSERT INTO leader VALUES (-1, 0)").await;
    let belief = Duration::from_millis(400);
    let settings = Settings { beat: Duration::from_millis(20), belief, ..Settings::default() };
    let (stop, done) = watch::channel(false);
    let (mut replicas, mut workers) = (Vec::new(), Vec::new());
    for server in 0..3 {
        let (replica, _hearing) = join(&database.url, &settings).await;
        workers.push(tokio::spawn(work(server, replica.leadership(), database.pool.clone(), done.clone())));
        replicas.push(replica);
    }
    let mut kills = 0;
    while kills < 50 {
        let before = database.count("SELECT writes FROM leader").await;
        soon(async {
            // Until someone leads: it writes.
            while database.count("SELECT writes FROM leader").await == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        kills += database.count(&format!("SELECT COUNT(pg_terminate_backend(pid)) {HOLDERS}")).await;
    }
    stop.send_replace(true);
    let mut claims = Vec::new();
    for worker in workers {
        claims.extend(soon(worker).await.unwrap());
    }
    let asked = claims.len();
    let reigns = reigns(claims);
    let closest = reigns.windows(2).map(|pair| pair[1].0 - pair[0].0).min().unwrap();
    println!("{kills} ends, {} reigns, {asked} claims, closest beginnings {closest:?}", reigns.len());
    // If two led at once, their claims would alternate within milliseconds.
    assert!(closest >= belief, "two led at once: {closest:?}");
    drop(replicas);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_silently_stops_believing_before_another_leads() {
    if !has_postgres() {
        return;
    }
    let database = Database::new("cutoff").await;
    let network = Network::new(&database.url).await;
    let settings = Settings {
        beat: Duration::from_millis(50),
        belief: Duration::from_millis(800),
        answer: Duration::from_millis(800),
        ..Settings::default()
    };
    let (a, _a_hears) = join(&network.url, &settings).await;
    let mut a_leads = a.leadership();
    assert!(soon(a_leads.leads()).await);
    let (b, _b_hears) = join(&database.url, &settings).await;
    let mut b_leads = b.leadership();
    assert!(!b.leadership().is_leader());
    let cut = Instant::now();
    network.freeze();
    assert_eq!(soon(a_leads.changed()).await, Some(false));
    let lost = cut.elapsed();
    assert!(!b_leads.is_leader(), "nobody leads meanwhile");
    assert!(soon(b_leads.leads()).await);
    println!("cut off: belief lost after {lost:?}, another leads after {:?}", cut.elapsed());
    assert!(!a_leads.is_leader());
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_cannot_hear_of_its_end_never_leads_beside_another() {
    if !has_postgres() {
        return;
    }
    let database = Database::new("unheard").await;
    let network = Network::new(&database.url).await;
    let settings =
        Settings { beat: Duration::from_millis(20), belief: Duration::from_millis(600), ..Settings::default() };
    let (a, _a_hears) = join(&network.url, &settings).await;
    let a_leads = a.leadership();
    assert!(soon(a.leadership().leads()).await);
    let (b, _b_hears) = join(&database.url, &settings).await;
    let b_leads = b.leadership();
    let (mut both, mut believed) = (0, 0);
    for _ in 0..10 {
        soon(a.leadership().leads()).await;
        network.freeze();
        // The lock is free now, and the other one gets it at its next beat.
        database.count(&format!("SELECT COUNT(pg_terminate_backend(pid)) {HOLDERS}")).await;
        soon(async {
            while !b_leads.is_leader() {
                believed += u32::from(a_leads.is_leader());
                both += u32::from(b_leads.is_leader() && a_leads.is_leader());
                tokio::task::yield_now().await;
            }
        })
        .await;
        both += u32::from(a_leads.is_leader());
        // Back to the first: the other one is ended until it has lost to it.
        network.open();
        while !a_leads.is_leader() {
            if b_leads.is_leader() {
                database.count(&format!("SELECT COUNT(pg_terminate_backend(pid)) {HOLDERS}")).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    println!("unheard ends: believed {believed} times after it, both led {both} times");
    assert!(believed > 0, "the end was heard: nothing was shown");
    assert_eq!(both, 0);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leads_within_ten_seconds_of_the_end_of_the_leaders_session() {
    if !has_postgres() {
        return;
    }
    let database = Database::new("takeover").await;
    let (a, _a_hears) = join(&database.url, &Settings::default()).await;
    assert!(soon(a.leadership().leads()).await);
    let (b, _b_hears) = join(&database.url, &Settings::default()).await;
    a.stop().await;
    assert!(!a.leadership().is_leader(), "at once");
    let began = Instant::now();
    assert!(soon(b.leadership().leads()).await);
    println!("orderly stop: another leads after {:?}", began.elapsed());

    let began = Instant::now();
    let mut b_leads = b.leadership();
    assert!(soon(b_leads.leads()).await);
    database.count(&format!("SELECT COUNT(pg_terminate_backend(pid)) {HOLDERS}")).await;
    assert_eq!(soon(b_leads.changed()).await, Some(false), "noticed at once");
    println!("terminated: noticed after {:?}", began.elapsed());
    assert!(soon(b_leads.leads()).await);
    assert!(began.elapsed() < Duration::from_secs(10));
    println!("terminated: led again after {:?}", began.elapsed());
    b.stop().await;
    assert_eq!(database.count(&format!("SELECT COUNT(*) {HOLDERS}")).await, 0, "stopping frees the lock");
    drop((a, b));
    database.drop().await;
}

#[tokio::test]
async fn a_wrong_url_is_said_at_the_start() {
    if !has_postgres() {
        return;
    }
    let settings = Settings::default();
    assert!(matches!(Replica::start("nonsense", settings.clone()).await, Err(ReplicaError::Url)));
    let started = Replica::start("postgres://nobody@127.0.0.1:1/x", settings).await;
    assert!(matches!(started, Err(ReplicaError::Silent | ReplicaError::Database(_))));
}
