//! The codec of the service: protobuf, but no message that nests deeper than the conversion can follow.

use std::marker::PhantomData;

use bytes::Buf;
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::nesting::{MAX_DEPTH, is_shallow};

pub struct GuardedCodec<T, U> {
    messages: PhantomData<(T, U)>,
}

impl<T, U> Default for GuardedCodec<T, U> {
    fn default() -> Self {
        Self { messages: PhantomData }
    }
}

impl<T, U> Codec for GuardedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = GuardedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        GuardedDecoder { message: PhantomData }
    }
}

pub struct GuardedDecoder<U> {
    message: PhantomData<U>,
}

impl<U: Message + Name + Default> Decoder for GuardedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        if !is_shallow(&U::full_name(), &bytes, MAX_DEPTH) {
            return Err(Status::invalid_argument(format!(
                "The request nests messages deeper than {MAX_DEPTH} levels. Split the query, for example by temporary \
                 views for intermediate results."
            )));
        }
        U::decode(bytes).map(Some).map_err(|e| Status::internal(e.to_string()))
    }
}
