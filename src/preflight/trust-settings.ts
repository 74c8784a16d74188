import { meshTextTree } from "../api/mesh-config-text/index.ts";
import { textAt } from "../base/index.ts";
import type { MeshTrust } from "./static-checks/trust.ts";

const defaultTrustDomain = "cluster.local";

export function meshTrustOf(text: string): MeshTrust {
  return trustIn(meshTextTree(text, "the mesh config"));
}

/** The root namespace that a mesh config names, or `fallback`. */
export function rootNamespaceOf(text: string, fallback: string): string {
  return textAt(meshTextTree(text, "the mesh config"), "rootNamespace") ?? fallback;
}

/**
 * The trust settings after the upgrade, from the install spec alone, because the release could not render it. Fields
 * that the spec does not set keep their present values.
 */
export function specTrust(installs: readonly unknown[], mesh: string): MeshTrust {
  const configs = installs.flatMap((spec) =>
    typeof spec === "object" && spec !== null && "meshConfig" in spec ? [spec.meshConfig] : [],
  );
  return configs.some((config) => typeof config === "object" && config !== null && "trustDomain" in config)
    ? trustIn(Object.assign({}, ...configs))
    : meshTrustOf(mesh);
}

function trustIn(config: unknown): MeshTrust {
  const { trustDomain, trustDomainAliases } = (typeof config === "object" && config !== null ? config : {}) as {
    readonly trustDomain?: unknown;
    readonly trustDomainAliases?: unknown;
  };
  return {
    trustDomain: typeof trustDomain === "string" && trustDomain !== "" ? trustDomain : defaultTrustDomain,
    aliases: Array.isArray(trustDomainAliases) ? trustDomainAliases.filter((alias) => typeof alias === "string") : [],
  };
}
