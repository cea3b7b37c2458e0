//! Artifacts: files and blobs that a client sends for its session.

use std::sync::Arc;

use boathouse_engine::Session;
use boathouse_spec::{Error, Result};
use bytes::{Bytes, BytesMut};

use crate::convert::Artifacts;
use crate::failure::illegal_argument;
use crate::proto::spark::add_artifacts_request::{ArtifactChunk, Payload};
use crate::proto::spark::add_artifacts_response::ArtifactSummary;

/// The blobs of a session, as the conversion of plans reads them.
pub struct Uploads<'a>(pub &'a Arc<Session>);

impl Artifacts for Uploads<'_> {
    fn read(&self, name: &str) -> Result<Option<Bytes>> {
        let read = || self.0.artifacts().get(name);
        // A file is read: other requests must not wait for it.
        match tokio::runtime::Handle::try_current().map(|h| h.runtime_flavor()) {
            Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(read),
            _ => read(),
        }
    }

    fn session(&self) -> &str {
        self.0.server_side_id()
    }
}

/// Takes the messages of one upload: whole artifacts, and large ones in chunks. What fails its checksum is not kept, and
/// the client is told.
pub struct Upload {
    session: Arc<Session>,
    max_bytes: usize,
    chunked: Option<Chunked>,
    summaries: Vec<ArtifactSummary>,
}

struct Chunked {
    name: String,
    total: usize,
    chunks: i64,
    received: i64,
    data: BytesMut,
    is_sound: bool,
}

impl Upload {
    pub fn new(session: Arc<Session>, max_bytes: usize) -> Self {
        Self { session, max_bytes, chunked: None, summaries: Vec::new() }
    }

    pub fn add(&mut self, payload: Option<Payload>) -> Result<()> {
        match payload {
            Some(Payload::Batch(batch)) => {
                self.no_open_artifact()?;
                for artifact in batch.artifacts {
                    let data = artifact.data.unwrap_or_default();
                    let is_sound = is_sound(&data);
                    self.keep(artifact.name, &data.data, is_sound)?;
                }
                Ok(())
            }
            Some(Payload::BeginChunk(begin)) => {
                self.no_open_artifact()?;
                check_name(&begin.name)?;
                let total = usize::try_from(begin.total_bytes).unwrap_or(usize::MAX);
                if total > self.max_bytes {
                    return Err(illegal_argument(format!(
                        "The artifact {} has {total} bytes; {} are allowed.",
                        begin.name, self.max_bytes
                    )));
                }
                self.chunked = Some(Chunked {
                    name: begin.name,
                    total,
                    chunks: begin.num_chunks,
                    received: 0,
                    data: BytesMut::new(),
                    is_sound: true,
                });
                self.add_chunk(&begin.initial_chunk.unwrap_or_default())
            }
            Some(Payload::Chunk(chunk)) => self.add_chunk(&chunk),
            None => Err(illegal_argument("A message of an upload is empty.")),
        }
    }

    /// What became of each artifact.
    pub fn finish(self) -> Result<Vec<ArtifactSummary>> {
        self.no_open_artifact()?;
        Ok(self.summaries)
    }

    fn add_chunk(&mut self, chunk: &ArtifactChunk) -> Result<()> {
        let Some(open) = &mut self.chunked else {
            return Err(illegal_argument("A chunk of an artifact came before the artifact's beginning."));
        };
        open.received += 1;
        open.is_sound &= is_sound(chunk);
        if open.data.len() + chunk.data.len() > open.total {
            return Err(illegal_argument(format!("The artifact {} is larger than it said.", open.name)));
        }
        open.data.extend_from_slice(&chunk.data);
        if open.received < open.chunks {
            return Ok(());
        }
        match self.chunked.take() {
            Some(done) if done.data.len() == done.total => self.keep(done.name, &done.data, done.is_sound),
            Some(done) => {
                Err(illegal_argument(format!("The artifact {} is smaller than it said.", done.name)))
            }
            None => Ok(()),
        }
    }

    fn no_open_artifact(&self) -> Result<()> {
        match &self.chunked {
            None => Ok(()),
            Some(open) => Err(illegal_argument(format!(
                "The artifact {} ended after {} of {} chunks.",
                open.name, open.received, open.chunks
            ))),
        }
    }

    fn keep(&mut self, name: String, data: &[u8], is_sound: bool) -> Result<()> {
        check_name(&name)?;
        if is_sound {
            let store = self.session.artifacts();
            // Uploaded modules and files cannot change under the code that uses them.
            if !name.starts_with("cache/")
                && let Some(existing) = store.get(&name)?
                && existing != data
            {
                return Err(Error::new("ARTIFACT_ALREADY_EXISTS")
                    .param("normalizedRemoteRelativePath", &name)
                    .message(format!(
                        "The artifact {name} exists already with other content. Choose another name."
                    )));
            }
            store.put(&name, data)?;
        }
        self.summaries.push(ArtifactSummary { name, is_crc_successful: is_sound });
        Ok(())
    }
}

fn is_sound(chunk: &ArtifactChunk) -> bool {
    i64::from(crc32fast::hash(&chunk.data)) == chunk.crc
}

/// Names are relative paths that stay where they are put.
fn check_name(name: &str) -> Result<()> {
    if name.starts_with("forward_to_fs/") {
        return Err(Error::unsupported(
            "copying local files to the server's file system (copyFromLocalToFs)",
        ));
    }
    let stays = !name.is_empty() && !name.starts_with('/') && !name.split('/').any(|part| part == "..");
    if stays {
        return Ok(());
    }
    Err(Error::new("INVALID_ARTIFACT_PATH")
        .param("name", name)
        .exception("SparkRuntimeException")
        .message(format!("The artifact name {name} is invalid: it must be a relative path without `..`.")))
}
