//! What the conversions refuse.

use std::path::Path;

use super::*;

fn plugin(folder: &Path, id: &str, world: &str) {
    let folder = folder.join(id);
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = format!(
        "[plugin]\nid = \"{id}\"\nversion = \"0.1.0\"\nworld = \"{world}\"\napi = \"{}\"\n\
         component = \"{id}.wasm\"\n",
        plugin::level::LEVELS.current
    );
    std::fs::write(folder.join("plugin.toml"), text).expect("written");
}

/// Finds the problems of `text` for both roles, among the shipped plugins.
fn problems(text: &str) -> Vec<String> {
    problems_of(None, text)
}

fn problems_of(role: Option<Role>, text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    plugin(folder.path(), "choose-orchestrator", "selection-policy");
    plugin(folder.path(), "price-job", "pricing-rule");
    plugin(folder.path(), "sketch-video", "pipeline");
    let (mut config, mut problems) = Config::parse(text, |_| None);
    config.plugins.folders = vec![folder.path().to_owned()];
    problems.extend(check(&config, &Search::of(&config, None, None), role));
    problems.iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
}

#[test]
fn the_defaults_offer_every_pipeline_at_the_shipped_price() {
    assert_eq!(problems(""), [""; 0]);
    let folder = tempfile::tempdir().expect("a folder");
    plugin(folder.path(), "price-job", "pricing-rule");
    plugin(folder.path(), "sketch-video", "pipeline");
    plugin(folder.path(), "blur-video", "pipeline");
    let config = Config::default();
    let search = Search::of(&config, Some(folder.path().display().to_string()), None);
    let plan = orchestrator(&config, &search).expect("no problem");
    let offers: Vec<_> = plan.pipelines.iter().map(|it| (it.id.as_str(), it.price_wei)).collect();
    assert_eq!(offers, [("blur-video", 1000), ("sketch-video", 1000)]);
    assert!(!plan.name.is_empty());
}

#[test]
fn a_cap_under_our_own_price_is_refused_with_both_numbers() {
    assert_eq!(
        problems("[gateway]\nmax_price_wei = 900\n"),
        ["gateway.max_price_wei: 900 is below 1000, the price of our own pipeline `sketch-video`"]
    );
    let dear = "[orchestrator.pipelines.sketch-video]\nprice_wei = 5000\n";
    assert_eq!(
        problems(dear),
        ["gateway.max_price_wei: 2000 is below 5000, the price of our own pipeline `sketch-video`"]
    );
}

#[test]
fn a_listener_beyond_this_machine_needs_a_rule_and_a_name() {
    assert_eq!(
        problems("[orchestrator]\nlisten = \"0.0.0.0:8935\"\n"),
        [
            "orchestrator.service_uri: 0.0.0.0:8935 is no address that a gateway can call",
            "orchestrator.listen: 0.0.0.0:8935 can be called by others, and nothing says by whom",
        ]
    );
    let open = "[orchestrator]\nlisten = \"0.0.0.0:8935\"\nservice_uri = \"https://a.example:8935\"\n\
                [orchestrator.callers]\n";
    let secret = format!("{open}secret = \"s\"\n");
    assert_eq!(problems_of(Some(Role::Orchestrator), &secret), [""; 0]);
    assert_eq!(
        problems(&secret),
        [
            "orchestrator.callers.secret: the gateway of the same file would be refused: it presents no secret"
        ]
    );
    assert_eq!(
        problems_of(Some(Role::Orchestrator), &format!("{open}secret = \"s\"\nany = true\n")),
        ["orchestrator.callers: 2 rules are given; one counts"]
    );
}

#[test]
fn a_version_to_fall_back_on_is_named_where_it_is_wanted_and_only_there() {
    let wanted = "[gateway]\nselection_on_fault = \"previous-version\"\n[orchestrator]\n\
        pricing_previous = \"price-job\"\n[orchestrator.pipelines.sketch-video]\n\
        on_failure = \"previous-version\"\nprevious = \"choose-orchestrator\"\n";
    assert_eq!(
        problems(wanted),
        [
            "gateway.selection_previous: `previous-version` needs a version to fall back on",
            "orchestrator.pipelines.sketch-video.previous: plugin `choose-orchestrator` is of world \
             `selection-policy`, not `pipeline`",
            "orchestrator.pricing_previous: `price-job` would never be asked",
        ]
    );
    let folder = tempfile::tempdir().expect("a folder");
    plugin(folder.path(), "choose-orchestrator", "selection-policy");
    let older = folder.path().join("choose-orchestrator").display().to_string();
    let by_folder = |folder: &str| {
        problems(&format!(
            "[gateway]\nselection_on_fault = \"previous-version\"\nselection_previous = \"{folder}\"\n"
        ))
    };
    assert_eq!(by_folder(&older), [""; 0]);
    assert!(by_folder("/nowhere/at-all")[0].starts_with("gateway.selection_previous: "));
    let unknown = "[orchestrator]\npricing_on_fault = \"closed\"\nprice_floor_percent = 200\n";
    let found = problems(unknown);
    assert!(found.iter().any(|it| it.contains("unknown variant `closed`")), "{found:?}");
    assert!(found.iter().any(|it| it.contains("200 is not within 0 and 100")), "{found:?}");
}

