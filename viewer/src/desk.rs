//! What a person measures and writes on the city: the tool in hand, the points so far, what can be undone.

use std::{collections::HashMap, time::Instant};

use bevy::prelude::Resource;
use glam::DVec3;

use crate::{
    annotation::Annotation,
    history::History,
    key::Action,
    measure::{MAX_POINTS, MeasureKind, Measurement},
    options::SceneOptions,
    snap::Snap,
    solid::{Open, Solid},
    view_string::{MAX_NOTES, MAX_TEXT},
};

/// Points nearer than this are the same place, metres.
const SAME_M: f64 = 1e-4;

/// What the next click does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Measures.
    Measure(MeasureKind),
    /// Writes.
    Annotate,
}

/// Everything that was measured and written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// Measurements.
    pub measurements: Vec<Measurement>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
}

/// The desk that lies over the city.
#[derive(Resource, Default)]
pub struct Desk {
    /// What lies on it.
    pub notes: Notes,
    history: History<Notes>,
    /// What is in hand.
    pub tool: Option<Tool>,
    /// Points clicked so far.
    pub draft: Vec<DVec3>,
    /// Where the next click would go.
    pub hover: Option<Snap>,
    /// The annotation that is being written.
    pub writing: Option<Annotation>,
    /// Bodies of the objects that are measured, by id.
    pub bodies: HashMap<String, Result<Solid, Open>>,
    /// List of what lies here.
    pub is_list_open: bool,
    /// Something to be told for a while, and since when.
    pub message: Option<(String, Instant)>,
}

impl Desk {
    /// The desk as a view has it.
    pub fn of(scene: &SceneOptions) -> Self {
        let notes = Notes { measurements: scene.measurements.clone(), annotations: scene.annotations.clone() };
        Self { notes, ..Self::default() }
    }

    /// Takes a tool into the hand.
    pub fn take(&mut self, tool: Tool) {
        self.leave();
        self.tool = Some(tool);
    }

    /// Puts everything down that was begun; says whether there was anything.
    pub fn leave(&mut self) -> bool {
        let was_begun = self.tool.is_some() || self.writing.is_some();
        self.tool = None;
        self.hover = None;
        self.writing = None;
        self.draft.clear();
        was_begun
    }

    /// A click at `place`; `object` is the id of what was hit.
    pub fn click(&mut self, place: DVec3, object: Option<String>) {
        match self.tool {
            None => {}
            Some(Tool::Annotate) => self.writing = Some(Annotation { text: String::new(), place }),
            Some(Tool::Measure(MeasureKind::Body)) => match object {
                Some(id) => {
                    self.draft = vec![place];
                    self.add(MeasureKind::Body, Some(id));
                }
                None => self.draft.clear(),
            },
            Some(Tool::Measure(kind)) => {
                if self.draft.last().is_some_and(|last| last.distance(place) < SAME_M) || self.draft.len() >= MAX_POINTS
                {
                    return;
                }
                self.draft.push(place);
                if self.draft.len() == *kind.points().end() {
                    self.add(kind, None);
                }
            }
        }
    }

    /// Ends the polyline or polygon; without enough points it is left.
    pub fn finish(&mut self) {
        if self.writing.is_some() {
            self.write_down();
        } else if let Some(Tool::Measure(kind)) = self.tool {
            if kind.points().contains(&self.draft.len()) {
                self.add(kind, None);
            } else if self.draft.is_empty() {
                self.leave();
            }
        }
    }

    fn add(&mut self, kind: MeasureKind, object: Option<String>) {
        let points = std::mem::take(&mut self.draft);
        self.change(|notes| notes.measurements.push(Measurement { kind, points, level_m: None, object }));
    }

    /// Keeps the annotation that is being written.
    pub fn write_down(&mut self) {
        let Some(mut annotation) = self.writing.take() else { return };
        annotation.text = annotation.text.trim().chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
        if !annotation.text.is_empty() {
            self.change(|notes| notes.annotations.push(annotation));
            self.tool = None;
            self.hover = None;
        }
    }

    /// Takes back the last point, or the last thing when no point is there.
    pub fn remove_last(&mut self) {
        self.draft.pop();
    }

