//! What the figures were measured with.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

use crate::Bench;
use crate::database::connect;

/// Builds the product in release mode and returns its program.
pub fn build(root: &Path) -> Result<PathBuf> {
    let manifest = root.join("Cargo.toml");
    let status =
        Command::new("cargo").args(["build", "--release", "--locked", "--manifest-path"]).arg(&manifest).status()?;
    ensure!(status.success(), "the product does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/packtrail"))
}

/// Machine and versions.
pub async fn gather(bench: &Bench) -> Result<Map<String, Value>> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let postgres = match &bench.postgres {
        Some(url) => connect(url).await?.query_one("SHOW server_version", &[]).await?.get(0),
        None => "none".to_owned(),
    };
    let root = bench.root.display().to_string();
    let folder = bench.folder.display().to_string();
    let revision = output("git", &["-C", &root, "describe", "--always", "--dirty"]);
    let mut facts = Map::new();
    let mut put = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    put("cpu", json!(model.trim_start_matches([' ', '\t', ':'])));
    put("cores", json!(std::thread::available_parallelism()?.get()));
    put("memory GiB", json!((kib as f64 / 1_048_576.0).round()));
    put("kernel", json!(output("uname", &["-sr"])));
    put("file system", json!(output("stat", &["-f", "-c", "%T", &folder])));
    put("load before", json!(load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")));
    put("SQLite", json!(rusqlite::version()));
    put("Postgres", json!(postgres));
    put("rustc", json!(output("rustc", &["--version"])));
    put("revision", json!(revision));
    put("program", json!(output(&bench.product.program.display().to_string(), &["--version"])));
    put("lifted limits", json!(lifted(&bench.product.config)?));
    put("pairs", json!(bench.pairs));
    put("clients", json!(bench.clients));
    if bench.quick {
        put("QUICK RUN", json!("the figures mean nothing"));
    }
    Ok(facts)
}

fn lifted(config: &Path) -> Result<String> {
    let text = std::fs::read_to_string(config)?;
    let set = text.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
    Ok(set.collect::<Vec<_>>().join(", "))
}

fn output(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).output().ok();
    out.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
}

/// The facts as a Markdown table.
pub fn markdown(facts: &Map<String, Value>) -> String {
    let mut text = "| fact | value |\n|---|---|\n".to_owned();
    for (name, value) in facts {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        text += &format!("| {name} | {value} |\n");
    }
    text + "\n"
}
