// Gives each LoadBalancer Service an address from the pool. The network routes the pool to a node.
import { systemClock } from "../../src/base/index.ts";
import { serviceKind, type Service } from "../../src/api/kubernetes/index.ts";
import type { KubeClient } from "../../src/kube/index.ts";
import { loadBalancerAddress } from "./cluster-layout.ts";

const lookEveryMs = 500;
const firstIndex = 200;
const lastIndex = 250;

/**
 * Looks at the Services again and again until the signal aborts. A write that was refused is tried again in the next
 * round.
 */
export async function runLoadBalancer(client: KubeClient, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await assignAddresses(client).catch(() => undefined);
    await systemClock.sleep(lookEveryMs, signal).catch(() => undefined);
  }
}

async function assignAddresses(client: KubeClient): Promise<void> {
  const { items } = await client.list(serviceKind);
  const balanced = items.filter(({ spec }) => spec?.type === "LoadBalancer");
  const used = new Set(balanced.map(addressOf));
  for (const { metadata } of balanced.filter((service) => addressOf(service) === undefined)) {
    const address = freeAddress(used);
    if (address === undefined) return;
    used.add(address);
    const status = { loadBalancer: { ingress: [{ ip: address, ipMode: "VIP" }] } };
    await client.patchMerge(
      serviceKind,
      metadata.name ?? "",
      metadata.namespace,
      { status },
      { subresource: "status" },
    );
  }
}

function addressOf({ status }: Service): string | undefined {
  return status?.loadBalancer?.ingress?.[0]?.ip;
}

function freeAddress(used: ReadonlySet<string | undefined>): string | undefined {
  for (let index = firstIndex; index <= lastIndex; index += 1)
    if (!used.has(loadBalancerAddress(index))) return loadBalancerAddress(index);
  return undefined;
}
