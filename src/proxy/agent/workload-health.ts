import { execFile } from "node:child_process";
import { messageOf, userError, type Clock } from "../../base/index.ts";
import { probeApplication, type AppProbe } from "./app-prober.ts";

/** How the application of a machine outside of the cluster is probed: `readinessProbe` of the proxy's configuration. */
export interface WorkloadProbe extends AppProbe {
  readonly exec?: { readonly command: readonly string[] };
  readonly initialDelaySeconds?: number;
  readonly periodSeconds?: number;
  readonly successThreshold?: number;
  readonly failureThreshold?: number;
}

export interface WorkloadHealthOptions {
  readonly probe: WorkloadProbe;
  /** The application's address, if the probe names none. */
  readonly address: string;
  readonly clock: Clock;
  /** Called for the first result and for each change. `fault` describes a failure, and is undefined after a success. */
  readonly report: (fault: string | undefined) => void;
}

const defaults = {
  initialDelaySeconds: 0,
  periodSeconds: 10,
  successThreshold: 1,
  failureThreshold: 3,
  timeoutSeconds: 1,
};
const methods = ["httpGet", "tcpSocket", "exec", "grpc"] as const;

/** Reads the probe. Returns undefined if none is configured. Throws a user error for an invalid probe. */
export function readWorkloadProbe(value: unknown): WorkloadProbe | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value))
    throw userError("env-invalid", "PROXY_CONFIG: readinessProbe must be an object");
  const probe = value as WorkloadProbe;
  if (methods.filter((method) => probe[method] !== undefined).length !== 1)
    throw userError("env-invalid", `PROXY_CONFIG: readinessProbe must have exactly one of ${methods.join(", ")}`);
  return probe;
}

/**
 * Probes until the signal aborts. The reported result changes only after as many equal probe results in a row as the
 * thresholds require.
 */
export async function watchWorkloadHealth(
  { probe, address, clock, report }: WorkloadHealthOptions,
  signal: AbortSignal,
): Promise<void> {
  const { initialDelaySeconds, periodSeconds, successThreshold, failureThreshold } = { ...defaults, ...probe };
  const pause = async (seconds: number): Promise<void> =>
    await clock.sleep(seconds * 1000, signal).catch(() => undefined);
  let known: boolean | undefined;
  let [good, bad] = [0, 0];
  await pause(initialDelaySeconds);
  while (!signal.aborted) {
    const fault = await faultOf(probe, address);
    [good, bad] = fault === undefined ? [good + 1, 0] : [0, bad + 1];
    if (fault === undefined && known !== true && good >= successThreshold) {
      known = true;
      report(undefined);
    } else if (fault !== undefined && known !== false && bad >= failureThreshold) {
      known = false;
      report(fault);
    }
    await pause(periodSeconds);
  }
}

async function faultOf(probe: WorkloadProbe, address: string): Promise<string | undefined> {
  try {
    if (probe.exec !== undefined)
      return await run(probe.exec.command, (probe.timeoutSeconds ?? defaults.timeoutSeconds) * 1000);
    const status = await probeApplication(probe, address, "istio-probe/1.0");
    return status >= 200 && status < 400 ? undefined : `the application answered with status ${status}`;
  } catch (error) {
    return messageOf(error);
  }
}

async function run([program = "", ...words]: readonly string[], timeoutMs: number): Promise<string | undefined> {
  return await new Promise((resolve) => {
    execFile(program, words, { timeout: timeoutMs }, (error) => resolve(error === null ? undefined : messageOf(error)));
  });
}
