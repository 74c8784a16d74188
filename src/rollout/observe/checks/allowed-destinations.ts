import { isIP } from "node:net";
import { transientError, userError } from "../../../base/index.ts";
import { endpointSliceKind, serviceKind, type Service } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";

/**
 * Throws a user error with the remedy if rollouts of the namespace must not call the URL. The namespace of a
 * MeshUpgrade is undefined. Returns the addresses of a Service, or undefined for other hosts. The caller must use these
 * addresses instead of DNS. DNS may still return those of an earlier Service with the same name, and a Service of type
 * ExternalName could have pointed anywhere.
 */
export type CheckDestination = (url: string, namespace: string | undefined) => Promise<readonly string[] | undefined>;

const maxAddresses = 16;
const clusterName = /^([a-z0-9][-a-z0-9]*)\.([a-z0-9][-a-z0-9]*)$/;
const clusterSuffix = /\.svc(?:\.cluster\.local)?$/;

/**
 * Restricts the destinations of webhooks, notifications and queries to Services of the rollout's own namespace and to
 * `allowedHosts`. Otherwise anybody who may write a Canary could reach everything that the engine can reach.
 * `*.example.com` allows every name below it. Mesh upgrades may call any host, because the mesh's operator writes them.
 */
export function checkDestination(client: KubeClient, allowedHosts: readonly string[]): CheckDestination {
  const allowed = allowedHosts.map(plainHost);
  return async (url, namespace) => {
    if (namespace === undefined) return undefined;
    const { hostname } = new URL(url);
    const host = plainHost(hostname);
    if (allowed.some((pattern) => pattern === host || (pattern.startsWith("*.") && host.endsWith(pattern.slice(1)))))
      return undefined;
    const isName = isIP(host.replaceAll(/^\[|\]$/g, "")) === 0 && !isOutside(hostname);
    const [, name, ofNamespace] = isName ? (clusterName.exec(host) ?? []) : [];
    if (name !== undefined && ofNamespace === namespace) {
      const service = await client.get(serviceKind, name, namespace);
      // If no such Service exists, a name like shop.example is a host outside the cluster.
      if (service !== undefined && service.spec?.type !== "ExternalName")
        return await addressesOf(client, service, name, namespace);
    }
    throw userError(
      "destination-not-allowed",
      `${host} is neither a Service of the namespace ${namespace} nor a host that this mesh's operator allows`,
      {
        hint: `name a Service as <name>.${namespace}, or have the host added to ALLOWED_HOSTS of Deployment serin-system/serin-rollout`,
      },
    );
  };
}

async function addressesOf(
  client: KubeClient,
  { spec = {} }: Service,
  name: string,
  namespace: string,
): Promise<readonly string[]> {
  const { clusterIP = "" } = spec;
  const own = (spec.clusterIPs ?? [clusterIP]).filter((address) => isIP(address) !== 0);
  if (own.length > 0) return own;
  const { items } = await client.list(endpointSliceKind, {
    namespace,
    labelSelector: `kubernetes.io/service-name=${name}`,
  });
  const ready = items.flatMap(({ endpoints }) =>
    (endpoints ?? []).flatMap(({ addresses, conditions }) => (conditions?.ready === false ? [] : addresses)),
  );
  const found = [...new Set(ready)].filter((address) => isIP(address) !== 0).slice(0, maxAddresses);
  if (found.length > 0) return found;
  throw transientError("no-endpoint", `Service ${namespace}/${name} has no ready endpoint`);
}

/**
 * Whether the name is outside the cluster because of a dot at its end: resolvers complete no such name, so
 * `vault.internal.` is not a Service of the namespace `internal`.
 */
function isOutside(hostname: string): boolean {
  return hostname.endsWith(".") && !/\.svc\.cluster\.local\.$/i.test(hostname);
}

function plainHost(host: string): string {
  return host.toLowerCase().replace(/\.$/, "").replace(clusterSuffix, "");
}

/** Splits a list such as `a.example, *.b.example`. Ignores spaces and empty entries. */
export function parseAllowedHosts(text: string): readonly string[] {
  return text
    .split(",")
    .map((host) => host.trim())
    .filter((host) => host !== "");
}
