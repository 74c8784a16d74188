// Writes certificates and kubeconfigs where kubeadm puts them.
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  createAuthority,
  issueCertificate,
  type CertificateRequest,
  type KeyAndCertificate,
} from "../../src/cluster/apiserver/certificate.ts";
import {
  apiServer,
  clientAddress,
  kubernetesServiceAddress,
  nodeAddress,
  nodeName,
  nodeNumbers,
  type ClusterFiles,
} from "./cluster-layout.ts";

const dayMs = 86_400_000;
const serverNames = [
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
  "localhost",
  "127.0.0.1",
  kubernetesServiceAddress,
  nodeAddress(1),
];

/** Writes `<name>.crt` and `<name>.key`, and for clients of the API server also `<name>.conf`. */
export function writeCertificates({ pki, kubeconfigs }: ClusterFiles): void {
  for (const directory of [pki, kubeconfigs]) mkdirSync(directory, { recursive: true });
  const validity = { notBeforeMs: Date.now() - dayMs, notAfterMs: Date.now() + dayMs };
  const write = (name: string, { keyPem, certificatePem }: KeyAndCertificate): void => {
    writeFileSync(join(pki, `${name}.key`), keyPem, { mode: 0o600 });
    writeFileSync(join(pki, `${name}.crt`), certificatePem);
  };
  const authority = (name: string): KeyAndCertificate => {
    const made = createAuthority(name, validity.notBeforeMs, validity.notAfterMs);
    write(name, made);
    return made;
  };
  const cluster = authority("ca");
  const frontProxy = authority("front-proxy-ca");
  const issue = (
    name: string,
    request: Omit<CertificateRequest, "notBeforeMs" | "notAfterMs">,
    by: KeyAndCertificate = cluster,
  ): void => write(name, issueCertificate(by, { ...request, ...validity }));
  const client = (name: string, commonName: string, ...organizations: readonly string[]): void => {
    issue(name, { commonName, organizations, usages: ["client"] });
    writeKubeconfig(join(kubeconfigs, `${name}.conf`), pki, name);
  };
  issue("apiserver", { commonName: "kube-apiserver", subjectAltNames: serverNames, usages: ["server"] });
  issue("kubelet-client", {
    commonName: "kube-apiserver-kubelet-client",
    organizations: ["system:masters"],
    usages: ["client"],
  });
  issue("foreign-webhook", {
    commonName: "foreign-webhook",
    subjectAltNames: [clientAddress],
    usages: ["server"],
  });
  issue("front-proxy-client", { commonName: "front-proxy-client", usages: ["client"] }, frontProxy);
  client("admin", "kubernetes-admin", "system:masters");
  client("viewer", "viewer");
  client("controller-manager", "system:kube-controller-manager");
  client("scheduler", "system:kube-scheduler");
  client("kube-proxy", "system:kube-proxy");
  for (const node of nodeNumbers) {
    const name = nodeName(node);
    issue(name, {
      commonName: `system:node:${name}`,
      organizations: ["system:nodes"],
      subjectAltNames: [name, nodeAddress(node)],
      usages: ["server", "client"],
    });
    writeKubeconfig(join(kubeconfigs, `${name}.conf`), pki, name);
  }
  writeServiceAccountKey(pki);
}

function writeServiceAccountKey(pki: string): void {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  writeFileSync(join(pki, "service-accounts.key"), privateKey.export({ type: "pkcs8", format: "pem" }), {
    mode: 0o600,
  });
  writeFileSync(join(pki, "service-accounts.pub"), publicKey.export({ type: "spki", format: "pem" }));
}

function writeKubeconfig(path: string, pki: string, user: string): void {
  const file = (name: string): string => join(pki, name);
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "real",
    clusters: [{ name: "real", cluster: { server: apiServer, "certificate-authority": file("ca.crt") } }],
    users: [{ name: user, user: { "client-certificate": file(`${user}.crt`), "client-key": file(`${user}.key`) } }],
    contexts: [{ name: "real", context: { cluster: "real", user } }],
  };
  writeFileSync(path, JSON.stringify(config));
}
