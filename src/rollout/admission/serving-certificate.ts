import { X509Certificate } from "node:crypto";
import { transientError, type Clock } from "../../base/index.ts";
import { secretKind, serviceKind, type Secret } from "../../api/kubernetes/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import type { WebhookCertificate } from "./webhook-certificate.ts";

export interface WebhookCertificateOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly namespace: string;
  readonly secretName: string;
  /** The Service of the certificate, which owns the Secret. */
  readonly serviceName: string;
  /** The names of the Service, `<name>.<namespace>.svc` first. */
  readonly dnsNames: readonly string[];
}

/**
 * The certificate that all engines share through a Secret. It is created again if it is missing, unreadable, for
 * another name, or past half of its lifetime. Throws a transient error if there is neither a Secret nor the Service
 * that is to own it.
 */
export async function loadOrCreateCertificate(options: WebhookCertificateOptions): Promise<WebhookCertificate> {
  const { client, clock, namespace, secretName, serviceName, dnsNames } = options;
  const found = await client.get(secretKind, secretName, namespace);
  const kept = readCertificate(found, dnsNames, clock.nowMs());
  if (kept !== undefined) return kept;
  // The library for signing is large, and the engine needs it only about twice a year, so it is loaded on demand.
  const { createCertificate } = await import("./create-certificate.ts");
  const made = await createCertificate(dnsNames, clock.nowMs());
  const data = { "tls.crt": base64(made.certificate), "tls.key": base64(made.privateKey) };
  try {
    if (found === undefined) {
      const service = await client.get(serviceKind, serviceName, namespace);
      if (service === undefined)
        throw transientError(
          "object-missing",
          `there is no Service ${namespace}/${serviceName} to make a certificate for`,
        );
      const ownerReferences = [
        { apiVersion: "v1", kind: "Service", name: serviceName, uid: service.metadata.uid ?? "" },
      ];
      await client.create(secretKind, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: secretName, namespace, ownerReferences },
        type: "kubernetes.io/tls",
        data,
      });
    } else await client.update(secretKind, { ...found, data });
    return made;
  } catch (error) {
    // Another engine was first, so its certificate is used.
    if (!isKubeCode(error, "already-exists") && !isKubeCode(error, "conflict")) throw error;
    return readCertificate(await client.get(secretKind, secretName, namespace), dnsNames, clock.nowMs()) ?? made;
  }
}

function readCertificate(
  secret: Secret | undefined,
  dnsNames: readonly string[],
  nowMs: number,
): WebhookCertificate | undefined {
  const [certificate, privateKey] = [plain(secret?.data?.["tls.crt"]), plain(secret?.data?.["tls.key"])];
  if (certificate === "" || privateKey === "") return undefined;
  try {
    const parsed = new X509Certificate(certificate);
    const names = (parsed.subjectAltName ?? "").split(", ").map((name) => name.replace(/^DNS:/, ""));
    const [notBeforeMs, notAfterMs] = [Date.parse(parsed.validFrom), Date.parse(parsed.validTo)];
    const fresh = nowMs >= notBeforeMs && nowMs < (notBeforeMs + notAfterMs) / 2;
    return fresh && dnsNames.every((name) => names.includes(name))
      ? { certificate, privateKey, notBeforeMs, notAfterMs }
      : undefined;
  } catch {
    return undefined;
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function plain(encoded: string | undefined): string {
  return Buffer.from(encoded ?? "", "base64").toString("utf8");
}
