// Serin's control plane and Istio's, as plain processes beside a plain API server.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { endsWithThis } from "../../../scripts/lab/ends-with-this.ts";
import { freePort } from "../../../src/net/testing/index.ts";
import { serin } from "../../support/lab-cluster.ts";

export interface ControlPlanePorts {
  readonly http: number;
  readonly grpc: number;
  readonly secure: number;
  readonly webhooks: number;
  readonly monitoring: number;
  readonly control: number;
}

export interface RunningControlPlane {
  readonly ports: ControlPlanePorts;
  readonly child: ChildProcess;
  stop(): void;
}

export interface ControlPlaneOptions {
  readonly directory: string;
  readonly kubeconfig: string;
  /** The file with the MeshConfig, which both control planes watch. */
  readonly meshConfig: string;
  /** The port at which a stock Envoy expects the control plane. */
  readonly securePort?: number;
}

const address = "127.0.0.1";
const readyTimeoutMs = 180_000;
const lookMs = 50;

export async function startSerinPilot(options: ControlPlaneOptions): Promise<RunningControlPlane> {
  return await start(serin, ["pilot", "discovery"], options, { POD_NAME: "istiod-serin-1" });
}

/** `program` is the path of Istio's pilot-discovery. */
export async function startIstiod(program: string, options: ControlPlaneOptions): Promise<RunningControlPlane> {
  const env = {
    POD_NAME: "istiod-upstream-1",
    PILOT_ENABLE_AMBIENT: "true",
    PILOT_DEBOUNCE_AFTER: "10ms",
    // The other control plane has the same revision, so this one must write neither statuses nor Deployments.
    PILOT_ENABLE_GATEWAY_API_STATUS: "false",
    PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER: "false",
  };
  return await start(
    program,
    [
      "discovery",
      "--clusterID",
      "Kubernetes",
      "--kubeconfig",
      options.kubeconfig,
      "--log_output_level",
      "default:error",
    ],
    options,
    env,
  );
}

async function start(
  program: string,
  words: readonly string[],
  options: ControlPlaneOptions,
  env: NodeJS.ProcessEnv,
): Promise<RunningControlPlane> {
  const { directory, kubeconfig, meshConfig } = options;
  mkdirSync(directory, { recursive: true });
  const [http = 0, grpc = 0, freeSecure = 0, webhooks = 0, monitoring = 0, control = 0] = await Promise.all(
    Array.from({ length: 6 }, async () => await freePort()),
  );
  const secure = options.securePort ?? freeSecure;
  const flags = {
    httpAddr: http,
    grpcAddr: grpc,
    secureGRPCAddr: secure,
    httpsAddr: webhooks,
    monitoringAddr: monitoring,
  };
  const args = [
    ...words,
    ...Object.entries(flags).map(([name, port]) => `--${name}=${address}:${port}`),
    `--ctrlz_port=${control}`,
    `--meshConfig=${meshConfig}`,
    `--networksConfig=${networksFileOf(meshConfig)}`,
  ];
  const child = spawn(...endsWithThis(program, ...args), {
    cwd: directory,
    env: {
      ...process.env,
      KUBECONFIG: kubeconfig,
      POD_NAMESPACE: "istio-system",
      SERVICE_ACCOUNT: "istiod",
      CLUSTER_ID: "Kubernetes",
      JWT_POLICY: "third-party-jwt",
      ...env,
    },
    stdio: [
      "ignore",
      process.env["INTEROP_LOGS"] === undefined ? "ignore" : "inherit",
      process.env["INTEROP_LOGS"] === undefined ? "ignore" : "inherit",
    ],
  });
  const ended: { code?: number | null } = {};
  child.once("exit", (code) => (ended.code = code));
  const deadline = Date.now() + readyTimeoutMs;
  while ((await fetch(`http://${address}:${http}/ready`).catch(() => undefined))?.status !== 200) {
    if (ended.code !== undefined || Date.now() > deadline)
      throw new Error(
        `${program} is not ready${ended.code === undefined ? "" : `: it ended with ${ended.code}`}; INTEROP_LOGS=1 shows what it says`,
      );
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  return {
    ports: { http, grpc, secure, webhooks, monitoring, control },
    child,
    stop: () => void child.kill("SIGKILL"),
  };
}

export function writeMeshConfig(file: string, text = defaultMeshConfig, networks = "networks: {}\n"): void {
  writeFileSync(networksFileOf(file), networks);
  writeFileSync(file, text);
}

/** The file with the MeshNetworks, beside that of the MeshConfig. */
function networksFileOf(meshConfig: string): string {
  return `${meshConfig}Networks`;
}

export const defaultMeshConfig = `defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
defaultProviders:
  metrics: [prometheus]
enablePrometheusMerge: true
rootNamespace: istio-system
trustDomain: cluster.local
`;

export function meshConfigFile(directory: string): string {
  return join(directory, "mesh");
}
