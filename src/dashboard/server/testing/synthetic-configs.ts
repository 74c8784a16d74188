import type { ConfigRow, ConfigView } from "../../../api/dashboard/index.ts";
import { refusal } from "../../problem.ts";
import type { Given, Head } from "./synthetic-view.ts";

export const configs: readonly ConfigRow[] = [
  {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    namespace: "shop",
    name: "checkout",
    errors: 0,
    warnings: 0,
    firstMessage: "",
  },
  {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    namespace: "shop",
    name: "checkout",
    errors: 1,
    warnings: 1,
    firstMessage: 'Referenced host not found: "chekout"',
  },
  {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    namespace: "payments",
    name: "only-checkout",
    errors: 0,
    warnings: 1,
    firstMessage: "the policy selects no workload",
  },
  {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    namespace: "shop",
    name: "checkout",
    errors: 0,
    warnings: 0,
    firstMessage: "",
  },
];

export function configKey({ kind, namespace, name }: ConfigRow): string {
  return `${kind}/${namespace}/${name}`;
}

export function syntheticConfig(head: Head, given: Given): ConfigView {
  const row = configs.find(
    ({ kind, namespace, name }) => kind === given["kind"] && namespace === given["namespace"] && name === given["name"],
  );
  if (row === undefined)
    throw refusal(
      "not-found",
      `there is no ${given["kind"]} ${given["namespace"]}/${given["name"]}`,
      "it may have been deleted",
    );
  const yaml = `apiVersion: ${row.apiVersion}\nkind: ${row.kind}\nmetadata:\n  name: ${row.name}\n  namespace: ${row.namespace}\nspec:\n  host: chekout\n  subsets:\n    - name: v1\n      labels:\n        version: v1\n`;
  return {
    head: {
      ...head,
      row,
      yaml,
      resourceVersion: "4711",
      conditions: [
        {
          type: "Reconciled",
          status: "True",
          reason: "Acknowledged",
          message: "12 of 12 proxies have it",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ],
      mayWrite: true,
    },
    tables: {
      messages:
        row.errors === 0
          ? {}
          : {
              "0": {
                code: "IST0101",
                level: "Error",
                message: row.firstMessage,
                path: "spec.host",
                line: 7,
                column: 9,
              },
            },
      references: Object.fromEntries(configs.slice(0, 1).map((one) => [configKey(one), one])),
    },
  };
}
