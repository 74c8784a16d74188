// Runs a real kube-apiserver and its etcd on the loopback address, with a mesh that is written once and kept.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";
import { freePort } from "../../src/net/testing/index.ts";
import { endsWithThis } from "../../scripts/lab/ends-with-this.ts";

export interface MeshData {
  readonly services: number;
  readonly pods: number;
  readonly ambient: boolean;
}

export interface ApiServer extends AsyncDisposable {
  readonly url: string;
  readonly token: string;
  readonly kubeconfig: string;
}

export const root = join(import.meta.dirname, "../..");
const programs = join(root, ".cache/interop");
export const cache = join(root, ".cache/bench");
export const xdsload = join(cache, "xdsload");
const token = "bench";
const readyTimeoutMs = 120_000;
const setupTimeoutMs = 900_000;
const lookMs = 200;
/** Every service whose number is a multiple of this has a VirtualService and a DestinationRule. */
const routedEvery = 10;

/** Builds the load client. This needs Go. */
export async function buildLoadClient(): Promise<void> {
  mkdirSync(cache, { recursive: true });
  await promisify(execFile)("go", ["build", "-o", xdsload, "."], {
    cwd: join(root, "bench/xdsload"),
    env: { ...process.env, CGO_ENABLED: "0" },
  });
}

/**
 * Starts the API server and etcd with the data of an earlier run. The first run creates the data, which takes about a
 * minute.
 */
export async function startApiServer(data: MeshData): Promise<ApiServer> {
  for (const program of ["etcd", "kube-apiserver"])
    if (!existsSync(join(programs, program)))
      throw new Error(`there is no .cache/interop/${program}: scripts/fetch/kube-apiserver.sh builds it`);
  const directory = join(cache, `${data.services}x${data.pods}${data.ambient ? "-ambient" : ""}`);
  mkdirSync(join(directory, "etcd"), { recursive: true, mode: 0o700 });
  const [port, client, peer] = [await freePort(), await freePort(), await freePort()];
  const etcd = start(directory, "etcd", etcdFlags(directory, client, peer));
  const server = start(directory, "kube-apiserver", serverFlags(directory, port, client));
  const url = `https://127.0.0.1:${port}`;
  const kubeconfig = join(directory, "kubeconfig");
  writeFileSync(kubeconfig, kubeconfigOf(url));
  // Kill the API server. Otherwise, it would wait for its clients and etcd, and it has nothing to save.
  const stop = async (): Promise<void> => {
    server.kill("SIGKILL");
    await ended(server);
    etcd.kill("SIGTERM");
    await ended(etcd);
  };
  try {
    await ready(url, server);
    await fill(url, directory, data);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, token, kubeconfig, [Symbol.asyncDispose]: stop };
}

function etcdFlags(directory: string, client: number, peer: number): string[] {
  const clients = `http://127.0.0.1:${client}`;
  return [
    `--data-dir=${join(directory, "etcd")}`,
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${clients}`,
    `--listen-peer-urls=http://127.0.0.1:${peer}`,
    "--unsafe-no-fsync",
    "--log-level=warn",
  ];
}

function serverFlags(directory: string, port: number, etcd: number): string[] {
  const [key, publicKey, tokens] = ["sa.key", "sa.pub", "tokens.csv"].map((name) => join(directory, name));
  if (!existsSync(key ?? "")) {
    const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
    writeFileSync(key ?? "", pair.privateKey.export({ type: "pkcs1", format: "pem" }), { mode: 0o600 });
    writeFileSync(publicKey ?? "", pair.publicKey.export({ type: "spki", format: "pem" }));
    writeFileSync(tokens ?? "", `${token},admin,admin,"system:masters"\n`);
  }
  return Object.entries({
    "etcd-servers": `http://127.0.0.1:${etcd}`,
    "bind-address": "127.0.0.1",
    "secure-port": String(port),
    "cert-dir": join(directory, "certificates"),
    "token-auth-file": tokens,
    "service-account-issuer": "https://kubernetes.default.svc",
    "service-account-key-file": publicKey,
    "service-account-signing-key-file": key,
    "service-cluster-ip-range": "10.64.0.0/12",
    "authorization-mode": "AlwaysAllow",
    "disable-admission-plugins": "ServiceAccount",
    "endpoint-reconciler-type": "none",
    "allow-privileged": "true",
  }).map(([name, value]) => `--${name}=${value ?? ""}`);
}

/** Starts a process that ends when this one ends, whatever the reason is. */
export function startProcess(
  command: readonly string[],
  log: string,
  env: NodeJS.ProcessEnv = process.env,
): ChildProcess {
  const output = openSync(log, "w");
  return spawn(...endsWithThis(...command), { stdio: ["ignore", output, output], env });
}

function start(directory: string, program: string, flags: readonly string[]): ChildProcess {
  return startProcess([join(programs, program), ...flags], join(directory, `${program}.log`));
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => child.once("exit", () => resolve()));
}

async function sendRequest(url: string, method: string, path: string, body?: string): Promise<number> {
  const args = [
    "-sk",
    "-o",
    "/dev/null",
    "-w",
    "%{http_code}",
    "-X",
    method,
    "-H",
    `Authorization: Bearer ${token}`,
    "-H",
    "Content-Type: application/apply-patch+yaml",
    ...(body === undefined ? [] : ["--data-binary", "@-"]),
    `${url}${path}`,
  ];
  const request = promisify(execFile)("curl", args);
  request.child.stdin?.end(body ?? "");
  return Number((await request.catch(() => ({ stdout: "0" }))).stdout);
}

async function ready(url: string, server: ChildProcess): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs;
  while ((await sendRequest(url, "GET", "/readyz")) !== 200) {
    if (server.exitCode !== null) throw new Error("kube-apiserver has ended: see its log in .cache/bench");
    if (performance.now() > deadline) throw new Error(`kube-apiserver is not ready after ${readyTimeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

async function fill(url: string, directory: string, data: MeshData): Promise<void> {
  const mark = join(directory, "filled");
  if (existsSync(mark)) return;
  process.stderr.write(`writing ${data.services} services of ${data.pods} pods once; they are kept in ${directory}\n`);
  for (const file of ["istio.yaml", "gateway-api.yaml"]) {
    for (const document of parseAllDocuments(readFileSync(join(root, "manifests/crds", file), "utf8"))) {
      const object = document.toJS() as {
        readonly kind?: string;
        readonly metadata?: { readonly name: string };
      } | null;
      if (object?.kind !== "CustomResourceDefinition") continue;
      const status = await sendRequest(
        url,
        "PATCH",
        `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${object.metadata?.name ?? ""}?fieldManager=bench&force=true`,
        JSON.stringify(object),
      );
      if (status !== 200 && status !== 201)
        throw new Error(`${object.metadata?.name ?? ""} is not taken: HTTP ${status}`);
    }
  }
  const args = [
    "setup",
    "-kube",
    url,
    "-ktoken",
    token,
    "-n",
    String(data.services),
    "-m",
    String(data.pods),
    ...(data.ambient ? ["-ambient"] : ["-vs", String(routedEvery)]),
  ];
  await promisify(execFile)(xdsload, args, { timeout: setupTimeoutMs });
  writeFileSync(mark, "");
}

function kubeconfigOf(url: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "bench", cluster: { server: url, "insecure-skip-tls-verify": true } }],
    users: [{ name: "bench", user: { token } }],
    contexts: [{ name: "bench", context: { cluster: "bench", user: "bench" } }],
    "current-context": "bench",
  });
}