    /// Changes what lies here, so that it can be undone.
    pub fn change(&mut self, change: impl FnOnce(&mut Notes)) {
        let before = self.notes.clone();
        change(&mut self.notes);
        self.notes.measurements.truncate(MAX_NOTES);
        self.notes.annotations.truncate(MAX_NOTES);
        if self.notes != before {
            self.history.remember(before);
        }
    }

    /// Undoes the last change.
    pub fn undo(&mut self) {
        if let Some(notes) = self.history.undo(self.notes.clone()) {
            self.notes = notes;
        }
    }

    /// Does again what was undone.
    pub fn redo(&mut self) {
        if let Some(notes) = self.history.redo(self.notes.clone()) {
            self.notes = notes;
        }
    }

    /// Tells something for a while.
    pub fn tell(&mut self, text: impl Into<String>) {
        self.message = Some((text.into(), Instant::now()));
    }

    /// Does what was asked for, where it is the desk's.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::Measure(kind) => self.take(Tool::Measure(kind)),
            Action::Annotate => self.take(Tool::Annotate),
            Action::Finish => self.finish(),
            Action::RemoveLast => self.remove_last(),
            Action::Undo => self.undo(),
            Action::Redo => self.redo(),
            Action::ClearNotes => self.change(|notes| *notes = Notes::default()),
            Action::Notes => self.is_list_open = !self.is_list_open,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f64) -> DVec3 {
        DVec3::new(40_534_000.0 + x, 0.0, 0.0)
    }

    #[test]
    fn points_become_a_measurement() {
        let mut desk = Desk::default();
        desk.act(Action::Measure(MeasureKind::Length));
        for x in [0.0, 3.0, 3.0, 7.0, 9.0] {
            desk.click(at(x), None);
        }
        desk.act(Action::RemoveLast);
        desk.act(Action::Finish);
        assert_eq!(desk.notes.measurements[0].points, [at(0.0), at(3.0), at(7.0)], "a second click at a place is none");
        assert_eq!(desk.tool, Some(Tool::Measure(MeasureKind::Length)), "the next one can be measured at once");
        desk.act(Action::Finish);
        assert_eq!((desk.tool, desk.notes.measurements.len()), (None, 1), "nothing begun: the tool is put down");
    }

    #[test]
    fn what_takes_two_points_ends_by_itself_and_too_few_are_none() {
        let mut desk = Desk::default();
        desk.act(Action::Measure(MeasureKind::Height));
        desk.click(at(0.0), None);
        desk.click(at(1.0), None);
        assert_eq!(desk.notes.measurements.len(), 1);
        desk.act(Action::Measure(MeasureKind::Area));
        desk.click(at(0.0), None);
        desk.click(at(1.0), None);
        desk.act(Action::Finish);
        assert_eq!((desk.notes.measurements.len(), desk.draft.len()), (1, 2), "two corners are no polygon");
        assert!(desk.leave() && desk.draft.is_empty() && !desk.leave());
        desk.act(Action::Measure(MeasureKind::Body));
        desk.click(at(0.0), None);
        desk.click(at(0.0), Some("建筑/1".into()));
        assert_eq!(desk.notes.measurements[1].object.as_deref(), Some("建筑/1"));
    }

    #[test]
    fn an_annotation_is_written_and_everything_can_be_undone() {
        let mut desk = Desk::default();
        desk.act(Action::Annotate);
        desk.click(at(0.0), None);
        desk.writing.as_mut().expect("begun").text = "  消防\n通道 ".into();
        desk.act(Action::Finish);
        assert_eq!(desk.notes.annotations[0].text, "消防通道");
        desk.act(Action::Measure(MeasureKind::Depth));
        desk.click(at(0.0), None);
        desk.act(Action::ClearNotes);
        desk.act(Action::Undo);
        assert_eq!((desk.notes.measurements.len(), desk.notes.annotations.len()), (1, 1));
        desk.act(Action::Undo);
        desk.act(Action::Undo);
        assert_eq!(desk.notes, Notes::default());
        desk.act(Action::Redo);
        assert_eq!(desk.notes.annotations.len(), 1);
        desk.act(Action::Annotate);
        desk.click(at(0.0), None);
        desk.act(Action::Finish);
        assert_eq!(desk.notes.annotations.len(), 1, "an empty one is none");
    }
}
