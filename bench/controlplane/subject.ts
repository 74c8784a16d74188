// Runs a control plane as a plain process.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { freePort } from "../../src/net/testing/index.ts";
import { cache, ended, root, startProcess, type ApiServer } from "./api-server.ts";

export interface Subject extends AsyncDisposable {
  readonly pid: number;
  readonly address: string;
  readonly readyMs: number;
}

const startTimeoutMs = 120_000;
const lookMs = 10;
const namespace = "istio-system";

/** Serin's control plane from a checkout, or a real istiod. */
export type Program = { readonly checkout: string } | { readonly discovery: string };

export const ownProgram: Program = { checkout: root };

/**
 * Starts a control plane. Both Serin and istiod then wait a millisecond or two for further changes before they send.
 */
export async function startSubject(api: ApiServer, program: Program): Promise<Subject> {
  const [http, grpc, secure, webhooks, monitoring, control] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const mesh = join(cache, "mesh.yaml");
  writeFileSync(mesh, `trustDomain: cluster.local\nrootNamespace: ${namespace}\n`);
  const at = (port: number | undefined): string => `127.0.0.1:${port ?? 0}`;
  const flags = [
    "discovery",
    "--httpAddr",
    at(http),
    "--grpcAddr",
    at(grpc),
    "--secureGRPCAddr",
    at(secure),
    "--httpsAddr",
    at(webhooks),
    "--monitoringAddr",
    at(monitoring),
    "--meshConfig",
    mesh,
    "--ctrlz_port",
    String(control),
  ];
  const command =
    "checkout" in program
      ? [join(resolve(program.checkout), "bin/serin"), "pilot", ...flags]
      : [resolve(program.discovery), ...flags, "--kubeconfig", api.kubeconfig];
  const env = {
    ...process.env,
    KUBECONFIG: api.kubeconfig,
    POD_NAME: "istiod-bench",
    POD_NAMESPACE: namespace,
    CLUSTER_ID: "Kubernetes",
    PILOT_DEBOUNCE_AFTER: "1ms",
    PILOT_ENABLE_AMBIENT: "true",
    ROOT_CA_DIR: cache,
    // Use the compile cache of an earlier start, as the image does.
    NODE_COMPILE_CACHE: join(cache, "compiled"),
  };
  const isOther = "checkout" in program && resolve(program.checkout) !== root;
  const log = join(cache, `${"discovery" in program ? "istiod" : isOther ? "beside" : "serin"}.log`);
  const startedMs = performance.now();
  const child = startProcess(command, log, env);
  while ((await fetch(`http://${at(http)}/ready`).catch(() => undefined))?.status !== 200) {
    if (child.exitCode !== null || performance.now() - startedMs > startTimeoutMs) {
      child.kill("SIGKILL");
      throw new Error(
        `the control plane does not become ready: ${readFileSync(log, "utf8").split("\n").slice(-5).join("\n")}`,
      );
    }
    await new Promise((wake) => setTimeout(wake, lookMs));
  }
  return {
    pid: child.pid ?? 0,
    address: at(grpc),
    readyMs: performance.now() - startedMs,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended(child);
    },
  };
}
