// Two API servers on the loopback, with certificates of the same authority, and without nodes and controllers:
// Kubernetes' own with its etcd, and the lab's.
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endsWithThis } from "../../../scripts/lab/ends-with-this.ts";
import { createClusterPki, type ClusterPki } from "../../../src/cluster/apiserver/index.ts";
import { root, serin } from "../../support/lab-cluster.ts";

export interface ApiAccess {
  readonly host: string;
  readonly port: number;
  /** The certificate of the authority behind the server's certificate. All three are in PEM. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface ComparedServer {
  readonly access: ApiAccess;
  readonly kubeconfig: string;
}

export interface ComparedServers {
  readonly kubernetes: ComparedServer;
  readonly serin: ComparedServer;
  stop(): Promise<void>;
}

const host = "127.0.0.1";
const serviceCidr = "10.96.0.0/16";
const lookMs = 100;
/** A busy machine may take a minute to start Kubernetes' own server. */
const readyTimeoutMs = 240_000;

/** Throws if a program is missing. The error names the script that provides it. */
export async function startComparedServers(): Promise<ComparedServers> {
  const programs = join(root, ".cache/interop");
  for (const program of ["etcd", "kube-apiserver"])
    if (!existsSync(join(programs, program)))
      throw new Error(`there is no .cache/interop/${program}: scripts/fetch/kube-apiserver.sh builds it`);
  const directory = mkdtempSync(join(tmpdir(), "serin-compared-"));
  const pki = createClusterPki(join(directory, "pki"), { nodes: [{ name: "node-a", addresses: [host] }] });
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(ended));
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const ownPort = await startSerin(join(directory, "serin"), pki, children);
    const theirPort = await startKubernetes(join(directory, "kubernetes"), programs, pki, children);
    const server = (name: string, port: number): ComparedServer => {
      const access = accessOf(pki, port);
      const kubeconfig = join(directory, `${name}.kubeconfig`);
      writeFileSync(kubeconfig, kubeconfigOf(access));
      return { access, kubeconfig };
    };
    return { kubernetes: server("kubernetes", theirPort), serin: server("serin", ownPort), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startSerin(stateDirectory: string, pki: ClusterPki, children: ChildProcess[]): Promise<number> {
  mkdirSync(stateDirectory);
  const file = join(stateDirectory, "apiserver.json");
  const { caCertificate, serverCertificate, serverKey, serviceAccountKey, nodeClientCertificate, nodeClientKey } = pki;
  writeFileSync(
    file,
    JSON.stringify({
      stateDirectory,
      listen: [{ host, port: 0 }],
      caCertificate,
      serverCertificate,
      serverKey,
      serviceAccountKey,
      nodeClientCertificate,
      nodeClientKey,
      serviceCidr,
      advertise: { address: host },
    }),
  );
  const child = spawn(...endsWithThis(serin, "cluster-apiserver", file), {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  children.push(child);
  return await new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      const port = /^ready \S+:(\d+)/m.exec(text)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    child.once("exit", (code) => reject(new Error(`the lab's API server ended with ${code}: ${text}`)));
    child.once("error", reject);
  });
}

async function startKubernetes(
  directory: string,
  programs: string,
  pki: ClusterPki,
  children: ChildProcess[],
): Promise<number> {
  mkdirSync(join(directory, "etcd"), { recursive: true, mode: 0o700 });
  const [port, etcdPort, etcdPeerPort] = [await freePort(), await freePort(), await freePort()];
  const etcdUrl = `http://${host}:${etcdPort}`;
  const start = (program: string, flags: Readonly<Record<string, string>>): ChildProcess => {
    const child = spawn(
      ...endsWithThis(join(programs, program), ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)),
      { stdio: "ignore" },
    );
    children.push(child);
    return child;
  };
  start("etcd", {
    "data-dir": join(directory, "etcd"),
    "listen-client-urls": etcdUrl,
    "advertise-client-urls": etcdUrl,
    "listen-peer-urls": `http://${host}:${etcdPeerPort}`,
    "unsafe-no-fsync": "true",
  });
  const server = start("kube-apiserver", {
    "etcd-servers": etcdUrl,
    "bind-address": host,
    "advertise-address": "10.0.0.1",
    "secure-port": String(port),
    "client-ca-file": pki.caCertificate,
    "tls-cert-file": pki.serverCertificate,
    "tls-private-key-file": pki.serverKey,
    "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    "service-account-key-file": pki.serviceAccountKey.replace(/\.key$/, ".pub"),
    "service-account-signing-key-file": pki.serviceAccountKey,
    "service-cluster-ip-range": serviceCidr,
    "authorization-mode": "Node,RBAC",
    "allow-privileged": "true",
    "shutdown-delay-duration": "0s",
    "cert-dir": join(directory, "certificates"),
  });
  const deadline = Date.now() + readyTimeoutMs;
  while ((await statusOf(accessOf(pki, port), "/readyz")) !== 200) {
    if (server.exitCode !== null) throw new Error(`kube-apiserver ended with ${server.exitCode}`);
    if (Date.now() > deadline) throw new Error(`kube-apiserver is not ready after ${readyTimeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  return port;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

function accessOf(pki: ClusterPki, port: number): ApiAccess {
  const [ca, cert, key] = [pki.caCertificate, pki.admin.certificate, pki.admin.key].map((file) =>
    readFileSync(file, "utf8"),
  ) as [string, string, string];
  return { host, port, ca, cert, key };
}

async function statusOf(access: ApiAccess, path: string): Promise<number> {
  return await new Promise((resolve) => {
    const outgoing = request({ ...access, path, agent: false }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode ?? 0));
    });
    outgoing.on("error", () => resolve(0));
    outgoing.end();
  });
}

function kubeconfigOf({ port, ca, cert, key }: ApiAccess): string {
  const base64 = (pem: string): string => Buffer.from(pem).toString("base64");
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      { name: "compared", cluster: { server: `https://${host}:${port}`, "certificate-authority-data": base64(ca) } },
    ],
    users: [{ name: "admin", user: { "client-certificate-data": base64(cert), "client-key-data": base64(key) } }],
    contexts: [{ name: "compared", context: { cluster: "compared", user: "admin" } }],
    "current-context": "compared",
  });
}
