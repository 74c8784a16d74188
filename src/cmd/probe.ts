// One end of the probe matrix: `serin probe server` answers requests, and `serin probe client` sends them and reports
// on its standard output.
import { envInteger, envRequired, envString, systemClock, userError } from "../base/index.ts";
import { parseProbeTargets, runProbeClient, runProbeServer } from "../rollout/probe/index.ts";
import type { RoleContext } from "./role.ts";

const defaultPorts = "9191,9192";
const defaultPacePort = "9193";
const defaultIntervalMs = 100;
const highestPort = 65_535;

export async function run({ args, env, shutdown }: RoleContext): Promise<number> {
  const [mode] = args;
  const name = envString(env, "PROBE_NAME", "probe");
  if (mode === "server") {
    await runProbeServer({ name, ports: parsePorts(envString(env, "PROBE_PORTS", defaultPorts)) }, shutdown.drain);
    return 0;
  }
  if (mode !== "client")
    throw userError("argument-invalid", `"${mode ?? ""}" is not a mode of the probe`, {
      hint: "serin probe server, or serin probe client",
    });
  const targets = parseProbeTargets(envRequired(env, "PROBE_TARGETS", "a JSON array of what to probe"));
  const intervalMs = Math.max(1, envInteger(env, "PROBE_INTERVAL_MS", defaultIntervalMs));
  const pacePort = parsePort("PROBE_PACE_PORT", envString(env, "PROBE_PACE_PORT", defaultPacePort), defaultPacePort);
  const report = (line: string): void => void process.stdout.write(`${line}\n`);
  await runProbeClient({ name, targets, intervalMs, pacePort, clock: systemClock, report }, shutdown.drain);
  return 0;
}

function parsePorts(text: string): number[] {
  return text.split(",").map((part) => parsePort("PROBE_PORTS", part, defaultPorts));
}

function parsePort(variable: string, text: string, example: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > highestPort)
    throw userError("env-invalid", `${variable}: "${text}" is not a port`, { hint: `${variable}=${example}` });
  return port;
}
