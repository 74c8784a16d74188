import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import type { PodTemplate } from "../../api/kubernetes/index.ts";
import { transientError, userError, type Clock, type Environment, type Logger } from "../../base/index.ts";
import { serveReadOnlyRelay, type KubeConfig, type OverlaidObject, type ShownVersion } from "../../kube/index.ts";
import { endChildAndWait, isOver, startChild } from "../release/child.ts";
import type { Release } from "../release/release.ts";
import type { ReleaseRunner } from "../release/release-runner.ts";

export interface ShadowPilotOptions {
  readonly release: Release;
  readonly runner: ReleaseRunner;
  readonly kubeConfig: KubeConfig;
  /** YAML. */
  readonly meshConfig: string;
  /** The plain variables of the installed control plane's Deployment. */
  readonly env: Environment;
  /**
   * The revision whose objects it reads. Both control planes of a comparison read those of one revision, so that only
   * their releases differ.
   */
  readonly revision: string;
  readonly namespace: string;
  readonly hidden?: readonly string[];
  readonly overlaid?: readonly OverlaidObject[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** A control plane that runs beside the mesh. It reads the live objects and writes nothing. */
export interface ShadowPilot {
  /** The address for proxies, without TLS. */
  readonly target: string;
  readonly refusedWrites: readonly string[];
  readonly hasEnded: boolean;
  /**
   * Replaces the overlaid objects. Resolves when a proxy would get all resources that follow from them. Only Serin's
   * control plane supports this.
   */
  overlay(objects: readonly OverlaidObject[]): Promise<void>;
  stop(): Promise<void>;
}

const maxHeapMegabytes = 1024;
const readyLimitMs = 180_000;
const readyPollMs = 50;
const processedLimitMs = 5000;
const processedPollMs = 10;
const keptErrorBytes = 16 << 10;

/** Variables with the identity and addresses of an installed control plane. A shadow has its own. */
const identityVariables: ReadonlySet<string> = new Set([
  "KUBECONFIG",
  "REVISION",
  "POD_NAME",
  "POD_NAMESPACE",
  "SERVICE_ACCOUNT",
]);

/** The environment for a shadow: the plain variables of the installed control plane, without its identity. */
export function shadowEnvironment(template: PodTemplate | undefined): Environment {
  const variables = template?.spec?.containers.find(({ name }) => name === "discovery")?.env ?? [];
  return Object.fromEntries(
    variables.flatMap(({ name, value }) => (value === undefined || identityVariables.has(name) ? [] : [[name, value]])),
  );
}

/** Starts a shadow. Its kubeconfig points to a relay that passes on reads and refuses all else. */
export async function startShadowPilot(options: ShadowPilotOptions): Promise<ShadowPilot> {
  const { release, runner, kubeConfig, clock, log, hidden = [], overlaid = [] } = options;
  if (release.pilot === undefined)
    throw userError("release-missing", `${release.directory} has no control plane`, {
      hint: "put Istio's pilot-discovery program into the directory as bin/pilot-discovery",
    });
  const relay = await serveReadOnlyRelay(kubeConfig, { clock, log, hidden, overlaid });
  try {
    const kubeconfig = await runner.file("kubeconfig", relay.kubeconfig);
    const mesh = await runner.file("mesh.yaml", options.meshConfig);
    const ports = await freePorts(6);
    const child = startChild(release.pilot, argumentsOf(release, mesh, kubeconfig, ports), {
      env: runner.environment(environmentOf(options, kubeconfig)),
      maxHeapMegabytes,
      signal: runner.signal,
    });
    const errors = keepErrors(child);
    const [http = 0, discovery = 0] = ports;
    try {
      await waitReady({ child, port: http, release, errors }, clock, runner.signal);
    } catch (error) {
      // Otherwise the process could outlive this one, which may end now.
      await endChildAndWait(child);
      throw error;
    }
    return {
      target: `127.0.0.1:${discovery}`,
      refusedWrites: relay.refused,
      get hasEnded() {
        return isOver(child);
      },
      overlay: async (objects) => {
        for (const shown of await relay.overlay(objects)) await waitProcessed(http, shown, clock, runner.signal);
      },
      stop: async () => {
        await endChildAndWait(child);
        relay.close();
      },
    };
  } catch (error) {
    relay.close();
    throw error;
  }
}

/**
 * Waits until the control plane has processed the overlaid object, as "acknowledged" in docs/contracts/pilot.md defines
 * it.
 */
async function waitProcessed(
  port: number,
  { group, kind, namespace, name, resourceVersion }: ShownVersion,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const query = new URLSearchParams({ group, kind, namespace, name, resourceVersion }).toString();
  const began = clock.steadyMs();
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/debug/serin/acknowledged?${query}`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(processedLimitMs)]),
    });
    if (answer.status !== 200)
      throw transientError(
        "shadow-failed",
        `the control plane does not report whether it has read ${kind} ${namespace}/${name}: status ${answer.status}`,
      );
    if (((await answer.json()) as { readonly processed?: boolean }).processed === true) return;
    if (clock.steadyMs() - began > processedLimitMs)
      throw transientError(
        "shadow-failed",
        `the control plane has not read ${kind} ${namespace}/${name} within ${processedLimitMs / 1000} s`,
      );
    await clock.sleep(processedPollMs, signal);
  }
}

function argumentsOf({ kind }: Release, mesh: string, kubeconfig: string, ports: readonly number[]): string[] {
  const [http, discovery, secure, webhooks, monitoring, control] = ports.map((port) => `127.0.0.1:${port}`);
  const common = [
    "--httpAddr",
    http,
    "--grpcAddr",
    discovery,
    "--secureGRPCAddr",
    secure,
    "--httpsAddr",
    webhooks,
    "--monitoringAddr",
    monitoring,
    "--meshConfig",
    mesh,
    "--domain",
    "cluster.local",
  ];
  const own =
    kind === "istio"
      ? ["--kubeconfig", kubeconfig, "--ctrlz_address", "127.0.0.1", "--ctrlz_port", "0"]
      : ["--ctrlz_port", control?.split(":")[1]];
  return [...common, ...own].filter((word) => word !== undefined);
}

/** Settings that keep Istio's control plane from writing. The relay refuses what it writes nevertheless. */
const readOnlyIstio: Environment = {
  ENABLE_CA_SERVER: "false",
  PILOT_CERT_PROVIDER: "none",
  PILOT_ENABLE_STATUS: "false",
  PILOT_ENABLE_GATEWAY_API_STATUS: "false",
  PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER: "false",
  PILOT_ENABLE_ANALYSIS: "false",
  PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS: "false",
  INJECTION_WEBHOOK_CONFIG_NAME: "",
  VALIDATION_WEBHOOK_CONFIG_NAME: "",
  PILOT_ENABLE_XDS_IDENTITY_CHECK: "false",
};

function environmentOf({ release, env, revision, namespace }: ShadowPilotOptions, kubeconfig: string): Environment {
  return {
    ...env,
    ...(release.kind === "istio" ? readOnlyIstio : {}),
    KUBECONFIG: kubeconfig,
    REVISION: revision,
    POD_NAME: "serin-plan",
    POD_NAMESPACE: namespace,
    SHADOW: "true",
  };
}

function keepErrors(child: ChildProcess): () => string {
  let kept = "";
  child.stdout?.resume();
  child.stderr?.on("data", (chunk: Buffer) => {
    kept = `${kept}${chunk.toString("utf8")}`.slice(-keptErrorBytes);
  });
  return () => kept;
}

interface StartingPilot {
  readonly child: ChildProcess;
  readonly port: number;
  readonly release: Release;
  /** The end of what the process wrote to standard error. */
  readonly errors: () => string;
}

async function waitReady(
  { child, port, release, errors }: StartingPilot,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const ended = new AbortController();
  child.once("close", () => ended.abort());
  const began = clock.steadyMs();
  for (;;) {
    signal.throwIfAborted();
    if (ended.signal.aborted || child.pid === undefined)
      throw transientError(
        "shadow-failed",
        `the control plane of ${release.version} ended before it was ready${lastLine(errors())}`,
        { hint: `it was started from ${release.directory}` },
      );
    const answer = await fetch(`http://127.0.0.1:${port}/ready`, { signal: AbortSignal.timeout(1000) }).catch(
      () => undefined,
    );
    if (answer?.ok === true) return;
    if (clock.steadyMs() - began > readyLimitMs)
      throw transientError(
        "shadow-failed",
        `the control plane of ${release.version} was not ready within ${readyLimitMs / 1000} s${lastLine(errors())}`,
      );
    await clock.sleep(readyPollMs, signal);
  }
}

function lastLine(errors: string): string {
  const lines = errors.trim().split("\n");
  const line = lines.findLast((text) => /error|fail|cannot/i.test(text)) ?? lines.at(-1) ?? "";
  return line === "" ? "" : `: ${line.replaceAll("\t", " ")}`;
}

/** Finds free ports. Holds all of them until the last is found, so that none is found twice. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map(async (server) => await new Promise((resolve) => server.close(resolve))));
  return ports;
}
