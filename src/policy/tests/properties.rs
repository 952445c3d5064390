// SPDX-License-Identifier: MPL-2.0
//! Random scripts of facts and pauses: the policy against the naive model, and what holds for each.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::model::Model;
use super::stage::{arrived, ms};
use super::*;

const INPUTS: u32 = 3;

/// One line of a script.
#[derive(Clone, Copy, Debug)]
enum Line {
    Tell(Observation),
    /// A buffer that is some milliseconds old when it is reported; less than none: of the future.
    Buffer {
        input: u32,
        stream: u32,
        age: i64,
    },
    /// These streams (a bit each: two of each input) deliver every 40 ms.
    Flow {
        streams: u32,
        millis: u64,
    },
    Pause {
        millis: u64,
    },
}

proptest! {
    #![proptest_config(the_same_cases_in_every_run())]

    #[test]
    fn the_policy_does_what_the_naive_model_does(config in config(), script in script(22)) {
        let mut policy = Policy::new(config, Moment::ZERO);
        let mut model = Model::new(config, Moment::ZERO);
        play(&script, &mut |now, observation| {
            let compare = |at, policy: &mut Policy, model: &mut Model| {
                prop_assert_eq!(drain(policy), model.wake(at), "wake at {:?}", at);
                Ok(())
            };
            wake_as_asked(&mut policy, now, |at, policy| compare(at, policy, &mut model))?;
            policy.observe(now, observation);
            prop_assert_eq!(drain(&mut policy), model.observe(now, observation), "{:?}", observation);
            wake_as_asked(&mut policy, now, |at, policy| compare(at, policy, &mut model))?;
            prop_assert_eq!(policy.on_air(), model.on_air());
            prop_assert_eq!(policy.is_down(), model.is_down());
            for input in model.inputs() {
                prop_assert_eq!(policy.health(input).map(|health| health.kind()), model.kind(input));
                prop_assert_eq!(policy.recovery_needed(input), Some(model.recovery_needed(input, now)));
            }
            Ok(())
        })?;
    }

    #[test]
    fn waking_every_millisecond_changes_nothing(config in config(), script in script(60)) {
        prop_assert_eq!(actions_waking_on_demand(config, &script), actions_waking_always(config, &script));
    }

    #[test]
    fn the_same_script_gives_the_same_actions(config in config(), script in script(60)) {
        prop_assert_eq!(actions_waking_on_demand(config, &script), actions_waking_on_demand(config, &script));
    }

    #[test]
    fn only_a_healthy_input_is_switched_to_and_in_one_step(config in config(), script in script(120)) {
        let mut policy = Policy::new(config, Moment::ZERO);
        play(&script, &mut |now, observation| {
            wake_as_asked(&mut policy, now, |_, policy| check_switch(policy))?;
            policy.observe(now, observation);
            check_switch(&mut policy)?;
            wake_as_asked(&mut policy, now, |_, policy| check_switch(policy))
        })?;
    }

    #[test]
    fn no_value_is_too_absurd(
        times in prop::array::uniform4(any::<u64>()),
        spans in prop::array::uniform4(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]),
        script in script(30),
    ) {
        let [timeout, startup_timeout, recovery_time, recovery_max] = spans.map(Span::from_nanos);
        let config = Config { timeout, startup_timeout, recovery_time, recovery_max, ..Config::default() };
        let mut policy = Policy::new(config, Moment::from_nanos(times[0]));
        play(&script, &mut |now, observation| {
            let now = Moment::from_nanos(times[now.nanos() as usize % times.len()]) + (now - Moment::ZERO);
            policy.observe(now, observation);
            policy.wake(now);
            policy.wake(now);
            prop_assert!(policy.next_wake().is_none_or(|next| next > now));
            Ok(())
        })?;
    }
}

/// A fixed seed: a test that passed once passes always. Change the seed to search elsewhere.
fn the_same_cases_in_every_run() -> ProptestConfig {
    let seed = std::env::var("PROPTEST_RNG_SEED").ok();
    ProptestConfig {
        cases: 100,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed.and_then(|seed| seed.parse().ok()).unwrap_or(1)),
        ..ProptestConfig::default()
    }
}

