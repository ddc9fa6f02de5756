//! Processes that are killed: at every named place of the write path, and at any time.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use groundline_engine::fault::Place;
use serde_json::json;

use crate::{
    Chance,
    state::{has_no_orphan, is_done, is_new},
    step::{Job, LIFE, Step, copy, place, said, was_killed},
};

/// How often each place is passed by a step that nothing disturbs.
fn passes(step: Step, fault: &str) -> BTreeMap<String, usize> {
    let folder = place();
    copy(&LIFE.before(step), folder.path());
    let trace = folder.path().join("trace");
    let output = Job::new(step, folder.path()).fault(format!("{fault},trace={}", trace.display())).run();
    assert!(output.status.success(), "{step:?}: {}", said(&output));
    is_done(folder.path(), step, &format!("{step:?} {fault}"));
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(trace).unwrap().lines() {
        *counts.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// Processes that work in `place`.
fn at_work(place: &Path) -> Vec<String> {
    let is_there =
        |entry: &fs::DirEntry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(place));
    let entries = fs::read_dir("/proc").unwrap().flatten().filter(is_there);
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The importer died: the children that parsed for it end too.
fn nobody_is_left(place: &Path, case: &str) {
    let place = place.canonicalize().unwrap();
    let started = Instant::now();
    while !at_work(&place).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(3), "{case}: {:?} still run", at_work(&place));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What holds of a city whose writer died in `step`; then the step is done again, and dies again at `second`.
fn check(at: &Path, step: Step, second: Option<&str>, case: &str) -> bool {
    nobody_is_left(at, case);
    let was_new = is_new(at, step, true, case);
    let swept = place();
    copy(at, swept.path());
    has_no_orphan(swept.path(), step, was_new, case);
    let mut is_at_new = was_new;
    // An update that is done says that there is nothing to remove.
    let is_over = |is_at_new: bool| is_at_new && step == Step::Update;
    if let Some(fault) = second.filter(|_| !is_over(is_at_new)) {
        let case = format!("{case}, then {fault}");
        let output = Job::new(step, at).fault(fault).run();
        assert!(was_killed(&output) || output.status.success(), "{case}: {}", said(&output));
        nobody_is_left(at, &case);
        is_at_new = is_new(at, step, false, &case);
    }
    if !is_over(is_at_new) {
        let output = Job::new(step, at).run();
        assert!(output.status.success(), "{case}, again: {}", said(&output));
    }
    is_done(at, step, case);
    was_new
}

/// Kills `step` at a place, the `count`th time that it is passed.
fn kill_at(step: Step, name: &str, count: usize, fault: &str, second: Option<&str>) -> bool {
    let case = format!("{step:?} killed at {name}*{count} {fault}");
    let folder = place();
    copy(&LIFE.before(step), folder.path());
    let output = Job::new(step, folder.path()).fault(format!("kill={name}*{count},{fault}")).run();
    assert!(was_killed(&output), "{case}: it did not die: {}", said(&output));
    check(folder.path(), step, second, &case)
}

/// Places that only an import passes which goes on after another was killed, and where that one was.
const AFTER_ANOTHER: [(Place, &str); 2] =
    [(Place::LayerRestored, "kill=checkpoint-done*8,eager"), (Place::LayerAdopted, "kill=commit-begun")];

#[test]
fn every_named_place_of_the_write_path_may_be_the_last() {
    let passed: Vec<(Step, BTreeMap<String, usize>)> =
        Step::ALL.into_iter().map(|step| (step, passes(step, "eager"))).collect();
    let mut new = 0;
    for (number, named) in Place::ALL.iter().enumerate() {
        if let Some((_, first)) = AFTER_ANOTHER.iter().find(|(other, _)| *other == *named) {
            let folder = place();
            copy(&LIFE.before(Step::Import), folder.path());
            let output = Job::new(Step::Import, folder.path()).fault(*first).run();
            assert!(was_killed(&output), "{first}: {}", said(&output));
            let output = Job::new(Step::Import, folder.path()).fault(format!("kill={},eager", named.name())).run();
            assert!(was_killed(&output), "{first}, then {}: {}", named.name(), said(&output));
            check(folder.path(), Step::Import, None, &format!("{first}, then {}", named.name()));
            continue;
        }
        // A different step each time, as far as it passes there; and not the first time that it does.
        let steps: Vec<(Step, usize)> =
            passed.iter().filter_map(|(step, counts)| Some((*step, *counts.get(named.name())?))).collect();
        assert!(!steps.is_empty(), "no step passes {}", named.name());
        let (step, times) = steps[number % steps.len()];
        let second = (number % 3 == 0).then_some("kill=commit-moved*3");
        new += usize::from(kill_at(step, named.name(), times.div_ceil(2), "eager", second));
    }
    assert!(new >= 2, "after the switch the city is new");
}

#[test]
#[ignore = "takes minutes: make chaos"]
fn chaos_every_step_is_killed_at_every_place() {
    let (mut kills, mut new) = (0, 0);
    for step in Step::ALL {
        for (name, times) in passes(step, "eager").iter().filter(|(name, _)| *name != "sync") {
            let mut counts = vec![1, *times];
            counts.dedup();
            for count in counts {
                new += usize::from(kill_at(step, name, count, "eager", None));
                kills += 1;
            }
        }
    }
    println!("{}", json!({"chaos": "named", "places": Place::ALL.len(), "kills": kills, "at_new": new, "lost": 0}));
}

/// Kills steps after random parts of the time that they take; one line of JSON says what came of it.
fn random(kills: usize, seed: u64) {
    let started = Instant::now();
    let mut chance = Chance(seed);
    // How long a step takes undisturbed, with and without checkpoints all the time.
    let timed = |step: Step, fault: &str| {
        let folder = place();
        copy(&LIFE.before(step), folder.path());
        let started = Instant::now();
        assert!(Job::new(step, folder.path()).fault(fault).run().status.success());
        started.elapsed()
    };
    let faults = ["", "eager"];
    let times: Vec<[Duration; 2]> = Step::ALL.iter().map(|step| faults.map(|fault| timed(*step, fault))).collect();
    let (mut at_old, mut at_new, mut ended, mut twice) = (0, 0, 0, 0);
    let mut slowest = Duration::ZERO;
    for number in 0..kills {
        // Gc is short: it gets fewer.
        let index = [0, 1, 2, 0, 3, 2, 4][number % 7];
        let (step, eager) = (Step::ALL[index], number % 2);
        let folder = place();
        copy(&LIFE.before(step), folder.path());
        let part = chance.roll() * 1.05;
        let after = times[index][eager].mul_f64(part);
        let case = format!("{step:?} {} killed after {part:.3} ({after:?}), seed {seed}, kill {number}", faults[eager]);
        let mut child = Job::new(step, folder.path()).fault(faults[eager]).spawn();
        std::thread::sleep(after);
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(was_killed(&output) || output.status.success(), "{case}: {}", said(&output));
        ended += usize::from(!was_killed(&output));
        let second = (number % 5 == 0).then(|| format!("kill=commit-moved*{},eager", 1 + chance.below(20)));
        twice += usize::from(second.is_some());
        let checked = Instant::now();
        match check(folder.path(), step, second.as_deref(), &case) {
            true => at_new += 1,
            false => at_old += 1,
        }
        slowest = slowest.max(checked.elapsed());
    }
    println!(
        "{}",
        json!({
            "chaos": "random", "seed": seed, "kills": kills, "at_old": at_old, "at_new": at_new, "ended_before": ended,
            "killed_twice": twice, "lost": 0, "step_ms": times.iter().map(|t| t[0].as_millis() as u64).collect::<Vec<_>>(),
            "slowest_recovery_ms": slowest.as_millis() as u64, "seconds": started.elapsed().as_secs(),
        })
    );
}

#[test]
fn any_moment_may_be_the_last() {
    random(40, 1);
}

#[test]
#[ignore = "takes minutes: make chaos"]
fn chaos_random_kills() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    random(number("GROUNDLINE_KILLS", 200) as usize, number("GROUNDLINE_SEED", 2));
}
