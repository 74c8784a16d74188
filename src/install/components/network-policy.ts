import { valueAt } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { object } from "../render-context.ts";
import type { InstallSettings } from "../settings.ts";

/** The pods that a NetworkPolicy selects, and the name and labels of the policy. */
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
 * The policy that lets a component work where the namespace's other policies deny everything, if
 * `global.networkPolicy.enabled` asks for it. Everybody may call the component's ports, which have their own
 * authentication. The component may call everybody: the API server, whose address differs with each cluster, name
 * servers, and servers that users name.
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

/** A policy for the selected pods, with the ports as the API writes them. */
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