/// At most one switch at a time, and to a healthy input unless somebody asked for it.
fn check_switch(policy: &mut Policy) -> Result<(), TestCaseError> {
    let actions = drain(policy);
    let mut switches = 0;
    for action in actions {
        if let Action::Switch {
            from, to, cause, ..
        } = action
        {
            switches += 1;
            prop_assert_ne!(from, Some(to));
            let health = policy.health(to).unwrap();
            prop_assert!(cause == Cause::Manual || health.is_healthy());
        }
    }
    prop_assert!(switches <= 1);
    Ok(())
}

fn actions_waking_on_demand(config: Config, script: &[Line]) -> Vec<(Moment, Action)> {
    let mut policy = Policy::new(config, Moment::ZERO);
    let mut log = Vec::new();
    play(script, &mut |now, observation| {
        let mut note = |at, policy: &mut Policy| {
            log.extend(drain(policy).into_iter().map(|action| (at, action)));
            Ok(())
        };
        wake_as_asked(&mut policy, now, &mut note)?;
        policy.observe(now, observation);
        note(now, &mut policy)?;
        wake_as_asked(&mut policy, now, &mut note)
    })
    .unwrap();
    log
}

fn actions_waking_always(config: Config, script: &[Line]) -> Vec<(Moment, Action)> {
    let mut policy = Policy::new(config, Moment::ZERO);
    let (mut log, mut last) = (Vec::new(), Moment::ZERO);
    play(script, &mut |now, observation| {
        let mut note = |at, policy: &mut Policy| {
            log.extend(drain(policy).into_iter().map(|action| (at, action)));
        };
        while last < now {
            last += Span::from_millis(1);
            policy.wake(last);
            note(last, &mut policy);
        }
        policy.observe(now, observation);
        policy.wake(now);
        note(now, &mut policy);
        Ok(())
    })
    .unwrap();
    log
}

/// Wakes exactly when asked to, up to `now`; a wake that is overdue is made up for at `now`.
fn wake_as_asked(
    policy: &mut Policy,
    now: Moment,
    mut after: impl FnMut(Moment, &mut Policy) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    while let Some(wake) = policy.next_wake().filter(|wake| *wake <= now) {
        let wake = wake.max(policy.now);
        policy.wake(wake);
        prop_assert!(policy.next_wake().is_none_or(|next| next > wake));
        after(wake, policy)?;
    }
    Ok(())
}

/// Turns the script into observations, each with its time.
fn play(
    script: &[Line],
    tell: &mut dyn FnMut(Moment, Observation) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now = 0;
    for line in script {
        match *line {
            Line::Tell(observation) => tell(ms(now), observation)?,
            Line::Buffer { input, stream, age } => {
                let at = ms(now.saturating_add_signed(-age));
                tell(ms(now), arrived(input, stream, at))?;
            }
            Line::Flow { streams, millis } => {
                let end = now + millis;
                while now < end {
                    for bit in (0..2 * INPUTS).filter(|bit| streams & (1 << bit) != 0) {
                        tell(ms(now), arrived(bit / 2, bit % 2, ms(now)))?;
                    }
                    now += 40;
                }
            }
            Line::Pause { millis } => now += millis,
        }
    }
    Ok(())
}

fn drain(policy: &mut Policy) -> Vec<Action> {
    std::iter::from_fn(|| policy.next_action()).collect()
}

/// Whole milliseconds, also when halved, since that is how the waking always goes.
fn config() -> impl Strategy<Value = Config> {
    let switch_back = prop_oneof![
        4 => Just(SwitchBack::AfterRecovery),
        1 => Just(SwitchBack::OnFailure),
        1 => Just(SwitchBack::Manual),
    ];
    let millis = |values: &'static [u64]| prop::sample::select(values).prop_map(Span::from_millis);
    let spans = (
        millis(&[100, 200, 400]),
        millis(&[300, 1000]),
        millis(&[0, 120, 200, 500]),
        millis(&[100, 1000, 60_000]),
    );
    let own = || {
        let never = prop_oneof![3 => millis(&[60, 300, 1000]), 1 => Just(Span::MAX)];
        prop::option::weighted(0.3, never)
    };
    let own = (own(), own());
    let flags = (prop::bool::weighted(0.2), prop::bool::weighted(0.9));
    let parts = (spans, own, switch_back, flags);
    parts.prop_map(|(spans, own, switch_back, (immediate, automatic))| Config {
        timeout: spans.0,
        video_timeout: own.0,
        audio_timeout: own.1,
        startup_timeout: spans.1,
        recovery_time: spans.2,
        recovery_max: spans.3,
        switch_back,
        immediate,
        automatic,
    })
}

