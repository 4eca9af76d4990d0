use super::*;
use std::cell::RefCell;
use std::future::{pending, ready};

const FOR_EVER: Duration = Duration::from_secs(1 << 32);

#[tokio::test]
async fn p3_one_that_stalls_is_not_waited_for() {
    let ask = |one: u32| async move {
        match one {
            1 | 2 => pending().await,
            _ => one,
        }
    };
    let end = in_turn(1..=4, Duration::ZERO, ask, |_, answer| Some(answer)).await;
    assert_eq!(end, Some(3));
}

#[tokio::test]
async fn one_that_answers_late_is_still_listened_to() {
    // The second answers nothing of use; the first does, after the second was asked.
    let (tell, told) = tokio::sync::oneshot::channel();
    let (tell, told) = (RefCell::new(Some(tell)), RefCell::new(Some(told)));
    let ask = |one: u32| {
        let (tell, told) = (&tell, &told);
        async move {
            if one == 1 {
                let told = told.borrow_mut().take().unwrap();
                told.await.unwrap();
            } else {
                tell.borrow_mut().take().unwrap().send(()).unwrap();
            }
            one
        }
    };
    let end = in_turn(1..=2, Duration::ZERO, ask, |one, _| (one == 1).then_some(one)).await;
    assert_eq!(end, Some(1));
}

#[tokio::test]
async fn the_next_is_asked_only_when_the_one_before_has_not_made_an_end() {
    let asked = RefCell::new(Vec::new());
    let ask = |one: u32| {
        asked.borrow_mut().push(one);
        ready(one)
    };
    let end = in_turn(1..=4, FOR_EVER, ask, |_, answer| (answer == 2).then_some(answer)).await;
    assert_eq!((end, asked.take()), (Some(2), vec![1, 2]));
}

#[tokio::test]
async fn without_an_end_all_were_asked() {
    let mut answers = Vec::new();
    let end = in_turn(1..=3, FOR_EVER, ready::<u32>, |_, answer| {
        answers.push(answer);
        None::<u32>
    });
    assert_eq!(end.await, None);
    assert_eq!(answers, [1, 2, 3]);
    let nobody = in_turn(0..0, FOR_EVER, ready::<u32>, |_, answer| Some(answer));
    assert_eq!(nobody.await, None);
}
