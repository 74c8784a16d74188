import { getFips } from "node:crypto";
import { containErrors, createLogger, logContained, systemClock, type LogThreshold } from "../base/index.ts";
import { ControlPlane, readControlPlaneSettings, serveLogControl } from "../controlplane/index.ts";
import { createKubeClient, drainDeletedPod, loadKubeConfig } from "../kube/index.ts";
import { addContainmentMetrics, addProcessMetrics, MetricsRegistry } from "../telemetry/index.ts";
import type { RoleContext } from "./role.ts";

/**
 * `serin pilot [discovery] [flags]`: the control plane of one revision, with Istio's environment variables and flags.
 * With `--shadow`, it writes nothing.
 */
export async function run(context: RoleContext): Promise<number> {
  const { args, env, shutdown, release } = context;
  const threshold: LogThreshold = { level: context.log.level };
  const log = createLogger({ scope: "pilot", level: threshold });
  const settings = readControlPlaneSettings(args, env, release.version);
  if (settings.compliance?.startsWith("fips-") === true && getFips() === 0)
    log.warn("COMPLIANCE_POLICY limits TLS to approved algorithms, but this process has no validated FIPS module", {
      policy: settings.compliance,
    });
  const client = createKubeClient(await loadKubeConfig(env), { log, clock: systemClock, userAgent: "istiod" });
  const metrics = new MetricsRegistry();
  addProcessMetrics(metrics, process);
  addContainmentMetrics(metrics);
  containErrors(logContained(log, systemClock));
  if (settings.shadow !== undefined) {
    using orphaned = orphanedSignal();
    const drain = AbortSignal.any([shutdown.drain, orphaned.signal]);
    await new ControlPlane({ client, settings, version: release.version, metrics, clock: systemClock, log }).run({
      drain,
      force: shutdown.force,
    });
    client.close();
    return 0;
  }
  void drainDeletedPod({ client, env, shutdown, log, clock: systemClock });
  const control = await serveLogControl(controlPort(args), threshold);
  try {
    await new ControlPlane({ client, settings, version: release.version, metrics, clock: systemClock, log }).run(
      shutdown,
    );
  } finally {
    control.close();
    client.close();
  }
  return 0;
}

const parentCheckMs = 1000;

/**
 * A signal that aborts when the process that started a shadow has ended. If that process is killed, nothing else ends
 * the shadow.
 */
function orphanedSignal(): Disposable & { readonly signal: AbortSignal } {
  const orphaned = new AbortController();
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) orphaned.abort(new Error("the process that started the shadow has ended"));
  }, parentCheckMs);
  timer.unref();
  return { signal: orphaned.signal, [Symbol.dispose]: () => clearInterval(timer) };
}

const defaultControlPort = 9876;

/** The port that Istio's flag `--ctrlz_port` names. */
function controlPort(args: readonly string[]): number {
  const index = args.findIndex((argument) => argument === "--ctrlz_port" || argument.startsWith("--ctrlz_port="));
  const text = index === -1 ? "" : (args[index]?.split("=")[1] ?? args[index + 1] ?? "");
  return /^\d+$/.test(text) ? Number(text) : defaultControlPort;
}
