//! Opening handshakes: what one costs the server, and how many a second it does.

use std::time::{Duration, Instant};

use crate::Result;
use crate::arguments::Arguments;
use crate::connect::{Opening, request, start};
use crate::poll::Poll;
use crate::process::{cpu, own_cpu};

/// How many are under way at a time.
const AT_ONCE: usize = 16;

/// Longer than any number of them takes.
const LIMIT: Duration = Duration::from_mins(1);

pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    open_and_close(arguments, arguments.count / 10)?;
    let (server, own, start) = (cpu(arguments.pid)?, own_cpu()?, Instant::now());
    open_and_close(arguments, arguments.count)?;
    let (wall, own) = (start.elapsed(), own_cpu()? - own);
    let server = cpu(arguments.pid)? - server;
    Ok(format!(
        r#"{{"handshakes":{},"server_cpu_ns":{server},"load_cpu_ns":{own},"wall_ns":{}}}"#,
        arguments.count,
        wall.as_nanos()
    ))
}

fn open_and_close(arguments: &Arguments, count: usize) -> Result {
    let request = request(arguments);
    let mut poll = Poll::new()?;
    let mut places: Vec<Option<Opening>> = Vec::new();
    places.resize_with(AT_ONCE, || None);
    let (mut started, mut done) = (0, 0);
    let deadline = Instant::now() + LIMIT;
    let mut free: Vec<usize> = (0..AT_ONCE).collect();
    while done < count {
        while started < count
            && let Some(place) = free.pop()
        {
            let stream = start(arguments.server, 0)?;
            poll.add(&stream, place)?;
            places[place] = Some(Opening::new(stream));
            started += 1;
        }
        for place in poll.wait(Duration::from_millis(100))? {
            // An event may be about the connection that had the place before.
            if let Some(opening) = &mut places[place]
                && opening.advance(&request, arguments)?
            {
                places[place] = None;
                free.push(place);
                done += 1;
            }
        }
        if Instant::now() > deadline {
            return Err(format!("{done} of {count} handshakes in {LIMIT:?}").into());
        }
    }
    Ok(())
}
