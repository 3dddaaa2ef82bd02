//! The basket while a message is read: lines whose item is still open stand beside those that are settled. Owns
//! splitting, merging and counting; understands no words.

use super::{index::ItemNo, notes};

pub type SlotId = u32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasketSlot {
    pub id: SlotId,
    /// Several: the customer is to be asked.
    pub candidates: Vec<ItemNo>,
    pub qty: u32,
    pub notes: Vec<String>,
    /// This message made it.
    pub is_fresh: bool,
    /// The customer is to be asked how many: `qty` is a proposal, and zero is none.
    pub asks_number: bool,
}

impl BasketSlot {
    /// The item of a line about which nothing is asked.
    pub fn item(&self) -> Option<ItemNo> {
        match self.candidates[..] {
            [item] if !self.asks_number => Some(item),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Slots {
    pub all: Vec<BasketSlot>,
    next: SlotId,
}

/// Lines beyond this are not taken.
const MAX_LINES: usize = 100;

impl Slots {
    pub fn add(&mut self, candidates: Vec<ItemNo>, qty: u32, notes: Vec<String>, is_fresh: bool) -> SlotId {
        self.next += 1;
        if self.all.len() < MAX_LINES && qty > 0 && !candidates.is_empty() {
            self.all.push(BasketSlot { id: self.next, candidates, qty, notes, is_fresh, asks_number: false });
        }
        self.next
    }

    /// The number of a line is to be asked for; `proposal` is zero where there is none.
    pub fn ask_number(&mut self, id: SlotId, proposal: u32) {
        if let Some(slot) = self.get_mut(id) {
            slot.qty = proposal;
            slot.asks_number = true;
        }
    }

    /// The number that was asked for.
    pub fn settle_number(&mut self, id: SlotId, qty: u32) {
        if let Some(slot) = self.get_mut(id) {
            slot.qty = qty;
            slot.asks_number = false;
        }
    }

    pub fn get(&self, id: SlotId) -> Option<&BasketSlot> {
        self.all.iter().find(|slot| slot.id == id)
    }

    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut BasketSlot> {
        self.all.iter_mut().find(|slot| slot.id == id)
    }

    pub fn remove(&mut self, id: SlotId) {
        self.all.retain(|slot| slot.id != id);
    }

    /// Takes so many units away.
    pub fn take(&mut self, id: SlotId, units: u32) {
        if let Some(slot) = self.get_mut(id) {
            slot.qty = slot.qty.saturating_sub(units);
            if slot.qty == 0 {
                self.remove(id);
            }
        }
    }

    /// Parts so many units from a line; they stay alike until one of the two changes. Returns the line itself if that
    /// is all of it.
    pub fn split(&mut self, id: SlotId, units: u32) -> SlotId {
        let Some(slot) = self.get_mut(id) else { return id };
        if units == 0 || units >= slot.qty {
            return id;
        }
        slot.qty -= units;
        let (candidates, notes, fresh) = (slot.candidates.clone(), slot.notes.clone(), slot.is_fresh);
        self.add(candidates, units, notes, fresh)
    }

    pub fn note(&mut self, id: SlotId, new: &[String]) {
        if let Some(slot) = self.get_mut(id) {
            for note in new {
                let before = slot.notes.len();
                slot.notes.retain(|old| !notes::takes_back(note, old));
                if slot.notes.len() == before && !slot.notes.contains(note) && slot.notes.len() < 12 {
                    slot.notes.push(note.clone());
                }
            }
        }
    }

    /// The settled lines of any of these items.
    pub fn of(&self, items: &[ItemNo]) -> Vec<SlotId> {
        self.all
            .iter()
            .filter(|slot| slot.item().is_some_and(|item| items.contains(&item)))
            .map(|slot| slot.id)
            .collect()
    }

    /// The open lines that could be one of these items.
    pub fn open(&self, items: &[ItemNo]) -> Option<SlotId> {
        let open = self.all.iter().filter(|slot| slot.item().is_none());
        open.rev().find(|slot| items.iter().any(|item| slot.candidates.contains(item))).map(|slot| slot.id)
    }

    /// The line of one of these items whose number is asked for.
    pub fn asking(&self, items: &[ItemNo]) -> Option<SlotId> {
        let asking = self.all.iter().rev().filter(|slot| slot.asks_number);
        asking.filter(|slot| items.iter().any(|item| slot.candidates.contains(item))).map(|slot| slot.id).next()
    }

    /// Makes the lines be so many units in all: the last one grows or shrinks first.
    pub fn set_total(&mut self, ids: &[SlotId], total: u32) {
        let now: u32 = ids.iter().filter_map(|id| self.get(*id)).map(|slot| slot.qty).sum();
        if total >= now {
            if let Some(last) = ids.last()
                && let Some(slot) = self.get_mut(*last)
            {
                slot.qty += total - now;
                slot.asks_number = false;
            }
            return;
        }
        let mut surplus = now - total;
        for id in ids.iter().rev() {
            let qty = self.get(*id).map_or(0, |slot| slot.qty);
            let taken = surplus.min(qty);
            self.take(*id, taken);
            surplus -= taken;
        }
    }
}
