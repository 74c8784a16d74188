import { jsonEqual } from "../../../base/index.ts";
import { referenceGrantKind } from "../../../api/gateway/index.ts";
import type { Canary } from "../../../api/serin/index.ts";
import { grantName, type CanaryWorld, type MissingGrant, type RouteInWorld } from "../../plan/index.ts";
import { storedSpec } from "../stored-fields.ts";
import type { CanarySources } from "./canary-sources.ts";

/** The ReferenceGrants that routes need to reach the canary's namespace, except those that others have created. */
export async function missingGrants(
  { client }: CanarySources,
  canary: Canary,
  routes: readonly RouteInWorld[],
): Promise<CanaryWorld["missingGrants"]> {
  const toNamespaces = canaryNamespaces(canary);
  const needed = routes.flatMap(({ object: { kind, namespace = "" } }) =>
    kind === "VirtualService"
      ? []
      : toNamespaces(namespace)
          .filter((to) => to !== namespace)
          .map((toNamespace): MissingGrant => ({ kind, fromNamespace: namespace, toNamespace, ...serviceOf(canary) })),
  );
  const unique = needed.filter((grant, index) => needed.findIndex((other) => jsonEqual(other, grant)) === index);
  const given = await Promise.all(unique.map(async (need) => await isGranted(client, canary, need)));
  return unique.filter((_, index) => given[index] !== true);
}

function canaryNamespaces({ spec: { target } }: Canary): (routeNamespace: string) => string[] {
  if ("namespaces" in target) return () => [target.namespaces.canary];
  const route = "httpRoute" in target ? target.httpRoute : "grpcRoute" in target ? target.grpcRoute : undefined;
  return (home) => (route === undefined ? [] : [route.canary.namespace ?? home]);
}

function serviceOf({ spec: { target } }: Canary): Pick<MissingGrant, "service"> {
  const route = "httpRoute" in target ? target.httpRoute : "grpcRoute" in target ? target.grpcRoute : undefined;
  return route === undefined ? {} : { service: route.canary.name };
}

async function isGranted(
  client: CanarySources["client"],
  canary: Canary,
  { kind, fromNamespace, toNamespace, service }: MissingGrant,
): Promise<boolean> {
  const { items } = await client.list(referenceGrantKind, { namespace: toNamespace });
  return items
    .filter(({ metadata }) => metadata.name !== grantName(canary, kind, fromNamespace))
    .some((stored) => {
      const { from = [], to = [] } = storedSpec<{
        from?: { kind?: string; namespace?: string }[];
        to?: { kind?: string; name?: string }[];
      }>("ReferenceGrant", stored);
      return (
        from.some((entry) => entry.kind === kind && entry.namespace === fromNamespace) &&
        to.some((entry) => entry.kind === "Service" && ["", service].includes(entry.name ?? ""))
      );
    });
}
