// In a lab of this release, Kubernetes' own API server and etcd replace the lab's. Everything else is Serin's. This
// file is copied over one of a release tree, and imports nothing from the tree. The programs are in <tree>/interop.
import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { request } from "node:https";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";

interface RoleContext {
  readonly args: readonly string[];
  readonly release: { readonly root: string };
}

interface Configuration {
  readonly stateDirectory: string;
  readonly listen: readonly { readonly fd: number }[];
  readonly caCertificate: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
  readonly serviceAccountKey: string;
  readonly nodeClientCertificate: string;
  readonly nodeClientKey: string;
  readonly serviceCidr: string;
  readonly advertise: { readonly address: string };
}

const etcdUrl = "http://127.0.0.1:2379";
const etcdPeerUrl = "http://127.0.0.1:2380";
/** The port of the real server. The supervisor keeps the lab's own port open while the server restarts. */
const ownPort = 16_443;
/** On a busy machine, the real server starts slowly. */
const readyTimeoutMs = 240_000;
const lookMs = 100;

export async function run({ args, release }: RoleContext): Promise<number> {
  const configuration = JSON.parse(readFileSync(args[0] ?? "", "utf8")) as Configuration;
  const programs = join(release.root, "interop");
  const data = join(configuration.stateDirectory, "etcd");
  mkdirSync(data, { recursive: true });
  // etcd warns about any other mode.
  chmodSync(data, 0o700);
  const etcd = start(join(programs, "etcd"), [
    `--data-dir=${data}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${etcdPeerUrl}`,
    "--unsafe-no-fsync",
    "--log-level=warn",
  ]);
  const server = start(join(programs, "kube-apiserver"), serverFlags(configuration));
  const gone = Promise.race([
    ended(etcd),
    ended(server),
    new Promise((resolve) => process.once("disconnect", resolve)),
    signalled(),
  ]);
  const admin = adminOf(configuration);
  const ready = await Promise.race([gone.then(() => false), isReady(admin)]);
  if (ready) {
    await bindRoles(admin);
    const relays = configuration.listen.map(({ fd }) => relay(fd, admin.host));
    process.stdout.write(`ready ${admin.host}:${admin.port}\n`);
    process.send?.({ ready: true });
    await gone;
    for (const one of relays) one.close();
  }
  for (const child of [server, etcd]) child.kill("SIGTERM");
  await Promise.all([ended(server), ended(etcd)]);
  return ready ? 0 : 1;
}

function serverFlags(configuration: Configuration): string[] {
  const { serviceAccountKey, advertise } = configuration;
  const flags: Record<string, string> = {
    "etcd-servers": etcdUrl,
    "bind-address": advertise.address,
    "advertise-address": advertise.address,
    "secure-port": String(ownPort),
    "client-ca-file": configuration.caCertificate,
    "tls-cert-file": configuration.serverCertificate,
    "tls-private-key-file": configuration.serverKey,
    "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    "service-account-key-file": serviceAccountKey.replace(/\.key$/, ".pub"),
    "service-account-signing-key-file": serviceAccountKey,
    "service-cluster-ip-range": configuration.serviceCidr,
    "kubelet-client-certificate": configuration.nodeClientCertificate,
    "kubelet-client-key": configuration.nodeClientKey,
    "kubelet-certificate-authority": configuration.caCertificate,
    "kubelet-preferred-address-types": "InternalIP",
    "authorization-mode": "Node,RBAC",
    "allow-privileged": "true",
    "shutdown-delay-duration": "0s",
  };
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}

/** Starts a program that ends when this process does, even if this process is killed. */
function start(program: string, args: readonly string[]): ChildProcess {
  return spawn("setpriv", ["--pdeathsig", "KILL", program, ...args], { stdio: ["ignore", "inherit", "inherit"] });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
}

async function signalled(): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
}

/** Relays bytes from the supervisor's socket to the real server, which authenticates the clients. */
function relay(fd: number, host: string): Server {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ host, port: ownPort, allowHalfOpen: true, noDelay: true });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  });
  return server.listen({ fd });
}

interface Admin {
  readonly host: string;
  readonly port: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

function adminOf({ advertise, caCertificate }: Configuration): Admin {
  const pki = (name: string): string => readFileSync(caCertificate.replace(/ca\.crt$/, name), "utf8");
  return { host: advertise.address, port: ownPort, ca: pki("ca.crt"), cert: pki("admin.crt"), key: pki("admin.key") };
}

async function sendRequest(admin: Admin, method: string, path: string, body?: unknown): Promise<number> {
  return await new Promise((resolve) => {
    const outgoing = request(
      { ...admin, servername: "kubernetes", method, path, headers: { "content-type": "application/json" } },
      (answer) => {
        answer.resume();
        answer.on("end", () => resolve(answer.statusCode ?? 0));
      },
    );
    outgoing.on("error", () => resolve(0));
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function isReady(admin: Admin): Promise<boolean> {
  const deadline = Date.now() + readyTimeoutMs;
  while (Date.now() < deadline) {
    if ((await sendRequest(admin, "GET", "/readyz")) === 200) return true;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  process.stderr.write(`kube-apiserver is not ready after ${readyTimeoutMs / 1000} s\n`);
  return false;
}

/**
 * Further rights for the lab's parts. In Kubernetes, each controller has an account, but all controllers of the lab
 * share two users. Kubernetes lets a node read only what its pods refer to, but the lab's nodes read everything, and do
 * the work of kube-proxy.
 */
const bindings: Readonly<Record<string, readonly { readonly kind: "User" | "Group"; readonly name: string }[]>> = {
  "cluster-admin": [
    { kind: "User", name: "system:kube-controller-manager" },
    { kind: "User", name: "system:kube-scheduler" },
  ],
  "system:node": [{ kind: "Group", name: "system:nodes" }],
  "system:node-proxier": [{ kind: "Group", name: "system:nodes" }],
  "serin-lab:node": [{ kind: "Group", name: "system:nodes" }],
};

/** The rights that the lab's nodes need for networks and volumes. No role of Kubernetes has them. */
const nodeRules = [
  { apiGroups: [""], resources: ["persistentvolumes", "persistentvolumeclaims"], verbs: ["get", "list", "watch"] },
  { apiGroups: [""], resources: ["persistentvolumes"], verbs: ["delete"] },
  { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["list", "watch"] },
];

async function bindRoles(admin: Admin): Promise<void> {
  const apiGroup = "rbac.authorization.k8s.io";
  const created = await sendRequest(admin, "POST", `/apis/${apiGroup}/v1/clusterroles`, {
    apiVersion: `${apiGroup}/v1`,
    kind: "ClusterRole",
    metadata: { name: "serin-lab:node" },
    rules: nodeRules,
  });
  if (created !== 201 && created !== 409) throw new Error(`the role serin-lab:node cannot be created: HTTP ${created}`);
  for (const [role, subjects] of Object.entries(bindings)) {
    const status = await sendRequest(admin, "POST", `/apis/${apiGroup}/v1/clusterrolebindings`, {
      apiVersion: `${apiGroup}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name: `serin-lab:${role}` },
      roleRef: { apiGroup, kind: "ClusterRole", name: role },
      subjects: subjects.map((subject) => ({ apiGroup, ...subject })),
    });
    if (status !== 201 && status !== 409) throw new Error(`the role ${role} cannot be bound: HTTP ${status}`);
  }
}