/// A few inputs with a stream each, and then whatever may happen.
fn script(lines: usize) -> impl Strategy<Value = Vec<Line>> {
    let standby = prop_oneof![3 => Just(Standby::Hot), 1 => Just(Standby::Cold)];
    let opening = prop::collection::vec((standby, any::<bool>()), INPUTS as usize);
    (opening, prop::collection::vec(line(), lines / 2..lines)).prop_map(|(opening, lines)| {
        let mut script = Vec::new();
        for (input, (standby, connects)) in (0..INPUTS).map(InputId).zip(opening) {
            let priority = input.0 / 2;
            script.push(Line::Tell(Observation::InputAdded {
                input,
                priority,
                standby,
            }));
            for stream in [StreamId(0), StreamId(1)] {
                script.push(Line::Tell(Observation::StreamAdded { input, stream }));
            }
            if connects {
                script.push(Line::Tell(Observation::Connecting { input }));
            }
        }
        script.extend(lines);
        script
    })
}

fn line() -> impl Strategy<Value = Line> {
    let pauses: &[u64] = &[1, 10, 49, 50, 51, 99, 100, 101, 199, 200, 201, 500, 1200];
    let ages: &[i64] = &[-50, 0, 0, 10, 50, 99, 100, 120, 250, 700];
    // Mostly whole inputs.
    let whole = (0..(1_u32 << INPUTS)).prop_map(|inputs| {
        let both = |input: u32| (((inputs >> input) & 1) * 3) << (2 * input);
        (0..INPUTS).map(both).sum()
    });
    let streams = prop_oneof![2 => whole, 1 => 0..(1_u32 << (2 * INPUTS))];
    let flow = (streams, 40_u64..700);
    let buffer = (0..INPUTS, 0..2_u32, prop::sample::select(ages));
    prop_oneof![
        8 => flow.prop_map(|(streams, millis)| Line::Flow { streams, millis }),
        4 => prop::sample::select(pauses).prop_map(|millis| Line::Pause { millis }),
        4 => buffer.prop_map(|(input, stream, age)| Line::Buffer { input, stream, age }),
        6 => fact().prop_map(Line::Tell),
    ]
}

fn fact() -> impl Strategy<Value = Observation> {
    let input = || (0..INPUTS).prop_map(InputId);
    let stream = || (input(), (0..2_u32).prop_map(StreamId));
    let cause = prop::sample::select(vec![
        Cause::Eos,
        Cause::Error,
        Cause::Identity,
        Cause::Closed,
    ]);
    let standby = prop_oneof![Just(Standby::Hot), Just(Standby::Cold)];
    let media = prop::sample::select(vec![Media::Video, Media::Audio, Media::Other]);
    prop_oneof![
        4 => (input(), cause).prop_map(|(input, cause)| Observation::Failed { input, cause }),
        4 => input().prop_map(|input| Observation::Connecting { input }),
        3 => stream().prop_map(|(input, stream)| Observation::StreamAdded { input, stream }),
        2 => stream().prop_map(|(input, stream)| Observation::StreamRemoved { input, stream }),
        3 => (input(), any::<bool>()).prop_map(|(input, late)| Observation::Late { input, late }),
        2 => ((0..2_u32).prop_map(StreamId), media).prop_map(|(stream, media)| {
            Observation::StreamIs { stream, media }
        }),
        1 => (0..=INPUTS).prop_map(|input| Observation::Hold(Some(InputId(input)))),
        2 => Just(Observation::Hold(None)),
        6 => input().prop_map(|input| Observation::Cut { input }),
        2 => (stream(), prop::sample::select(vec![0, 40, 150, 700])).prop_map(
            |((input, stream), pause)| Observation::Rhythm {
                input,
                stream,
                pause: Span::from_millis(pause),
            }
        ),
        1 => (input(), 0..3_u32, standby).prop_map(|(input, priority, standby)| {
            Observation::InputAdded { input, priority, standby }
        }),
        1 => input().prop_map(|input| Observation::InputRemoved { input }),
        1 => (input(), 0..3_u32).prop_map(|(input, priority)| {
            Observation::Prioritised { input, priority }
        }),
        1 => config().prop_map(Observation::Configured),
    ]
}