#[test]
fn a_selection_is_for_one_tier_or_one_pipeline_and_the_only_one_for_it() {
    let table = |name: &str, keys: &str| format!("[gateway.selections.{name}]\n{keys}\n");
    let plugin = "plugin = \"choose-orchestrator\"\n";
    let gold = table("gold", &format!("tier = \"gold\"\n{plugin}"));
    let sketch = table("sketch", &format!("pipeline = \"sketch-video\"\n{plugin}"));
    assert_eq!(problems(&format!("{gold}{sketch}")), [""; 0]);
    let again = table("again", &format!("tier = \"gold\"\n{plugin}"));
    let found = problems(&format!("{gold}{again}"));
    assert_eq!(found, ["gateway.selections.gold: another one is for the same jobs"]);
    let found = problems(&table("nobody", plugin));
    assert_eq!(found, ["gateway.selections.nobody: it is for either a `tier` or a `pipeline`"]);
    let found = problems(&table("none", "tier = \"gold\""));
    assert_eq!(found, ["gateway.selections.none.plugin: it names no plugin"]);
    let found = problems(&table("odd", &format!("pipeline = \"a b\"\n{plugin}")));
    assert!(found[0].starts_with("gateway.selections.odd.pipeline: "), "{found:?}");
}

#[test]
fn everything_that_cannot_be_meant_is_told_at_once() {
    let text = "[gateway]\nadmin = \"127.0.0.1:9935\"\norchestrators = [\"ftp://a\", \"http://b.example\"]\n\
                selection = \"price-job\"\ndefault_pipeline = \"a b\"\n\
                [gateway.discovery]\ninterval = \"1ms\"\n\
                [orchestrator]\nslots = 0\ndevice = \"gpu\"\npricing = \"none\"\n\
                [orchestrator.pipelines.lost]\n[log]\nlevel = \"loud=x=y\"\n";
    let found = problems(text);
    for start in [
        "gateway.admin: 127.0.0.1:9935 is the address of `gateway.http` as well",
        "gateway.orchestrators[0]: `ftp://a` has scheme `ftp`",
        "gateway.orchestrators[1]: `http://b.example` is cleartext to another machine",
        "gateway.selection: plugin `price-job` is of world `pricing-rule`",
        "gateway.default_pipeline: `live-video-to-video/a b` is no capability name",
        "gateway.discovery.interval: 1ms is not within 100ms and 1h",
        "orchestrator.slots: 0 is not within 1 and 1024",
        "orchestrator.device: no device is called `gpu`",
        "orchestrator.pricing: no plugin `none`",
        "orchestrator.pipelines.lost: no plugin `lost`",
        "log.level: `loud=x=y` is no level",
    ] {
        assert!(found.iter().any(|it| it.starts_with(start)), "{start}\nis missing in {found:#?}");
    }
    assert_eq!(found.len(), 11, "{found:#?}");
}

#[test]
fn limits_of_a_plugin_are_within_the_hosts_and_of_its_world() {
    let table = "[plugins.limits.sketch-video]\n";
    let text = format!("{table}memory = \"128MiB\"\nops = 100\nframe_budget = \"500us\"\n");
    assert_eq!(problems(&text), [""; 0]);
    let text = format!(
        "{table}memory = \"1GiB\"\nops = 0\nframe_budget = \"5\"\nfuel = 5\n\
         [plugins.limits.nobody]\nops = 1\n"
    );
    let mut found = problems(&text);
    assert!(found.remove(0).starts_with("plugins.limits.nobody: no plugin `nobody` in "));
    assert_eq!(
        found,
        [
            "plugins.limits.sketch-video.frame_budget: `5` is not a time such as `5ms`",
            "plugins.limits.sketch-video.fuel: `fuel` is no limit of this world",
            "plugins.limits.sketch-video.memory: 1024 MiB is not above 0 and within 256 MiB, this host's most",
            "plugins.limits.sketch-video.ops: `0` is not a whole number above 0",
        ]
    );
    let unknown = "[plugins.limits.sketch-video]\nmemroy = \"1MiB\"\n";
    assert_eq!(problems(unknown), ["plugins.limits.sketch-video.memroy: unknown key"]);
}

#[test]
fn a_plugins_own_limits_go_before_those_of_every_session() {
    let folder = tempfile::tempdir().expect("a folder");
    plugin(folder.path(), "sketch-video", "pipeline");
    plugin(folder.path(), "blur-video", "pipeline");
    plugin(folder.path(), "price-job", "pricing-rule");
    let text = "[orchestrator.limits]\nops = 50\nframes = 4\n\
                [plugins.limits.sketch-video]\nops = 300\nmemory = \"16MiB\"\n";
    let (config, found) = Config::parse(text, |_| None);
    assert_eq!(found, []);
    let search = Search::of(&config, Some(folder.path().display().to_string()), None);
    let plan = orchestrator(&config, &search).expect("no problem");
    let of = |limit| plan.pipelines.iter().map(|it| it.limits.get(limit)).collect::<Vec<_>>();
    assert_eq!(of(plugin::Limit::Ops), [50, 300]);
    assert_eq!(of(plugin::Limit::Frames), [4, 4]);
    assert_eq!(of(plugin::Limit::Memory), [64 << 20, 16 << 20]);
    assert_eq!(config.effective()["plugins"]["limits"]["sketch-video"]["memory"], "16MiB");
}
