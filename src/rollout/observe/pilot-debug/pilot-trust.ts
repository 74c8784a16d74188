import { X509Certificate } from "node:crypto";
import { certificateBlocks } from "../../../base/index.ts";
import { configMapKind, type WebhookConfiguration } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { PilotPod } from "./pilot-pod.ts";
import type { PilotTrust } from "./proven-socket.ts";

/**
 * The roots and names with which a server proves that it is a pilot. Its certificate must be for the name of an
 * istiod's Service in its namespace. The root of the certificate must be one with which the API server verifies the
 * injector of such a Service, or one that data planes in the pilot's namespace trust. Anybody who can write these roots
 * could take over the mesh anyway.
 */
export async function trustOf(
  client: Pick<KubeClient, "get">,
  injectors: readonly WebhookConfiguration[],
  { namespace, revision, rootConfigMap }: Pick<PilotPod, "namespace" | "revision" | "rootConfigMap">,
): Promise<PilotTrust> {
  const published = await client.get(configMapKind, rootConfigMap, namespace);
  const own = injectors
    .flatMap(({ webhooks = [] }) => webhooks.map(({ clientConfig }) => clientConfig))
    .flatMap(({ service, caBundle = "" }) =>
      service?.namespace === namespace && service.name.startsWith("istiod") ? [{ name: service.name, caBundle }] : [],
    );
  const texts = [
    ...own.map(({ caBundle }) => Buffer.from(caBundle, "base64").toString("utf8")),
    published?.data?.["root-cert.pem"] ?? "",
  ];
  const services = [...own.map(({ name }) => name), `istiod-${revision}`, "istiod"];
  return {
    roots: [...new Set(texts.flatMap(certificateBlocks))].filter(isCertificate),
    names: [...new Set(services)].map((name) => `${name}.${namespace}.svc`),
    source: `the ConfigMap ${rootConfigMap} of namespace ${namespace}, or in the caBundle of its injection webhook`,
  };
}

/** False for an unreadable certificate, which must not make the others useless. */
function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
