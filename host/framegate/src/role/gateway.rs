//! The gateway's process.

use super::Ground;
use crate::config::Config;
use crate::data::Role;
use crate::failure::{Exit, Failure};
use crate::listen::Wanted;

/// Returns the addresses that it listens on.
pub(super) fn wanted(config: &Config) -> Vec<Wanted> {
    vec![
        Wanted { key: "gateway.http", address: config.gateway.http },
        Wanted { key: "gateway.admin", address: config.gateway.admin },
    ]
}

pub(crate) fn main(ground: Ground) -> Result<Exit, Failure> {
    let wanted = wanted(&ground.config);
    let own = ground.inherited.as_ref().and_then(|it| it.own_orchestrator.clone());
    let hosts = ground.config.gateway.admin_hosts.clone();
    let drain = ground.config.gateway.drain.duration();
    let mut settled = ground.settle(Role::Gateway, &wanted)?;
    let listen = settled.addresses();
    let _http = settled.listener("gateway.http")?;
    let admin = settled.listener("gateway.admin")?;
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
