//! The control: a process that writes the same bytes to as many sockets and does nothing else.
//!
//! It is what the kernel alone asks for, and every figure is read as a ratio to it in the same run.

use std::{
    io::{Read as _, Result, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// Serves as the control: accepts `sockets` connections, then makes `writes` of `bytes` to each at `rate` a second.
#[expect(
    clippy::disallowed_methods,
    reason = "a process of one thread, which has nothing else to do until a write is due"
)]
pub(crate) fn serve(sockets: usize, writes: u64, bytes: usize, rate: f64) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let mut connections: Vec<TcpStream> = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        let (connection, _) = listener.accept()?;
        connection.set_nodelay(true)?;
        connections.push(connection);
    }
    let payload = vec![b'x'; bytes];
    let start = Instant::now();
    for write in 0..writes {
        let due = start + Duration::from_secs_f64(write as f64 / rate);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for connection in &mut connections {
            connection.write_all(&payload)?;
        }
    }
    // Stays until the reader has looked at its CPU time.
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}
