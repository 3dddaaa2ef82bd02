//! One tenant's writer: cuts, sequence, takeover, fencing, snapshots; hydration.
