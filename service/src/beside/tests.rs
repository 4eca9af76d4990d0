use super::*;
use std::future::pending;
use tokio::sync::oneshot;

async fn panics() {
    panic!("a mistake")
}

/// What is started, and what is said when it ends.
type Case = (fn(&mut Beside), &'static str);

#[tokio::test]
async fn a_task_that_ends_is_named_with_its_reason() {
    let cases: [Case; 3] = [
        (
            |beside| beside.run("the watch", async {}),
            "the watch ended by itself",
        ),
        (
            |beside| beside.run("the port", async { Err::<(), _>("too many files") }),
            "the port ended by itself: too many files",
        ),
        (
            |beside| beside.run("the queue", panics()),
            "the queue ended by itself: task ",
        ),
    ];
    for (fails, expected) in cases {
        let mut beside = Beside::new();
        beside.run("another", pending::<()>());
        fails(&mut beside);
        let ended = beside.until(pending()).await.unwrap_err().to_string();
        assert!(ended.starts_with(expected), "{ended}");
    }
}

#[tokio::test]
async fn a_stop_is_waited_for_whether_anything_runs_or_not() {
    let mut beside = Beside::new();
    for _ in 0..2 {
        assert!(at_once(beside.until(pending())).await.is_none());
        beside.until(async {}).await.unwrap();
        beside.run("a task", pending::<()>());
    }
    beside.stop().await;
}

/// What it gives at once.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = async {} => None,
    }
}

#[tokio::test]
async fn one_that_is_told_to_end_is_waited_for_and_not_the_others() {
    let mut beside = Beside::new();
    let (tell, told) = oneshot::channel::<()>();
    beside.run("a queue", async move { drop(told.await) });
    beside.run("health", pending::<()>());
    {
        let finished = beside.finished("a queue");
        tokio::pin!(finished);
        assert!(at_once(&mut finished).await.is_none());
        tell.send(()).unwrap();
        finished.await;
    }
    // It is not waited for twice, nor one that nobody has started.
    beside.finished("a queue").await;
    assert!(at_once(beside.until(pending())).await.is_none());
}

#[tokio::test]
async fn tasks_end_with_it() {
    let (tell, told) = oneshot::channel::<()>();
    let mut beside = Beside::new();
    beside.run("holds", async move {
        let _held = tell;
        pending::<()>().await;
    });
    beside.stop().await;
    told.await.unwrap_err();
}
