import { jsonEqual, type Tree } from "../../../base/index.ts";
import { referenceGrantKind } from "../../../api/gateway/index.ts";
import type { Canary } from "../../../api/serin/index.ts";
import { grantName, grantsService, type CanaryWorld, type MissingGrant, type RouteInWorld } from "../../plan/index.ts";
import { storedSpec } from "../stored-fields.ts";
import type { CanarySources } from "./canary-sources.ts";

/**
 * The ReferenceGrants without which routes may not send to the canary's namespace, except those that others have
 * created.
 */
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
  const looked = await Promise.all(
    unique.map(async (need) => {
      const { isGranted, ...own } = await lookFor(client, canary, need);
      return isGranted ? [] : [{ ...need, ...own }];
    }),
  );
  return looked.flat();
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

interface GrantSpec {
  readonly from?: readonly { readonly kind?: string; readonly namespace?: string }[];
  readonly to?: readonly (Tree & { readonly kind?: string; readonly name?: string })[];
}

/**
 * Whether ReferenceGrants of others already grant what the route needs, and what the Canary's own ReferenceGrant grants
 * (absent if there is none).
 */
async function lookFor(
  client: CanarySources["client"],
  canary: Canary,
  { kind, fromNamespace, toNamespace, service }: MissingGrant,
): Promise<{ readonly isGranted: boolean } & Pick<MissingGrant, "granted">> {
  const { items } = await client.list(referenceGrantKind, { namespace: toNamespace });
  const name = grantName(canary, kind, fromNamespace);
  const isGranted = items
    .filter(({ metadata }) => metadata.name !== name)
    .some((stored) => {
      const { from = [], to = [] } = storedSpec<GrantSpec>("ReferenceGrant", stored);
      return (
        from.some((entry) => entry.kind === kind && entry.namespace === fromNamespace) &&
        to.some((entry) => grantsService(entry, service))
      );
    });
  const own = items.find(({ metadata }) => metadata.name === name);
  if (own === undefined) return { isGranted };
  return { isGranted, granted: storedSpec<GrantSpec>("ReferenceGrant", own).to ?? [] };
}
