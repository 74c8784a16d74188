// Serves the dashboards in Grafana's ConfigMaps as plain pages, in place of Grafana. It understands Grafana's
// environment variables.
import { envPort, envString } from "../base/index.ts";
import { GrafanaApi } from "../addons/grafana/index.ts";
import { serveWeb } from "../addons/web/index.ts";
import type { RoleContext } from "./role.ts";

const defaultPort = 3000;

export async function run({ env, log, shutdown, release }: RoleContext): Promise<number> {
  const provisioning = envString(env, "GF_PATHS_PROVISIONING", "/etc/grafana/provisioning");
  const api = new GrafanaApi({ provisioning, version: release.version, log });
  await serveWeb(
    async (request) => await api.handle(request),
    { host: envString(env, "GF_SERVER_HTTP_ADDR", ""), port: envPort(env, "GF_SERVER_HTTP_PORT", defaultPort), log },
    shutdown.drain,
  );
  return 0;
}
