//! Measuring in turns: in each round every server has one turn, so that what disturbs the machine for
//! a while disturbs all of them alike, and each is compared with the reference of its own round.

use std::thread;
use std::time::Duration;

use super::before::{self, BEFORE};
use super::cases::Case;
use super::load::{self, Load, Report};
use super::servers::{Built, Extension, REFERENCE, Server, Started};
use super::statistics::Summary;
use crate::outcome::{Result, Stop};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// How long one sample takes.
    pub(crate) sample: Duration,
}

/// What an echo costs one server in one case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) server: &'static Server,
    /// CPU time per message, divided by that of [`Bench::reference`] in the same round.
    pub(crate) ratio: Summary,
    /// CPU time per message in nanoseconds.
    pub(crate) nanoseconds: Summary,
    /// The same of the load generator.
    pub(crate) load: Summary,
    /// The share of the time in which the load generator was busy.
    pub(crate) load_share: Summary,
}

/// Everything that has been built.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) load: Load,
    pub(crate) servers: Vec<Built>,
    /// The name of the server by whose figures all others are divided.
    reference: &'static str,
}

impl Bench {
    /// Builds what is needed: these servers and, if that is asked for, our own as it was at a commit, with
    /// which they are compared then.
    pub(crate) fn prepare(servers: &[&'static Server], before: Option<&str>) -> Result<Self> {
        if thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
            return Err(Stop::skip("server and load generator need a core each"));
        }
        println!("building the load generator and {} servers", servers.len());
        let load = Load::build()?;
        let before = before.map(before::build).transpose()?;
        let reference = if before.is_some() { BEFORE.name } else { REFERENCE };
        let servers = servers.iter().map(|server| server.build());
        let servers = before.into_iter().map(Ok).chain(servers).collect::<Result<_>>()?;
        Ok(Self { load, servers, reference })
    }

    /// The servers that `wanted` says yes to, for measuring without permessage-deflate.
    pub(crate) fn servers(&self, wanted: impl Fn(&Server) -> bool) -> Vec<&Built> {
        let plain = |server: &Server| server.deflate != Extension::Only && wanted(server);
        self.servers.iter().filter(|built| plain(built.server)).collect()
    }

    /// The servers for measuring with permessage-deflate.
    pub(crate) fn servers_with_deflate(&self) -> Vec<&Built> {
        self.servers.iter().filter(|built| built.server.deflate != Extension::Without).collect()
    }

    /// Runs a command of the load generator on each of these servers, round after round. Gives back
    /// the reports of each server. A server is started for each of its turns, unless it warms up.
    pub(crate) fn interleaved(
        &self,
        servers: &[&Built],
        options: &[String],
        rounds: usize,
        command: &str,
        arguments: &[String],
    ) -> Result<Vec<(&'static Server, Vec<Report>)>> {
        let start = |built: &Built| {
            let options = if built.server.is_tcp() { &[] } else { options };
            built.start(options)
        };
        let warm: Vec<Option<Started>> = servers
            .iter()
            .map(|built| built.server.warms_up().then(|| start(built)).transpose())
            .collect::<Result<_>>()?;
        let mut reports: Vec<Vec<Report>> = vec![Vec::new(); servers.len()];
        for round in 0..rounds {
            for turn in 0..servers.len() {
                // Another one begins each time, so that none always follows the same.
                let place = (round + turn) % servers.len();
                let built = servers[place];
                // Where its memory lies moves a server by a tenth, so each round has it elsewhere.
                let anew = if warm[place].is_none() { Some(start(built)?) } else { None };
                if let Some(started) = anew.as_ref().or(warm[place].as_ref()) {
                    reports[place].push(self.load.run(command, built, started, arguments)?);
                }
            }
        }
        Ok(servers.iter().map(|built| built.server).zip(reports).collect())
    }

    /// What an echo costs these servers.
    pub(crate) fn echo(&self, servers: &[&Built], case: &Case, plan: &Plan) -> Result<Vec<Cost>> {
        let mut arguments = load::shape(case);
        arguments.extend(load::seconds(plan.sample));
        let options = load::server_options(case);
        let reports = self.interleaved(servers, &options, plan.rounds, "echo", &arguments)?;
        let per_message = |reports: &[Report], name: &str| -> Result<Vec<f64>> {
            reports.iter().map(|report| Ok(report.number(name)? / report.number("messages")?)).collect()
        };
        let reference = reports.iter().find(|(server, _)| server.name == self.reference);
        let reference = reference.map(|(_, reports)| per_message(reports, "server_cpu_ns")).transpose()?;
        reports
            .iter()
            .map(|(server, reports)| {
                let nanoseconds = per_message(reports, "server_cpu_ns")?;
                let ratios =
                    nanoseconds.iter().zip(reference.iter().flatten()).map(|(own, other)| own / other);
                let shares = reports
                    .iter()
                    .map(|report| Ok(report.number("load_cpu_ns")? / report.number("wall_ns")?))
                    .collect::<Result<_>>()?;
                Ok(Cost {
                    server,
                    ratio: Summary::of(ratios.collect()),
                    nanoseconds: Summary::of(nanoseconds),
                    load: Summary::of(per_message(reports, "load_cpu_ns")?),
                    load_share: Summary::of(shares),
                })
            })
            .collect()
    }
}
