//! `petrel dev`: everything on one machine, with something to try.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;
use tokio::time::sleep;

use super::{
    answer::Answer,
    case_cache::CaseCache,
    cluster::Cluster,
    connection::{self, Connection, Server},
    definition_file::{self, RUNNING_SAMPLE, SAMPLE},
    failure::Failure,
    running::Running,
    sample_work,
    serve::{self, Listen, Tasks},
    soundness::Soundness,
};
use crate::{
    config::Config,
    models::StoredDefinition,
    petrel::{Error, ExpectedVersion, Petrel},
};

/// Longest time for new streams on several servers to have leaders that stay.
const ELECTIONS: Duration = Duration::from_secs(30);
/// Time between two tries meanwhile.
const LOOK: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  petrel dev                        data is kept between runs
  petrel dev --data-dir ./play      data in a folder of your choice
  petrel dev --nats-port 4222       so that the nats command finds the server
  petrel dev --sync-interval always what was acknowledged survives a power failure
  petrel dev --cluster 3            three servers, each with a copy of everything

Ctrl-C stops everything in order; a second one stops at once.";

/// Run everything on this machine, with a sample workflow to play with
///
/// Starts a NATS server of its own on a kept data folder, loads the order-approval workflow,
/// serves GraphQL, and prints commands to try.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Dev {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    tasks: Tasks,
    #[command(flatten)]
    case_cache: CaseCache,
    #[command(flatten)]
    soundness: Soundness,
}

impl Dev {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        let servers = self.cluster.servers(config)?;
        refuse_a_second(config).await?;
        let port = self.listen.bind().await?;
        let started = async {
            let connection = Connection::serving(server(config, servers).await?, config).await?;
            let connection = connection.checking(self.soundness.checks()).knowing(self.case_cache);
            let begun = Instant::now();
            let sample = loop {
                match load_samples(&connection.petrel).await {
                    // The leader of a stream that was just made may be the next one already.
                    Err(failure) if failure.is_retryable() && begun.elapsed() < ELECTIONS => {
                        sleep(LOOK).await;
                    }
                    loaded => break loaded?,
                }
            };
            let worker = sample_work::worker(connection.petrel.clone())?;
            Ok::<_, Failure>((connection, sample, worker))
        };
        let (connection, samples, worker) = tokio::select! {
            started = started => started?,
            () = shutdown.cancelled() => return Err(Failure::interrupted()),
        };
        let graphql = port.graphql();
        let up = json!({
            "nats": connection.server.url(),
            "durability": connection.server.durability(config),
            "graphql": graphql,
            "workflow": samples[0].definition.id,
            "version": samples[0].version,
            "workflows": samples.each_ref().map(|sample| &sample.definition.id),
        });
        // Before anybody is told that it is up: whoever reads that may use the announcement.
        let announcement = serve::announce_local_server(&connection.server, &port, config)?;
        let welcome = welcome(&connection.server, config, &graphql, &samples);
        serve::announce(config, &up, &welcome)?;
        serve::run(connection, port, announcement, self.tasks, Some(worker), shutdown).await?;
        Ok(Answer::default())
    }
}

/// The server that the user named, or one of our own; never that of another `petrel dev`.
async fn server(config: &Config, servers: usize) -> Result<Server, Failure> {
    let storage = config.storage()?;
    if config.names_a_server() {
        return Ok(Server::Named(storage.urls));
    }
    Ok(Server::start(config, config.data_folder()?, servers).await?)
}

/// Fails with the address of the first `petrel dev` on this data, before a port or a lock is
/// found taken.
async fn refuse_a_second(config: &Config) -> Result<(), Failure> {
    if config.names_a_server() {
        return Ok(());
    }
    let folder = config.data_folder()?;
    let Some(Running { pid, graphql, .. }) = Running::find(&folder).await else {
        return Ok(());
    };
    Err(Failure::invalid(format!(
        "petrel runs already on {} (process {pid}, {graphql}); use that one, or give this one a \
         folder and a port of its own with --data-dir and --listen",
        folder.display()
    )))
}

/// Stores the samples: the one for hands, and the one that runs by itself.
async fn load_samples(petrel: &Petrel) -> Result<[Arc<StoredDefinition>; 2], Failure> {
    Ok([load_sample(petrel, SAMPLE).await?, load_sample(petrel, RUNNING_SAMPLE).await?])
}

/// Stores a sample, unless there is a workflow of that id: the user may have changed it.
async fn load_sample(petrel: &Petrel, text: &str) -> Result<Arc<StoredDefinition>, Failure> {
    let sample = definition_file::parse(text)
        .map_err(|reason| Failure::internal(format!("the sample workflow {reason}")))?;
    let id = sample.id.clone();
    match petrel.workflow(&id).await {
        Err(Error::NotFound(_)) => {}
        found => return Ok(found?),
    }
    let stored = petrel.create_workflow(sample, ExpectedVersion::New).await?;
    Ok(Arc::new(stored))
}

/// The first text for a newcomer.
fn welcome(
    server: &Server,
    config: &Config,
    graphql: &str,
    [sample, running]: &[Arc<StoredDefinition>; 2],
) -> String {
    let (nats, workflow) = (server.url(), &sample.definition.id);
    let order = &running.definition.id;
    // A sentence in two halves, on two lines.
    let durability = server.durability(config).map_or_else(
        || "as that server is set up".to_owned(),
        |durability| durability.replacen(": ", ":\n              ", 1),
    );
    let home = graphql.trim_end_matches("graphql");
    let data = match server {
        Server::Own(local) => format!("  data        {}\n", local.store_dir().display()),
        Server::Named(_) | Server::Running(_) => String::new(),
    };
    // As it was called here: it may not be on PATH.
    let petrel = std::env::args().next().unwrap_or_else(|| "petrel".to_owned());
    // Another terminal finds a server of our own by itself; of several it is good to know all.
    let url = match server {
        Server::Own(local) if local.servers().len() == 1 => String::new(),
        Server::Running(_) => String::new(),
        Server::Named(_) | Server::Own(_) => format!(" --nats-url {nats}"),
    };
    format!(
        r#"Storm Petrel is up.

  NATS        {nats}
  durability  {durability}
  GraphQL     {graphql}
  GraphiQL    {home}
{data}  workflows   {order}, which runs by itself with a worker in this process, and
              {workflow}, which waits for you

Try, in another terminal, an order that runs by itself:

  {petrel} case start {order} --id o-1 --data '{{"amount": 120}}'{url}
  {petrel} case wait {order} o-1{url}
  {petrel} case history {order} o-1{url}

A large one waits for a person, and says so:

  {petrel} case start {order} --id o-2 --data '{{"amount": 5000}}'{url}
  {petrel} case explain {order} o-2{url}
  {petrel} fire approve --workflow {order} --case o-2{url}

The other workflow goes one step at a time:

  {petrel} case start {workflow} --id order-1 --data '{{"amount": 120}}'{url}
  {petrel} fire submit --workflow {workflow} --case order-1{url}
  {petrel} case explain {workflow} order-1{url}

  curl -s {graphql} -H 'content-type: application/json' \
    -d '{{"query": "{{ workflow(id: \"{workflow}\") {{ name places {{ id }} transitions {{ id }} }} }}"}}'

Ctrl-C stops it; the data is kept.
"#
    )
}
