//! Disks that are full, that fail when asked to keep what was written, that may not be written; too few open files.

use std::{fs, path::Path, process::Output};

use groundline_engine::store::City;

use crate::{
    state::{Files, files, has_no_orphan, is_done, is_new},
    step::{CITY, Job, LIFE, Step, copy, place, said},
};

/// What a step does that nothing disturbs: every place that it passes with the bytes written until then.
fn trace(step: Step, fault: &str) -> Vec<(String, u64)> {
    let folder = place();
    copy(&LIFE.before(step), folder.path());
    let (trace, output) = traced(step, folder.path(), fault);
    assert!(output.status.success(), "{step:?}: {}", said(&output));
    trace
}

fn traced(step: Step, place: &Path, fault: &str) -> (Vec<(String, u64)>, Output) {
    let file = place.join("trace");
    let output = Job::new(step, place).fault(format!("{fault},trace={}", file.display())).run();
    let text = fs::read_to_string(&file).unwrap_or_default();
    let lines = text.lines().map(|line| {
        let (what, bytes) = line.split_once(' ').unwrap();
        (what.to_owned(), bytes.parse().unwrap())
    });
    (lines.collect(), output)
}

/// The step failed with a clear word about a file, and the city is at the version before; nothing lies in its way.
fn has_failed(place: &Path, step: Step, output: &Output, word: &str, case: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{case}: {said}");
    let names_a_file = said.lines().any(|line| line.contains(word) && line.contains(CITY));
    assert!(names_a_file && !said.contains("panicked"), "{case}: {said}");
    assert!(!is_new(place, step, true, case), "{case}: the version was switched");
    let left: Vec<String> = fs::read_dir(place.join(CITY))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".staging") || name == "city.new")
        .collect();
    assert!(left.is_empty(), "{case}: {left:?}");
}

/// The cause is gone: the same step succeeds.
fn succeeds(place: &Path, step: Step, case: &str) {
    let output = Job::new(step, place).run();
    assert!(output.status.success(), "{case}, again: {}", said(&output));
    is_done(place, step, case);
}

#[test]
fn a_disk_that_is_full_anywhere_costs_nothing_but_the_import() {
    let mut positions = 0;
    for (step, count, fault) in [
        (Step::Import, 8, ""),
        (Step::Import, 6, "eager"),
        (Step::Join, 10, ""),
        (Step::Again, 8, "eager"),
        (Step::Update, 18, ""),
    ] {
        let bytes = trace(step, fault).last().unwrap().1;
        for number in 0..count {
            // The last one is within city.json. How much is written before depends a little on which thread is first.
            let room = match number + 1 == count {
                true => "full=manifest-done".to_owned(),
                false => format!("room={}", bytes * number / (count - 1)),
            };
            let case = format!("{step:?} {fault}: {room} of {bytes} bytes");
            let folder = place();
            copy(&LIFE.before(step), folder.path());
            let output = Job::new(step, folder.path()).fault(format!("{room},{fault}")).run();
            has_failed(folder.path(), step, &output, "No space left on device", &case);
            let swept = place();
            copy(folder.path(), swept.path());
            has_no_orphan(swept.path(), step, false, &case);
            succeeds(folder.path(), step, &case);
            positions += 1;
        }
    }
    assert!(positions >= 50, "{positions}");
}

#[test]
fn a_disk_that_does_not_keep_what_was_written_is_asked_once() {
    for (step, fault) in [(Step::Import, ""), (Step::Update, ""), (Step::Join, "eager")] {
        let is_sync = |line: &&(String, u64)| line.0 == "sync";
        let undisturbed = trace(step, fault);
        let switch = undisturbed.iter().rposition(|line| line.0 == "file-named").unwrap();
        let before_switch = undisturbed[..switch].iter().filter(is_sync).count();
        let all = undisturbed.iter().filter(is_sync).count();
        assert_eq!(all, before_switch + 1, "after the switch there is one more: of the folder");
        // With a checkpoint after each object there are many.
        let chosen: Vec<usize> = (1..=all).filter(|n| all < 16 || n % (all / 6) == 0).collect();
        for number in chosen {
            let case = format!("{step:?} {fault}: sync {number} of {all} fails");
            let folder = place();
            copy(&LIFE.before(step), folder.path());
            let (trace, output) = traced(step, folder.path(), &format!("sync={number},{fault}"));
            if number > before_switch {
                // The new version is there to be read; whether it stays nobody knows, and that is said.
                assert_eq!(output.status.code(), Some(1), "{case}");
                assert!(said(&output).contains("did not confirm"), "{case}: {}", said(&output));
                assert!(is_new(folder.path(), step, true, &case), "{case}");
                continue;
            }
            has_failed(folder.path(), step, &output, "Input/output error", &case);
            let at = trace.iter().enumerate().filter(|(_, line)| line.0 == "sync").nth(number - 1).unwrap().0;
            assert!(!trace[at..].iter().any(|line| line.0 == "switched"), "{case}");
            if fault.is_empty() {
                assert!(!trace[at + 1..].iter().any(|line| line.0 == "sync"), "{case}: it was asked again");
            }
            // What the disk may have lost can still be read from memory: the whole file system failed, so nothing is taken over.
            if trace[at - 1].0 == "commit-swept" {
                assert!(!folder.path().join(CITY).join(".resume").exists(), "{case}");
            }
            succeeds(folder.path(), step, &case);
        }
    }
}

