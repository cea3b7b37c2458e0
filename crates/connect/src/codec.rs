pub type GuardedCodec<T, U> = tonic_prost::ProstCodec<T, U>;
