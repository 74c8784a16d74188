import { createHash } from "node:crypto";
import { withoutEnd } from "../../base/index.ts";
import type { Contender } from "../decide/index.ts";

interface Named {
  readonly kind?: string;
  readonly metadata: { readonly name?: string; readonly namespace?: string };
}

/** The longest name that Kubernetes allows for an object. */
const maxNameLength = 253;
const digestLength = 12;

/**
 * Journals are cluster-scoped, so their names contain their rollout's kind and namespace. The parser refuses a rollout
 * whose journal's name would be too long. If such a rollout was stored anyway, it can still be undone and deleted.
 */
export function journalNameOf({ kind = "", metadata }: Named): string {
  const name = [kind.toLowerCase(), metadata.namespace, metadata.name]
    .filter((part) => part !== undefined && part !== "")
    .join(".");
  if (name.length <= maxNameLength) return name;
  const digest = createHash("sha256").update(name).digest("hex").slice(0, digestLength);
  return `${withoutEnd(name.slice(0, maxNameLength - digestLength - 1), "-.")}-${digest}`;
}

export function journalOfContender({ kind, namespace, name }: Contender): string {
  return journalNameOf({ kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) } });
}
