//! A virtual host, as every thread holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use shunt_types::VhostName;

use crate::metadata::{Topology, VhostMetadata};

/// A virtual host: its name and its routing snapshot.
pub struct Vhost {
    name: VhostName,
    topology: ArcSwap<Topology>,
    metadata: ArcSwap<VhostMetadata>,
    deleted: AtomicBool,
}

impl Vhost {
    pub(crate) fn new(name: VhostName) -> Self {
        let topology = ArcSwap::from_pointee(Topology::new(name.clone()));
        Self { name, topology, metadata: ArcSwap::default(), deleted: AtomicBool::new(false) }
    }

    /// Its name.
    pub fn name(&self) -> &VhostName {
        &self.name
    }

    /// The snapshot in force.
    pub fn topology(&self) -> Arc<Topology> {
        self.topology.load_full()
    }

    /// The place of the snapshot, for a cache that checks it per batch.
    pub fn topology_cell(&self) -> &ArcSwap<Topology> {
        &self.topology
    }

    /// What is said about it.
    pub fn metadata(&self) -> Arc<VhostMetadata> {
        self.metadata.load_full()
    }

    /// Whether it was deleted; its connections have to go.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(crate) fn swap(&self, topology: Topology) {
        self.topology.store(Arc::new(topology));
    }

    pub(crate) fn set_metadata(&self, metadata: VhostMetadata) {
        self.metadata.store(Arc::new(metadata));
    }

    pub(crate) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }
}
