import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock, type Clock } from "../../base/index.ts";
import {
  createAuthority,
  issueCertificate,
  newKey,
  type CertificateRequest,
  type KeyAndCertificate,
} from "./certificate.ts";

export interface ClusterPkiOptions {
  /**
   * Further names and addresses for the certificate of the API server. The certificate always contains the usual ones,
   * such as `kubernetes.default.svc`, `localhost` and `10.96.0.1`.
   */
  readonly serverNames?: readonly string[];
  readonly nodes?: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  readonly clock?: Clock;
}

/**
 * The paths of a cluster's key and certificate files. All files are in PEM. Certificates end in `.crt`. Keys end in
 * `.key` and have mode 0600.
 */
export interface ClusterPki {
  readonly directory: string;
  readonly caCertificate: string;
  readonly caKey: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
  /** The key that signs tokens of service accounts. */
  readonly serviceAccountKey: string;
  /** The API server's client certificate for requests to nodes. */
  readonly nodeClientCertificate: string;
  readonly nodeClientKey: string;
  /**
   * The client certificate and key of `kubernetes-admin`, who is in the group `system:masters`. `controllerManager` and
   * `scheduler` are those of `system:kube-controller-manager` and `system:kube-scheduler`.
   */
  readonly admin: PemFiles;
  readonly controllerManager: PemFiles;
  readonly scheduler: PemFiles;
  /**
   * The certificate and key of each node, by the node's name. The certificate names the user `system:node:<name>` and
   * the group `system:nodes`. It is also the server certificate on port 10250.
   */
  readonly nodes: Readonly<Record<string, PemFiles>>;
}

export interface PemFiles {
  readonly certificate: string;
  readonly key: string;
}

const dayMs = 86_400_000;
const validityMs = 3650 * dayMs;
const alwaysServed = [
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
  "localhost",
  "127.0.0.1",
  "::1",
  "10.96.0.1",
];

/** Creates the keys and certificates of a cluster that the directory lacks. */
export function createClusterPki(directory: string, options: ClusterPkiOptions = {}): ClusterPki {
  mkdirSync(join(directory, "nodes"), { recursive: true });
  const nowMs = (options.clock ?? systemClock).nowMs();
  const validity = { notBeforeMs: nowMs - dayMs, notAfterMs: nowMs + validityMs };
  const filesOf = (name: string): PemFiles => ({
    certificate: join(directory, `${name}.crt`),
    key: join(directory, `${name}.key`),
  });
  const ensure = (files: PemFiles, make: () => KeyAndCertificate): KeyAndCertificate => {
    if (existsSync(files.certificate))
      return { keyPem: readFileSync(files.key, "utf8"), certificatePem: readFileSync(files.certificate, "utf8") };
    const made = make();
    writePrivate(files.key, made.keyPem);
    writeFileSync(files.certificate, made.certificatePem);
    return made;
  };
  const ca = filesOf("ca");
  const authority = ensure(ca, () => createAuthority("kubernetes", validity.notBeforeMs, validity.notAfterMs));
  const issue = (name: string, request: Omit<CertificateRequest, "notBeforeMs" | "notAfterMs">): PemFiles => {
    const files = filesOf(name);
    ensure(files, () => issueCertificate(authority, { ...request, ...validity }));
    return files;
  };
  const names = [...new Set([...alwaysServed, ...(options.serverNames ?? [])])];
  const server = issue("apiserver", { commonName: "kube-apiserver", subjectAltNames: names, usages: ["server"] });
  // Nodes recognize this client by its name. The certificate has no group. Otherwise, a user who makes the API server
  // proxy a request to the API server itself would get the rights of that group.
  const nodeClient = issue("apiserver-kubelet-client", {
    commonName: "kube-apiserver-kubelet-client",
    usages: ["client"],
  });
  const serviceAccountKey = join(directory, "sa.key");
  if (!existsSync(serviceAccountKey)) {
    const { privateKey, publicKey } = newKey();
    writePrivate(serviceAccountKey, privateKey.export({ type: "pkcs8", format: "pem" }).toString());
    writeFileSync(join(directory, "sa.pub"), publicKey.export({ type: "spki", format: "pem" }));
  }
  const nodes: Record<string, PemFiles> = {};
  for (const { name, addresses } of options.nodes ?? []) {
    nodes[name] = issue(`nodes/${name}`, {
      commonName: `system:node:${name}`,
      organizations: ["system:nodes"],
      subjectAltNames: [name, ...addresses],
      usages: ["server", "client"],
    });
  }
  return {
    directory,
    caCertificate: ca.certificate,
    caKey: ca.key,
    serverCertificate: server.certificate,
    serverKey: server.key,
    serviceAccountKey,
    nodeClientCertificate: nodeClient.certificate,
    nodeClientKey: nodeClient.key,
    admin: issue("admin", { commonName: "kubernetes-admin", organizations: ["system:masters"], usages: ["client"] }),
    controllerManager: issue("controller-manager", {
      commonName: "system:kube-controller-manager",
      usages: ["client"],
    }),
    scheduler: issue("scheduler", { commonName: "system:kube-scheduler", usages: ["client"] }),
    nodes,
  };
}

function writePrivate(file: string, content: string): void {
  writeFileSync(file, content, { mode: 0o600 });
  chmodSync(file, 0o600);
}
