//! `framegate up`: binds the listeners of both roles and hands them to two supervised children.

use std::ffi::OsString;

use domain::Class;

use super::{Ground, bind, device, gateway, orchestrator, refuse_any};
use crate::config::convert::{self, Search};
use crate::data::Role;
use crate::failure::{Exit, Failure};
use crate::supervise::{self, Plan};
use crate::telemetry::Telemetry;

/// Runs both roles from one file.
pub(crate) fn up(ground: Ground) -> Result<Exit, Failure> {
    refuse_any(
        ground.file.as_deref(),
        &convert::check_both(&ground.config, &Search::new(&ground.config)),
    )?;
    device::look(&ground.config)?;
    // Nothing is counted here; the roles have metrics of their own.
    let _telemetry = Telemetry::start("up", &ground.config.log);
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Class::Internal, format!("finding this program: {error}")))?;
    let config = &ground.config;
    let wanted = [orchestrator::wanted(config), gateway::wanted(config)].concat();
    let listeners = bind(&wanted)?;
    let own = orchestrator::url(config, &listeners);
    let plan = |role: Role| Plan {
        role,
        program: program.clone(),
        arguments: arguments(role, &ground),
        listeners: Vec::new(),
        own_orchestrator: None,
        drain: match role {
            Role::Gateway => config.gateway.drain.duration(),
            Role::Orchestrator => config.orchestrator.drain.duration(),
            Role::Advise => super::advise::DRAIN,
        },
    };
    let mut plans = Role::ALL.map(plan);
    for (key, listener) in listeners {
        let plan = plans.iter_mut().find(|plan| key.split('.').next() == Some(plan.role.name()));
        plan.expect("every key begins with its role").listeners.push((key, listener));
    }
    for plan in plans.iter_mut().filter(|plan| plan.role == Role::Gateway) {
        plan.own_orchestrator = Some(own.clone());
    }
    supervise::run(plans)
}

fn arguments(role: Role, ground: &Ground) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![role.name().into(), "--supervised".into()];
    if let Some(file) = &ground.file {
        arguments.extend(["--config".into(), file.clone().into_os_string()]);
    }
    arguments.extend(["--data-dir".into(), ground.data.path().as_os_str().to_owned()]);
    arguments
}
