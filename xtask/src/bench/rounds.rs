//! Measuring in turns: in each round every server has one turn, so that what disturbs the machine for
//! a while disturbs all of them alike, and each is compared with the reference of its own round.

use std::thread;
use std::time::Duration;

use super::cases::Case;
use super::load::{Echo, Load};
use super::servers::{Built, REFERENCE, Server, Started};
use super::statistics::Summary;
use crate::outcome::{Result, Stop};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// How long one sample takes.
    pub(crate) sample: Duration,
}

/// What was found out about one server in one case.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) server: &'static Server,
    /// CPU time per message, divided by the reference's.
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
    load: Load,
    servers: Vec<Built>,
}

impl Bench {
    /// Builds what is needed.
    pub(crate) fn prepare(servers: &[&'static Server]) -> Result<Self> {
        if thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
            return Err(Stop::skip("server and load generator need a core each"));
        }
        println!("building the load generator and {} servers", servers.len());
        let load = Load::build()?;
        let servers = servers.iter().map(|server| server.build()).collect::<Result<_>>()?;
        Ok(Self { load, servers })
    }

    /// Measures one case.
    pub(crate) fn case(&self, case: &Case, plan: &Plan) -> Result<Vec<Row>> {
        let running: Vec<(&Built, Started)> =
            self.servers.iter().map(|built| Ok((built, built.start(&[])?))).collect::<Result<_>>()?;
        let mut samples: Vec<Vec<Echo>> = vec![Vec::new(); running.len()];
        for round in 0..plan.rounds {
            for turn in 0..running.len() {
                // Another one begins each time, so that none always follows the same.
                let place = (round + turn) % running.len();
                let (built, started) = &running[place];
                let echo = self.load.echo(started, built.server.is_tcp(), case, plan.sample)?;
                samples[place].push(echo);
            }
        }
        let reference = running.iter().position(|(built, _)| built.server.name == REFERENCE);
        let reference = reference.map(|place| samples[place].clone()).unwrap_or_default();
        Ok(running
            .iter()
            .zip(samples)
            .map(|((built, _), samples)| {
                let all = |value: fn(&Echo) -> f64| Summary::of(samples.iter().map(value).collect());
                let ratios = samples.iter().zip(&reference).map(|(own, other)| own.server / other.server);
                Row {
                    server: built.server,
                    ratio: Summary::of(ratios.collect()),
                    nanoseconds: all(|echo| echo.server),
                    load: all(|echo| echo.load),
                    load_share: all(|echo| echo.load_share),
                }
            })
            .collect())
    }
}
