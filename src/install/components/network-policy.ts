import { valueAt } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { object } from "../render-context.ts";
import type { InstallSettings } from "../settings.ts";

/** The pods that a NetworkPolicy selects, and the policy's own name and labels. */
export interface PolicyTarget {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly selector: Readonly<Record<string, string>>;
}

interface PolicyPort {
  readonly protocol?: unknown;
  readonly port: unknown;
}

/**
 * Returns a NetworkPolicy for a component if `global.networkPolicy.enabled` is true. The component then works in a
 * namespace whose other policies deny all traffic. Anyone may connect to its ports, which have their own
 * authentication. It may connect anywhere, because the addresses of API servers, name servers and users' servers vary.
 */
export function networkPolicyObjects(
  { name, namespace, labels, selector }: PolicyTarget,
  ports: readonly PolicyPort[],
  { values }: Pick<InstallSettings, "values">,
): UntypedObject[] {
  if (valueAt(values, "global", "networkPolicy", "enabled") !== true) return [];
  return [
    policyFor(
      { name, namespace, labels, selector },
      ports.map(({ protocol = "TCP", port }) => ({ protocol, port })),
    ),
  ];
}

/** The NetworkPolicy for the selected pods. `ports` are elements of an ingress rule's `ports`. */
export function policyFor({ selector, ...identity }: PolicyTarget, ports: readonly unknown[]): UntypedObject {
  return object(
    { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", ...identity },
    {
      spec: {
        podSelector: { matchLabels: selector },
        policyTypes: ["Ingress", "Egress"],
        ingress: [{ ports }],
        egress: [{}],
      },
    },
  );
}
