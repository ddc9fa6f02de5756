//! A real window on a virtual display, and what becomes of it when its graphics device is lost.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{groundline, hilly_city, text};

/// Where the window looks from, and how.
const VIEW: &str = "groundline:?v=1&c=534020,3992400,320,0,-25&st=paper";
/// Longest that a machine with other work takes to show a picture.
const PATIENCE: Duration = Duration::from_secs(90);

/// A display of its own, until it is dropped.
struct Display {
    child: Child,
    number: String,
    folder: tempfile::TempDir,
}

impl Display {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "640x360x24", "-nolisten", "tcp", "-fbdir"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb, as .ci/setup test installs it");
        let mut number = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Self { child, number: number.trim().to_owned(), folder }
    }

    /// What is on the screen: three bytes a pixel. The file is an X window dump (XWDFile.h): big-endian words, colours, then rows.
    fn picture(&self) -> Vec<[u8; 3]> {
        let bytes = fs::read(self.folder.path().join("Xvfb_screen0")).unwrap();
        let word = |index: usize| u32::from_be_bytes(bytes[index * 4..index * 4 + 4].try_into().unwrap()) as usize;
        let (width, height, line, start) = (word(4), word(5), word(12), word(0) + word(19) * 12);
        assert_eq!((width, height, word(11)), (640, 360, 32));
        let rows = (0..height).map(|row| &bytes[start + row * line..][..width * 4]);
        rows.flat_map(|row| row.chunks_exact(4).map(|bgr| [bgr[2], bgr[1], bgr[0]])).collect()
    }

    /// Waits for a picture of a city that does not change any more.
    fn settled(&self, window: &mut Window) -> Vec<[u8; 3]> {
        // A busy machine draws none for a second, too.
        const SAME: usize = 5;
        let (mut before, mut same) = (Vec::new(), 0);
        window.wait("a picture", |_| {
            let picture = self.picture();
            let mut colours = picture.clone();
            colours.sort_unstable();
            colours.dedup();
            same = if colours.len() > 50 && difference(&before, &picture) < 0.001 { same + 1 } else { 0 };
            before = picture;
            same == SAME
        });
        before
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Share of pixels that are another colour.
fn difference(a: &[[u8; 3]], b: &[[u8; 3]]) -> f64 {
    if a.len() != b.len() {
        return 1.0;
    }
    let is_other = |(a, b): &(&[u8; 3], &[u8; 3])| a.iter().zip(*b).any(|(a, b)| a.abs_diff(*b) > 24);
    a.iter().zip(b).filter(is_other).count() as f64 / a.len() as f64
}

/// The command with its window.
struct Window {
    child: Child,
    said: PathBuf,
}

impl Window {
    /// Opens it on a display; its device is lost after so many seconds. `tried` is what a window before it hands over.
    fn open(display: &Display, city: &Path, lost_after_s: u32, tried: Option<&str>) -> Self {
        let folder = display.folder.path();
        let said = folder.join("said.txt");
        let mut command = groundline();
        command
            .args(["--lang", "en", "view", text(city), "--plain", "--view", VIEW, "--bookmarks"])
            .arg(folder.join("bookmarks.json"))
            .env("DISPLAY", format!(":{}", display.number))
            .env("XDG_RUNTIME_DIR", folder)
            .env("GROUNDLINE_FAULT", format!("device={lost_after_s}"))
            .env_remove("WAYLAND_DISPLAY")
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).unwrap());
        if let Some(tried) = tried {
            command.env("GROUNDLINE_RESUME", tried);
        }
        Self { child: command.spawn().expect("the command starts"), said }
    }

    fn said(&self) -> String {
        let mut said = String::new();
        fs::File::open(&self.said).unwrap().read_to_string(&mut said).unwrap();
        said
    }

    /// What it was told when it was opened again; the process stays the same one.
    fn resumed(&self) -> Option<String> {
        let told = fs::read(format!("/proc/{}/environ", self.child.id())).ok()?;
        let mut words = told.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        words.find_map(|word| Some(word.strip_prefix("GROUNDLINE_RESUME=")?.to_owned()))
    }

    fn wait(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let started = Instant::now();
        while !is_so(self) {
            assert!(started.elapsed() < PATIENCE, "no {what}: {}", self.said());
            std::thread::sleep(Duration::from_millis(400));
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_window_comes_back_with_its_view_when_its_device_is_lost_and_ends_after_the_last_try() {
    let folder = tempfile::tempdir().unwrap();
    let city = hilly_city(folder.path());
    let display = Display::open();
    let mut window = Window::open(&display, &city, 14, None);
    let before = display.settled(&mut window);
    assert_eq!(window.resumed(), None, "nothing is lost yet: {}", window.said());
    window.wait("resumed window", |window| window.resumed().is_some());
    let handed = window.resumed().unwrap();
    let (times, view) = handed.split_once(' ').expect("how often, and the view");
    assert_eq!(times, "1");
    for part in VIEW.split(['?', '&']).skip(2) {
        assert!(view.contains(part), "{part}: {view}");
    }
    let said = window.said();
    assert!(said.contains("the graphics device is lost: ") && said.contains("with the same view (1 of 3)"), "{said}");
    let after = display.settled(&mut window);
    let differing = difference(&before, &after);
    assert!(differing < 0.05, "{:.1} % of the picture is another", differing * 100.0);
    drop(window);

    let mut last = Window::open(&display, &city, 3, Some(&format!("3 {VIEW}")));
    let mut code = None;
    last.wait("end", |window| {
        code = window.child.try_wait().unwrap();
        code.is_some()
    });
    let said = last.said();
    assert_eq!(code.unwrap().code(), Some(1), "{said}");
    assert!(said.contains("is lost again") && said.contains("the window stays closed"), "{said}");
}
