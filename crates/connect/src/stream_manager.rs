//! The manager of streaming queries, asked in the protocol's terms.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_spec::{Error, Result};
use boathouse_streaming::StreamManager;
use tokio::sync::mpsc;

use crate::streaming::{
    ManagerAnswer, ManagerRequest, QueryAnswer, QueryEvent, QueryId, QueryRequest, StartQuery, StartedQuery,
    StreamingHandler,
};

#[async_trait]
impl StreamingHandler for StreamManager {
    async fn start(&self, session: &Arc<Session>, query: StartQuery) -> Result<StartedQuery> {
        StreamManager::start(self, session, query).await
    }

    async fn query(
        &self,
        session: &Arc<Session>,
        id: &QueryId,
        request: QueryRequest,
    ) -> Result<QueryAnswer> {
        let query = self.find(session, id)?;
        Ok(match request {
            QueryRequest::Status => QueryAnswer::Status(query.status()),
            QueryRequest::LastProgress => QueryAnswer::Progress(query.last_progress().into_iter().collect()),
            QueryRequest::RecentProgress => QueryAnswer::Progress(query.recent_progress()),
            QueryRequest::Stop => {
                self.stop(session, &query).await?;
                QueryAnswer::Done
            }
            QueryRequest::ProcessAllAvailable => {
                query.process_all_available().await?;
                QueryAnswer::Done
            }
            QueryRequest::Explain { .. } => QueryAnswer::Explanation(query.explanation()),
            QueryRequest::Exception => QueryAnswer::Exception(query.exception()),
            QueryRequest::AwaitTermination { timeout_ms } => {
                QueryAnswer::Terminated(query.await_termination(timeout_ms).await?)
            }
        })
    }

    async fn manage(&self, session: &Arc<Session>, request: ManagerRequest) -> Result<ManagerAnswer> {
        Ok(match request {
            ManagerRequest::Active => {
                ManagerAnswer::Active(self.active(session).iter().map(|q| q.named()).collect())
            }
            ManagerRequest::Get(id) => ManagerAnswer::Query(self.get(session, &id)),
            ManagerRequest::AwaitAnyTermination { timeout_ms } => {
                ManagerAnswer::Terminated(self.await_any_termination(session, timeout_ms).await?)
            }
            ManagerRequest::ResetTerminated => {
                self.reset_terminated(session);
                ManagerAnswer::Done
            }
            // PySpark keeps its listeners to itself and asks for the events; these are of the first Connect clients.
            ManagerRequest::AddListener { .. }
            | ManagerRequest::RemoveListener { .. }
            | ManagerRequest::ListListeners => {
                return Err(Error::unsupported("listeners of streaming queries that run in the server"));
            }
        })
    }

    async fn listen(&self, session: &Arc<Session>) -> Result<mpsc::Receiver<QueryEvent>> {
        Ok(StreamManager::listen(self, session))
    }

    async fn stop_listening(&self, session: &Arc<Session>) -> Result<()> {
        StreamManager::stop_listening(self, session);
        Ok(())
    }
}
