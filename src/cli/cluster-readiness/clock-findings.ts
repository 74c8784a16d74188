import type { Clock } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { warning, type ClusterFinding } from "./cluster-finding.ts";

interface Lease {
  readonly metadata?: { readonly name?: string };
  readonly spec?: { readonly renewTime?: string };
}

/**
 * The tolerated difference between two clocks. A kubelet renews its lease only every ten seconds, so a lease's time is
 * always some seconds old.
 */
const toleratedMs = 60_000;
const path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/**
 * Compares the clocks of this machine and of the nodes with the API server's clock. On a machine whose clock is wrong,
 * certificates seem expired or not valid yet. A node's clock is read from its lease. A node that is down also has an
 * old lease, so only the nodes in `ready` are checked. Times that cannot be read are not reported.
 */
export async function clockFindings(
  client: KubeClient,
  ready: ReadonlySet<string>,
  clock: Pick<Clock, "nowMs">,
): Promise<ClusterFinding[]> {
  const { status, headers, text } = await client.raw("GET", path);
  const serverMs = Date.parse(headers["date"] ?? "");
  if (Number.isNaN(serverMs)) return [];
  const own = findingOf("This machine", clock.nowMs() - serverMs);
  const leases = status === 200 ? ((JSON.parse(text) as { readonly items?: readonly Lease[] }).items ?? []) : [];
  const nodes = leases.flatMap(({ metadata, spec }) => {
    const name = metadata?.name ?? "";
    const renewedMs = Date.parse(spec?.renewTime ?? "");
    return ready.has(name) && !Number.isNaN(renewedMs) ? findingOf(`Node ${name}`, renewedMs - serverMs) : [];
  });
  return [...own, ...nodes];
}

function findingOf(object: string, aheadMs: number): ClusterFinding[] {
  if (Math.abs(aheadMs) <= toleratedMs) return [];
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  return [
    warning(
      "clock",
      object,
      `its clock is ${seconds} s ${aheadMs > 0 ? "ahead of" : "behind"} the API server's: certificates and tokens are refused there`,
      "synchronise the clocks, for example with chrony",
    ),
  ];
}
