//! The ways to a database that is elsewhere: TLS with all its checks, and poolers.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::pgbouncer::{Pooler, Unknown};
use super::postgres::Cluster;
use super::{Database, claimed, player};
use crate::store::{Store, StoreConfig};

/// An authority, and its certificate in PEM.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// What comes of a first connection, without the driver's first words.
async fn opened(url: String, allow_plain: bool) -> Result<Store, String> {
    let config = StoreConfig { url, allow_plain, timeout_ms: 60_000, ..StoreConfig::default() };
    let folder = tempfile::tempdir().unwrap();
    Store::open(&config, folder.path()).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn tls_is_checked_as_far_as_the_address_asks() {
    let (issuer, trusted) = authority();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    let cluster = Cluster::start_with_tls(&certificate, &key.serialize_pem());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let right = file("right.pem", &trusted);
    let wrong = file("wrong.pem", &authority().1);
    let database = cluster.database();
    let named = database.replace("127.0.0.1", "localhost");
    let at = |address: &str, mode: &str, ca: &str| {
        opened(format!("{address}?sslmode={mode}&sslrootcert={ca}"), false)
    };

    let store = at(&named, "verify-full", &right).await.unwrap();
    player(&store, "Ann").await;
    store.close().await;
    at(&database, "verify-ca", &right).await.unwrap().close().await;
    at(&database, "require", &wrong).await.unwrap().close().await;
    // The default takes TLS where it is offered.
    opened(database.clone(), false).await.unwrap().close().await;

    let other_name = at(&database, "verify-full", &right).await.unwrap_err();
    assert!(other_name.contains("not valid for name"), "{other_name}");
    for mode in ["verify-full", "verify-ca"] {
        let stranger = at(&named, mode, &wrong).await.unwrap_err();
        assert!(stranger.contains("invalid peer certificate"), "{stranger}");
        let no_file = at(&named, mode, "/nowhere.pem").await.unwrap_err();
        assert!(no_file.contains("sslrootcert"), "{no_file}");
    }
    let plain = at(&named, "disable", &right).await.unwrap_err();
    assert!(plain.contains("no encryption"), "{plain}");
}

#[tokio::test]
async fn a_server_without_tls_is_used_from_elsewhere_only_if_that_is_allowed() {
    let cluster = Cluster::start_on_tcp();
    // It is this machine, by a name that does not say so.
    let address = cluster.database().replace("127.0.0.1", "0.0.0.0");
    let refused = opened(address.clone(), false).await.unwrap_err();
    assert!(refused.contains("store.allow_plain"), "{refused}");
    let refused = opened(format!("{address}?sslmode=disable"), false).await.unwrap_err();
    assert!(refused.contains("store.allow_plain"), "{refused}");
    opened(address, true).await.unwrap().close().await;
}

/// Two servers on one database, more connections than the pooler has sessions.
async fn play_through_a_pooler(unknown: Unknown) {
    let cluster = Cluster::shared();
    let pooler = Pooler::start(cluster, 3, unknown);
    let database = Database::at(pooler.address(&cluster.database()));
    let (one, other) = tokio::join!(database.open(), database.open());
    for turn in 0..8 {
        claimed(&one, &format!("Ann{turn}")).await;
        let mut looks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let store = other.clone();
            looks.spawn(async move { store.ping().await });
        }
        player(&other, &format!("Bob{turn}")).await;
        looks.join_all().await.into_iter().for_each(Result::unwrap);
    }
    one.close().await;
    other.close().await;
    // The schema is found as it was left, by sessions that others have used.
    let again = database.open().await;
    player(&again, "Cid").await;
    again.close().await;
}

#[tokio::test]
async fn a_pooler_that_refuses_a_sessions_parameters_will_do() {
    play_through_a_pooler(Unknown::Refused).await;
}

#[tokio::test]
async fn a_pooler_that_drops_a_sessions_parameters_will_do() {
    play_through_a_pooler(Unknown::Ignored).await;
}

#[tokio::test]
async fn the_limits_hold_in_each_transaction() {
    use crate::store::connection::values;
    let mut database = Database::at(String::new());
    let cluster = Cluster::shared();
    let pooler = Pooler::start(cluster, 1, Unknown::Refused);
    let direct = cluster.database();
    for url in [pooler.address(&direct), direct] {
        database.config.url = url;
        let store = database.open().await;
        for setting in ["statement_timeout", "idle_in_transaction_session_timeout"] {
            let shown = store.read("limits", async {
                let mut snapshot = store.snapshot().await?;
                let sql = "SELECT current_setting($1)";
                let row = snapshot.connection().row(sql, values![setting]).await?;
                row.map(|row| row.text(0)).transpose()
            });
            let shown = shown.await.unwrap().unwrap();
            assert_eq!(shown, if setting.starts_with('i') { "5s" } else { "1min" });
        }
        store.close().await;
    }
}
