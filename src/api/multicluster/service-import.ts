import { isAddress, truncated } from "../../base/index.ts";
import { defineKind, type KindDefinition } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import type { MultiClusterApi } from "./multi-cluster-api.ts";

/**
 * Makes the exported Services of the same name and namespace reachable in its cluster, at the import's own addresses.
 */
export interface ServiceImport extends KubernetesObject {
  spec: {
    /** The valid addresses, sorted. */
    ips: readonly string[];
  };
}

const shownCharacters = 60;

/**
 * Parses a ServiceImport. An entry of `ips` that is not an address is left out with a warning, because the others still
 * work.
 */
export function parseServiceImport(raw: unknown): Parsed<ServiceImport> {
  const object = new Reader(raw);
  const spec = object.object("spec");
  const ips = (spec?.list("ips") ?? []).flatMap((element) => {
    const { raw: address } = element;
    if (typeof address === "string" && isAddress(address)) return [address];
    element.warn(
      `must be an IP address, got ${truncated(JSON.stringify(address), shownCharacters)}; the entry is ignored`,
    );
    return [];
  });
  if (spec?.string("type") === "Headless" && ips.length === 0)
    spec.warn("is Headless: only imports with spec.ips get a host clusterset.local", "type");
  return object.finish(() => ({ ...(raw as ServiceImport), spec: { ips: ips.toSorted() } }));
}

export function serviceImportKind({ group, version }: MultiClusterApi): KindDefinition<ServiceImport> {
  return defineKind<ServiceImport>({
    group,
    versions: [version],
    kind: "ServiceImport",
    plural: "serviceimports",
    namespaced: true,
    parse: parseServiceImport,
  });
}
