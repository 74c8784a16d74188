// The lab's API server, as a plain process on the loopback, with the kinds of Istio and the Gateway API. It has no
// nodes and no controllers.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClusterPki } from "../../../src/cluster/apiserver/index.ts";
import { objectsInManifest } from "../../../src/kube/index.ts";
import type { UntypedObject } from "../../../src/api/index.ts";
import { root, serin } from "../../support/lab-cluster.ts";
import { ObjectStore, type AdminAccess } from "./object-store.ts";

export interface PlainApiServer {
  readonly kubeconfig: string;
  readonly objects: ObjectStore;
  readonly child: ChildProcess;
  stop(): void;
}

const address = "127.0.0.1";
const definitions = ["istio.yaml", "gateway-api.yaml"];
const stableGroups = new Set([
  "gateway.networking.k8s.io",
  "networking.istio.io",
  "security.istio.io",
  "telemetry.istio.io",
  "extensions.istio.io",
]);

/** Starts an API server, with its files in the directory. Resolves when it serves the CRDs' kinds. */
export async function startApiServer(directory: string): Promise<PlainApiServer> {
  mkdirSync(directory, { recursive: true });
  const pki = createClusterPki(join(directory, "pki"), { nodes: [{ name: "node-a", addresses: [address] }] });
  const configuration = join(directory, "apiserver.json");
  writeFileSync(
    configuration,
    JSON.stringify({
      stateDirectory: directory,
      listen: [{ host: address, port: 0 }],
      caCertificate: pki.caCertificate,
      serverCertificate: pki.serverCertificate,
      serverKey: pki.serverKey,
      serviceAccountKey: pki.serviceAccountKey,
      nodeClientCertificate: pki.nodeClientCertificate,
      nodeClientKey: pki.nodeClientKey,
      serviceCidr: "10.96.0.0/16",
      advertise: { address },
    }),
  );
  const child = spawn(serin, ["cluster-apiserver", configuration], { stdio: ["ignore", "pipe", "inherit", "ipc"] });
  const port = Number((await readyAddress(child)).split(":").at(-1));
  const [ca, cert, key] = [pki.caCertificate, pki.admin.certificate, pki.admin.key].map((file) =>
    readFileSync(file, "utf8"),
  ) as [string, string, string];
  const access = { host: address, port, ca, cert, key };
  const kubeconfig = join(directory, "kubeconfig");
  writeFileSync(kubeconfig, kubeconfigOf(access));
  const objects = new ObjectStore(access);
  for (const file of definitions) {
    for await (const object of objectsInManifest(readFileSync(join(root, "manifests/crds", file), "utf8")))
      if (isWanted(object)) await objects.create(object);
  }
  await objects.waitForGroups([...stableGroups]);
  return {
    kubeconfig,
    objects,
    child,
    stop: () => {
      objects.close();
      child.kill("SIGTERM");
    },
  };
}

function isWanted(object: UntypedObject): boolean {
  const { group = "" } = (object as { spec?: { group?: string } }).spec ?? {};
  return object.kind === "CustomResourceDefinition" && stableGroups.has(group);
}

async function readyAddress(child: ChildProcess): Promise<string> {
  return await new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      const found = /^ready (\S+)/m.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once("exit", (code) => reject(new Error(`the API server ended with ${code}: ${text}`)));
  });
}

function kubeconfigOf({ host, port, ca, cert, key }: AdminAccess): string {
  const base64 = (pem: string): string => Buffer.from(pem).toString("base64");
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      { name: "interop", cluster: { server: `https://${host}:${port}`, "certificate-authority-data": base64(ca) } },
    ],
    users: [{ name: "admin", user: { "client-certificate-data": base64(cert), "client-key-data": base64(key) } }],
    contexts: [{ name: "interop", context: { cluster: "interop", user: "admin" } }],
    "current-context": "interop",
  });
}
