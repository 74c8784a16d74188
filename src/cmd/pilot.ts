import { systemClock } from "../base/index.ts";
import { ControlPlane, readControlPlaneSettings } from "../controlplane/index.ts";
import { createKubeClient, loadKubeConfig } from "../kube/index.ts";
import { addProcessMetrics, MetricsRegistry } from "../telemetry/index.ts";
import type { RoleContext } from "./role.ts";

/** `serin pilot [discovery] [flags]`: one revision's control plane, by upstream's environment and flags. */
export async function run(context: RoleContext): Promise<number> {
  const { args, env, log, shutdown, release } = context;
  const settings = readControlPlaneSettings(args, env, release.version);
  const client = createKubeClient(await loadKubeConfig(env), { log, clock: systemClock, userAgent: "istiod" });
  const metrics = new MetricsRegistry();
  addProcessMetrics(metrics, process);
  try {
    await new ControlPlane({ client, settings, version: release.version, metrics, clock: systemClock, log }).run(shutdown);
  } finally {
    client.close();
  }
  return 0;
}
