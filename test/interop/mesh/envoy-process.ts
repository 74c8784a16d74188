// A stock Envoy, as a plain process. It acts as one node, and has a certificate from the control plane.
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { endsWithThis } from "../../../scripts/lab/ends-with-this.ts";
import { createLogger } from "../../../src/base/index.ts";
import { CertificateManager, formatIdentity, IstioCertificateClient } from "../../../src/dataplane/index.ts";
import { root } from "../../support/lab-cluster.ts";
import { envoyBootstrap } from "../envoy/envoy-bootstrap.ts";
import { serveSecrets } from "../envoy/secret-service.ts";
import { freePort } from "../../../src/net/testing/index.ts";
import { fetchFresh } from "./fetch-fresh.ts";
import { nodeId, nodeMetadata, type MeshNode } from "./nodes.ts";
import type { TestMesh } from "./test-mesh.ts";

export const envoyProgram = process.env["ENVOY_BINARY"] ?? join(root, ".cache/interop/envoy");

export interface EnvoyProcess {
  readonly node: MeshNode;
  /** The node's name in the control plane's tables: `pod.namespace`. */
  readonly id: string;
  read(path: string): Promise<string>;
  ask(path: string): Promise<unknown>;
  alive(): boolean;
  stop(): void;
}

const discoveryUrl = "https://istiod.istio-system.svc:15012";
const version = "1.31.0";
const validitySeconds = 86_400;
const readyTimeoutMs = 120_000;
const lookMs = 50;

export interface EnvoyOptions {
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** A client of the mesh's CA that has a pod's credentials. */
export async function certificateAuthorityOf(mesh: TestMesh, node: MeshNode): Promise<IstioCertificateClient> {
  const directory = join(mesh.directory, `pod-${node.pod}`);
  mkdirSync(directory, { recursive: true });
  const files = { token: join(directory, "token"), root: join(directory, "root.pem") };
  writeFileSync(files.token, await mesh.objects.token(node.namespace, node.account, node.pod));
  writeFileSync(files.root, await rootOf(mesh));
  return new IstioCertificateClient({
    endpoint: {
      url: discoveryUrl,
      rootCertificateFile: files.root,
      tokenFile: files.token,
      headers: { clusterid: "Kubernetes" },
    },
    impersonate: false,
  });
}

/** Resolves when Envoy has accepted its first configuration. */
export async function startEnvoy(mesh: TestMesh, node: MeshNode, options: EnvoyOptions = {}): Promise<EnvoyProcess> {
  const directory = join(mesh.directory, `envoy-${node.role}`);
  mkdirSync(directory, { recursive: true });
  const admin = await freePort();
  const token = await mesh.objects.token(node.namespace, node.account, node.pod);
  const files = {
    token: join(directory, "token"),
    root: join(directory, "root.pem"),
    bootstrap: join(directory, "bootstrap.json"),
    secrets: join(directory, "sds"),
  };
  writeFileSync(files.token, token);
  writeFileSync(files.root, await rootOf(mesh));
  const authority = new IstioCertificateClient({
    endpoint: {
      url: discoveryUrl,
      rootCertificateFile: files.root,
      tokenFile: files.token,
      headers: { clusterid: "Kubernetes" },
    },
    impersonate: false,
  });
  const certificates = new CertificateManager({
    authority,
    log: createLogger({ scope: "interop", level: "error" }),
    validitySeconds,
  });
  const stopSecrets = await serveSecrets(files.secrets, {
    certificates,
    identity: formatIdentity({ trustDomain: "cluster.local", namespace: node.namespace, serviceAccount: node.account }),
  });
  const { role, address, pod, namespace } = node;
  if (role === "ztunnel") throw new Error("Envoy is no ztunnel");
  const metadata = { ...nodeMetadata(node, version), ...options.metadata };
  const settings = {
    role,
    instanceIp: address,
    podName: pod,
    podNamespace: namespace,
    domain: `${namespace}.svc.cluster.local`,
    workloadName: node.labels["app"] ?? "waypoint",
    metadata,
    xdsUrl: discoveryUrl,
    xdsRootFile: files.root,
    clusterId: "Kubernetes",
    ports: { admin },
  };
  writeFileSync(
    files.bootstrap,
    JSON.stringify(envoyBootstrap({ settings, secretSocket: files.secrets, token, mark: undefined })),
  );
  const shown = process.env["INTEROP_LOGS"] === undefined ? "ignore" : "inherit";
  const child = spawn(
    ...endsWithThis(
      envoyProgram,
      "-c",
      files.bootstrap,
      "--concurrency",
      "1",
      "--log-level",
      process.env["ENVOY_LOG_LEVEL"] ?? "warning",
      "--use-dynamic-base-id",
    ),
    { stdio: ["ignore", shown, shown] },
  );
  const read = async (path: string): Promise<string> =>
    await (await fetchFresh(`http://127.0.0.1:${admin}${path}`)).text();
  const envoy: EnvoyProcess = {
    node,
    id: `${pod}.${namespace}`,
    read,
    ask: async (path) => JSON.parse(await read(path)) as unknown,
    alive: () => child.exitCode === null && child.signalCode === null,
    stop: () => {
      child.kill("SIGKILL");
      stopSecrets();
      certificates.close();
    },
  };
  const deadline = Date.now() + readyTimeoutMs;
  while ((await fetch(`http://127.0.0.1:${admin}/ready`).catch(() => undefined))?.status !== 200) {
    if (!envoy.alive() || Date.now() > deadline)
      throw new Error(`Envoy as ${nodeId(node)} is not ready; INTEROP_LOGS=1 shows what it says`);
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  return envoy;
}

/** The mesh's root, as the control plane distributes it to namespaces. */
async function rootOf(mesh: TestMesh): Promise<string> {
  const deadline = Date.now() + readyTimeoutMs;
  for (;;) {
    const found = await mesh.objects.get({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "istio-ca-root-cert", namespace: "istio-system" },
    });
    const text = (found as { data?: Record<string, string> } | undefined)?.data?.["root-cert.pem"];
    if (text !== undefined) return text;
    if (Date.now() > deadline) throw new Error("the control plane has told no namespace its root");
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}
