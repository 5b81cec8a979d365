//! The later life of deployed routes, as the HTTP API asks for it.

use shunt_http_api::{RouteLifePort, RouteLogPage, RoutePortError, RouteView};

use super::{RegistryPort, refused, vhost_name, view};

impl RouteLifePort for RegistryPort {
    fn rollback(&self, vhost: &str, name: &str) -> Result<RouteView, RoutePortError> {
        let vhost = vhost_name(vhost)?;
        let version = self.routes.rollback(&vhost, name).map_err(refused)?;
        tracing::info!(%vhost, route = name, version, "route rolled back");
        self.routes.show(&vhost, name).map(view).map_err(refused)
    }

    fn remove_version(&self, vhost: &str, name: &str, version: u32) -> Result<(), RoutePortError> {
        let vhost = vhost_name(vhost)?;
        self.routes.remove_version(&vhost, name, version).map_err(refused)?;
        tracing::info!(%vhost, route = name, version, "route version removed");
        Ok(())
    }

    fn module(&self, vhost: &str, name: &str, version: u32) -> Result<Vec<u8>, RoutePortError> {
        self.routes.module_bytes(&vhost_name(vhost)?, name, version).map_err(refused)
    }

    fn logs(
        &self,
        vhost: &str,
        name: &str,
        after: u64,
        limit: usize,
    ) -> Result<RouteLogPage, RoutePortError> {
        let vhost = vhost_name(vhost)?;
        self.routes.show(&vhost, name).map_err(refused)?;
        Ok(self.logs.read(&vhost, name, after, limit))
    }
}
