mod codec;
mod proto;
