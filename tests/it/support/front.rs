//! One address for daemons that come and go, as the router in front of a rolling deploy has it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Stops taking connections when dropped.
pub struct Front {
    pub address: SocketAddr,
    behind: Arc<Mutex<Option<SocketAddr>>>,
    accepting: JoinHandle<()>,
}

impl Front {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behind = Arc::new(Mutex::new(None));
        let accepting = tokio::spawn(accept(listener, behind.clone()));
        Self { address, behind, accepting }
    }

    /// Where new connections go from now on; those that are open stay where they are.
    pub fn point_to(&self, daemon: SocketAddr) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = Some(daemon);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, behind: Arc<Mutex<Option<SocketAddr>>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let Some(daemon) = *behind.lock().unwrap_or_else(PoisonError::into_inner) else { continue };
        tokio::spawn(async move {
            if let Ok(mut daemon) = TcpStream::connect(daemon).await {
                // Either side may go away at any time: that is what this is for.
                let _ = copy_bidirectional(&mut client, &mut daemon).await;
            }
        });
    }
}
