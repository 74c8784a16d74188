import { X509Certificate } from "node:crypto";
import { certificateBlocks, messageOf, type Clock } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { readJson } from "./cluster-facts.ts";
import { good, unseen, warning, type ClusterFinding } from "./cluster-finding.ts";

const subject = "authority";
const dayMs = 86_400_000;
/**
 * The roots' expiry is reported if at most so many days remain. Proxies get a new root within minutes, but people may
 * need days to get one from their own certificate authority.
 */
const soonDays = 30;

/**
 * Checks how long the roots of the mesh are valid. Reads them from the ConfigMap that every namespace has, because that
 * needs no right to read Secrets. Finds nothing without a mesh.
 */
export async function authorityFindings(
  client: KubeClient,
  istioNamespace: string,
  clock: Pick<Clock, "nowMs">,
): Promise<ClusterFinding[]> {
  const name = "istio-ca-root-cert";
  const path = `/api/v1/namespaces/${istioNamespace}/configmaps/${name}`;
  const read = await readJson<{ readonly data?: Readonly<Record<string, string>> }>(client, path);
  if (read.state === "forbidden") return [unseen(subject, `configmaps -n ${istioNamespace}`, read.reason)];
  if (read.state === "absent") return [];
  const object = `ConfigMap ${istioNamespace}/${name}`;
  const certificates = certificateBlocks(read.value.data?.["root-cert.pem"] ?? "");
  if (certificates.length === 0)
    return [
      warning(
        subject,
        object,
        "has no certificate in root-cert.pem: proxies trust no control plane",
        logCommand(istioNamespace),
      ),
    ];
  return certificates.map((text) => findingOf(object, text, istioNamespace, clock.nowMs()));
}

function logCommand(namespace: string): string {
  return `kubectl logs -n ${namespace} -l app=istiod --tail=50`;
}

function findingOf(object: string, text: string, namespace: string, nowMs: number): ClusterFinding {
  try {
    const { subject: name, validFromDate, validToDate } = new X509Certificate(text);
    const root = `the root "${name.replaceAll("\n", ", ")}"`;
    const days = Math.floor((validToDate.getTime() - nowMs) / dayMs);
    const until = validToDate.toISOString();
    const remedy = `bring a new root before that (docs/operate.md, "Change the mesh's root"). If the date is wrong, look at the clocks of this machine and of the nodes`;
    if (validToDate.getTime() <= nowMs)
      return warning(subject, object, `${root} expired at ${until}: proxies refuse each other`, remedy);
    if (validFromDate.getTime() > nowMs)
      return warning(
        subject,
        object,
        `${root} is not valid before ${validFromDate.toISOString()}, and this machine's clock says ${new Date(nowMs).toISOString()}`,
        "compare the clocks of this machine and of the nodes",
      );
    if (days < soonDays) return warning(subject, object, `${root} expires in ${days} days, at ${until}`, remedy);
    return good(subject, object, `${root} is valid until ${until}`);
  } catch (error) {
    return warning(subject, object, `root-cert.pem cannot be read: ${messageOf(error)}`, logCommand(namespace));
  }
}
