//! The orchestrator's process.

use super::Ground;
use crate::config::Config;
use crate::data::Role;
use crate::failure::{Exit, Failure};
use crate::listen::Wanted;

/// Returns the addresses that it listens on.
pub(super) fn wanted(config: &Config) -> Vec<Wanted> {
    vec![
        Wanted { key: "orchestrator.listen", address: config.orchestrator.listen },
        Wanted { key: "orchestrator.admin", address: config.orchestrator.admin },
    ]
}

pub(crate) fn main(ground: Ground) -> Result<Exit, Failure> {
    let wanted = wanted(&ground.config);
    let own = ground.inherited.as_ref().and_then(|it| it.own_orchestrator.clone());
    let hosts = ground.config.orchestrator.admin_hosts.clone();
    let drain = ground.config.orchestrator.drain.duration();
    let mut settled = ground.settle(Role::Orchestrator, &wanted)?;
    let listen = settled.addresses();
    let _http = settled.listener("orchestrator.listen")?;
    let admin = settled.listener("orchestrator.admin")?;
    super::runtime()?.block_on(async move {
        let stop = tokio::sync::watch::channel(false).0;
        let mut stopped = stop.subscribe();
        settled
            .serve(
                listen,
                admin,
                super::Service {
                    url: String::new(),
                    admin_hosts: hosts,
                    routes: axum::Router::new(),
                    ready: Box::new(|| crate::admin::Readiness {
                        ready: true,
                        detail: String::new(),
                    }),
                    run: async move {
                        drop((own, stopped.wait_for(|stop| *stop).await));
                        Ok(())
                    },
                    stop,
                    drain,
                },
            )
            .await
    })
}

pub(super) fn url(config: &Config, listeners: &crate::listen::Listeners) -> String {
    let _ = (config, listeners);
    String::new()
}
