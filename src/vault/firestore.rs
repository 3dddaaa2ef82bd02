//! The vault in Firestore.