#[test]
fn a_city_that_may_not_be_written_stays_as_it_is() {
    for step in [Step::Again, Step::Update, Step::Gc] {
        let case = format!("{step:?}, read-only");
        let folder = place();
        copy(&LIFE.before(step), folder.path());
        let before = files(folder.path());
        set_mode(&folder.path().join(CITY), 0o500);
        let mut job = Job::new(step, folder.path());
        if rustix::process::getuid().is_root() {
            // Who may do anything must give that up first.
            job = job.before(&["setpriv", "--inh-caps=-all", "--bounding-set=-all"]);
        }
        let output = job.run();
        set_mode(&folder.path().join(CITY), 0o700);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{case}: {said}");
        assert!(said.contains("Permission denied") && said.contains(CITY), "{case}: {said}");
        assert_eq!(files(folder.path()), before, "{case}");
        succeeds(folder.path(), step, &case);
    }
}

fn set_mode(folder: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        set_mode(&entry.path(), mode);
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn few_open_files_are_enough_or_it_is_said() {
    for step in Step::ALL {
        for most in [64, 12] {
            let case = format!("{step:?} with {most} open files");
            let folder = place();
            copy(&LIFE.before(step), folder.path());
            let output = Job::new(step, folder.path()).files(most).run();
            if most == 64 {
                assert!(output.status.success(), "{case}: {}", said(&output));
            }
            assert!(!said(&output).contains("panicked"), "{case}: {}", said(&output));
            match output.status.code() {
                Some(0) => is_done(folder.path(), step, &case),
                // Sources that could not be opened are left out and named.
                Some(3) => assert_eq!(City::open(&folder.path().join(CITY)).unwrap().verify().unwrap(), [], "{case}"),
                Some(1) => {
                    assert!(said(&output).contains("Too many open files"), "{case}: {}", said(&output));
                    is_new(folder.path(), step, true, &case);
                    succeeds(folder.path(), step, &case);
                }
                _ => panic!("{case}: {}", said(&output)),
            }
        }
    }
}

/// A real full disk: `unshare -rm` gives this process a file system of its own that is as small as it likes.
#[test]
#[ignore = "wants a mount namespace: make chaos"]
fn chaos_a_real_disk_is_full() {
    let mounted = |folder: &Path, options: &str| {
        let status =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).status();
        assert!(status.unwrap().success(), "run it under unshare -rm");
    };
    let (mut full, mut fitted) = (0, 0);
    for step in [Step::Import, Step::Join, Step::Again, Step::Update] {
        let bytes = |files: &Files| files.values().map(|bytes| bytes.len().div_ceil(4096) * 4096).sum::<usize>();
        let folder = place();
        let least = bytes(&files(&LIFE.before(step))) / 1024 + 30;
        let most = least + trace(step, "").last().unwrap().1 as usize / 1024;
        for number in 0..15 {
            let kilobytes = least + (most - least) * number / 14;
            let case = format!("{step:?} in {kilobytes} kB");
            mounted(folder.path(), &format!("size={kilobytes}k"));
            copy(&LIFE.before(step), folder.path());
            let output = Job::new(step, folder.path()).run();
            if output.status.success() {
                fitted += 1;
            } else {
                has_failed(folder.path(), step, &output, "No space left on device", &case);
                full += 1;
            }
            mounted(folder.path(), "remount,size=1g");
            match output.status.success() {
                true => is_done(folder.path(), step, &case),
                false => succeeds(folder.path(), step, &case),
            }
            assert!(std::process::Command::new("umount").arg(folder.path()).status().unwrap().success());
        }
    }
    println!(
        "{}",
        serde_json::json!({"chaos": "full disk", "positions": full + fitted, "full": full, "fitted": fitted, "lost": 0})
    );
    assert!(full >= 20, "{full}");
}

#[test]
fn a_city_is_not_made_on_top_of_files_of_other_people_nor_are_they_removed() {
    let folder = place();
    let city = folder.path().join(CITY);
    fs::create_dir_all(city.join("objects")).unwrap();
    fs::write(city.join("objects/photo.jpg"), "mine").unwrap();
    copy(&LIFE.before(Step::Import), folder.path());
    let output = Job::new(Step::Import, folder.path()).run();
    assert!(output.status.code() == Some(1) && said(&output).contains("no city is made"), "{}", said(&output));
    assert_eq!(files(&city), Files::from([("objects/photo.jpg".into(), b"mine".to_vec())]));
    // An import that comes to nothing removes the city that it made, and nothing else.
    fs::remove_dir_all(city.join("objects")).unwrap();
    fs::write(city.join("thesis.txt"), "mine").unwrap();
    let output = Job::new(Step::Import, folder.path()).fault("room=3000").run();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(files(&city), Files::from([("thesis.txt".into(), b"mine".to_vec())]));
    assert!(City::open(&city).is_err());
}
