//! The load: the root calls two actors, talks with them and lets workers compute; each of them does the same with two
//! leaves of its own, and these have workers, too.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use triune::prelude::*;
use triune::{fail_after, worker};
use triune_testing::Random;
use triune_testing::fault::{Injector, Plan};

use crate::verdict::Wrong;
use crate::{FRAMES, in_turn};

/// How long a child may clean up. Short, because a child that is stopped or that has lost its link uses it up.
const GRACE: Duration = Duration::from_millis(100);

/// Items of each dialog, calls of each actor, jobs of each process.
const TURNS: u64 = 8;

/// What a round does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// For the arguments.
    pub(crate) seed: u64,
    /// A fault one level down.
    pub(crate) fault: Option<MidFault>,
    /// How long each wait may take. A link that lies can make one endless; nothing else can.
    pub(crate) limit: Duration,
    /// For the temporary files of the tree.
    pub(crate) temporary: PathBuf,
}

/// A fault on a link of one of the actors in the middle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MidFault {
    /// Which of the two actors.
    pub(crate) victim: u64,
    /// Which of its links.
    pub(crate) link: u64,
    /// For the plan.
    pub(crate) seed: u64,
}

impl MidFault {
    pub(crate) fn plan(seed: u64) -> Plan {
        Plan::random(&mut Random::new(seed), FRAMES)
    }
}

#[triune::job]
fn square(number: u64) -> u64 {
    number.wrapping_mul(number)
}

#[triune::endpoint]
async fn sum(numbers: Vec<u64>) -> u64 {
    numbers.into_iter().fold(0, u64::wrapping_add)
}

/// Gives back each number, doubled, while a worker of its own computes.
#[triune::endpoint]
async fn doubler(cx: Context<Started<u32>, Out<u64>, In<u64>>, seed: u64, limit: Duration) -> Result<u64> {
    nursery(async |n| {
        let squared = n.spawn(one_square(seed, limit));
        let count = double_all(cx).await?;
        squared.await?;
        Ok(count)
    })
    .await
}

async fn double_all(cx: Context<Started<u32>, Out<u64>, In<u64>>) -> Result<u64> {
    let mut dialog = cx.started(std::process::id()).await?;
    let mut count = 0;
    while let Some(number) = dialog.recv().await? {
        dialog.send(number.wrapping_mul(2)).await?;
        count += 1;
    }
    Ok(count)
}

/// The middle of the tree: passes on each number that it gets while its own leaves work.
#[triune::endpoint]
async fn middle(
    cx: Context<Started<u32>, Out<u64>, In<u64>>,
    fault: Option<(u64, u64)>,
    seed: u64,
    limit: Duration,
) -> Result<u64> {
    let plans = fault.map(|(link, seed)| {
        let mut plans = vec![Plan::new(); usize::try_from(link).unwrap_or(0)];
        plans.push(MidFault::plan(seed));
        plans
    });
    let _injector = Injector::install(in_turn(plans.unwrap_or_default()));
    let mut dialog = cx.started(std::process::id()).await?;
    nursery(async |n| {
        let work = n.spawn(work(seed, limit));
        let mut count = 0;
        while let Some(number) = dialog.recv().await? {
            dialog.send(number.wrapping_mul(2)).await?;
            count += 1;
        }
        work.await?;
        Ok(count)
    })
    .await
}

/// What the root does.
pub(crate) async fn root(order: Order) -> Result {
    let (mut random, limit) = (Random::new(order.seed), order.limit);
    nursery(async |n| {
        for number in 0..2 {
            // What it starts inherits the folder.
            let actor = n.actor(format!("middle-{number}")).env("TMPDIR", &order.temporary).grace(GRACE);
            let actor = actor.start().await?;
            let fault = order.fault.as_ref().filter(|fault| fault.victim == number);
            let fault = fault.map(|fault| (fault.link, fault.seed));
            let dialog = middle::with(fault, random.next_u64(), limit);
            let (caller, seed) = (actor.clone(), random.next_u64());
            n.spawn(async move { talk(&caller, dialog, seed, limit).await });
            let seed = random.next_u64();
            n.spawn(async move { call(&actor, seed, limit).await });
        }
        compute(&n, random.next_u64(), limit);
        Ok(())
    })
    .await
}

/// What an actor in the middle does with its leaves.
async fn work(seed: u64, limit: Duration) -> Result {
    let mut random = Random::new(seed);
    nursery(async |n| {
        for number in 0..2 {
            let actor = n.actor(format!("leaf-{number}")).grace(GRACE).start().await?;
            let (caller, seed) = (actor.clone(), random.next_u64());
            n.spawn(async move { talk(&caller, doubler::with(seed, limit), seed, limit).await });
            let seed = random.next_u64();
            n.spawn(async move { call(&actor, seed, limit).await });
        }
        compute(&n, random.next_u64(), limit);
        Ok(())
    })
    .await
}

/// Sends numbers and expects their doubles.
async fn talk(
    actor: &Portal,
    dialog: triune::actor::DialogCall<u32, u64, u64, u64, Error>,
    seed: u64,
    limit: Duration,
) -> Result {
    let talk = actor.context(dialog, async |_pid, mut dialog| {
        let mut random = Random::new(seed);
        for _ in 0..TURNS {
            let number = random.next_u64();
            dialog.send(number).await?;
            match dialog.recv().await? {
                Some(answer) => Wrong::unless_equal(answer, number.wrapping_mul(2))?,
                None => return Err(Wrong::new("the dialog ended too early").into()),
            }
        }
        dialog.close_send();
        while dialog.recv().await?.is_some() {}
        Ok(())
    });
    let ((), count) = fail_after(limit, talk).await??;
    Ok(Wrong::unless_equal(count, TURNS)?)
}

/// Calls with arguments of all sizes.
async fn call(actor: &Portal, seed: u64, limit: Duration) -> Result {
    let mut random = Random::new(seed);
    for turn in 0..TURNS {
        let len = random.in_range(0..1 << (turn + 4));
        let numbers: Vec<u64> = (0..len).map(|_| random.next_u64()).collect();
        let expected = numbers.iter().copied().fold(0, u64::wrapping_add);
        let answer = fail_after(limit, actor.call(sum::with(numbers))).await??;
        Wrong::unless_equal(answer, expected)?;
    }
    Ok(())
}

/// Lets workers of this process compute.
fn compute(n: &Nursery<'_>, seed: u64, limit: Duration) {
    let mut random = Random::new(seed);
    for _ in 0..TURNS {
        n.spawn(one_square(random.next_u64(), limit));
    }
}

async fn one_square(number: u64, limit: Duration) -> Result {
    let answer = fail_after(limit, worker::run(square::with(number))).await??;
    Ok(Wrong::unless_equal(answer, number.wrapping_mul(number))?)
}
