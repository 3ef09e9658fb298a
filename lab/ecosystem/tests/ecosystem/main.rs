//! The streams under tonic, tungstenite, tokio-postgres, h2 and hyper-util's pooling client, and our server under reqwest.
//! Each test looks at how the sessions ended.

mod h2;
mod pool;
mod postgres;
mod reqwest;
mod setup;
mod tonic;
mod websocket;
