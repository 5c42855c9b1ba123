//! Cost of reads and first changes as the log grows: each as a multiple of its cost with the
//! fewest records, ten of them a case.
//!
//! ```sh
//! cargo bench --bench growth                          # up to a million, some minutes to fill
//! cargo bench --bench growth -- 1000 10000 100000     # these sizes
//! GROWTH_DIR=growth cargo bench --bench growth        # keeps the servers' data, and uses it again
//! cargo bench --bench growth -- 1000 10000000         # ten million: 16 GB, a quarter of an hour to fill
//! cargo bench --bench growth -- --rows cases,token    # rows whose name has one of these in it
//! ```
//!
//! Each size has a server of its own, and every row is measured in turns between them, so that the
//! noise of a machine is in all of them. A case that a row changes is one that its process has not
//! touched. Data that is kept wears: the cases that were changed have more records after each run.

mod cases;
mod raw;
mod rows;
mod sides;

use std::{env, path::PathBuf, time::Duration};

use mimalloc::MiMalloc;

use self::{cases::Site, rows::Row};

/// The allocator of `petrel`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Options of the command line.
#[derive(Debug)]
struct Options {
    sizes: Vec<usize>,
    rows: Vec<String>,
    folder: Option<PathBuf>,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            sizes: Vec::new(),
            rows: Vec::new(),
            folder: env::var_os("GROWTH_DIR").map(PathBuf::from),
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--rows" => {
                    let names = arguments.next().unwrap_or_default();
                    options.rows.extend(names.split(',').map(str::to_owned));
                }
                // Cargo adds `--bench`.
                other => options.sizes.extend(other.parse::<usize>().ok()),
            }
        }
        if options.sizes.is_empty() {
            options.sizes = vec![1_000, 10_000, 100_000, 1_000_000];
        }
        // The others are compared with the first one.
        options.sizes.sort_unstable();
        options
    }

    fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| row.contains(wanted.as_str()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let options = Options::read();
    if let Some(folder) = &options.folder {
        std::fs::create_dir_all(folder)?;
    }
    let mut sites = Vec::new();
    for size in &options.sizes {
        sites.push(Site::open(*size, options.folder.as_deref()).await?);
    }
    println!("\nan index of the cases by status");
    for site in &sites {
        println!("  {} records: {}", site.size, sides::index(site).await?);
    }
    println!("\np50 ms; in brackets as a multiple of the first column");
    heading(&options.sizes);
    for row in Row::ALL {
        if options.wants(row.name()) {
            let medians = rows::measure(row, &sites).await?;
            line(row.name(), &medians);
        }
    }
    if options.wants("32 clients") {
        let mut rates = Vec::new();
        for site in &sites {
            rates.push(sides::clients_after_a_start(site).await?);
        }
        println!("\n32 clients after a start, first changes with a firing id:");
        for (site, rate) in sites.iter().zip(rates) {
            println!("  {} records: {rate}", site.size);
        }
    }
    for site in sites {
        site.close().await?;
    }
    if options.wants("one case") {
        sides::one_long_case(options.folder.as_deref()).await?;
    }
    if options.wants("subscribers") {
        sides::firings_beside_subscribers().await?;
    }
    if options.wants("index") {
        sides::firings_beside_the_index().await?;
    }
    if options.wants("workflows") {
        sides::unknown_tokens_beside_workflows().await?;
    }
    Ok(())
}

fn heading(sizes: &[usize]) {
    print!("{:<44}", "");
    for size in sizes {
        print!("{size:>19}");
    }
    println!();
}

fn line(name: &str, medians: &[Duration]) {
    print!("{name:<44}");
    for median in medians {
        let seconds = median.as_secs_f64();
        let ratio = format!("({:.2})", seconds / medians[0].as_secs_f64());
        print!("{:>11.3}{ratio:>8}", seconds * 1_000.0);
    }
    println!();
}

/// The middle one.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
