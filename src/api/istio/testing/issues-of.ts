import { apiVersionOf, type KindDefinition } from "../../index.ts";

export interface Issues {
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/** The issues that the kind's parser reports for a spec, each as `path: message`. */
export function issuesOf(
  kind: KindDefinition,
  spec: unknown,
  metadata: Readonly<Record<string, unknown>> = {},
): Issues {
  const parsed = kind.parse?.({
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: { name: "x", namespace: "shop", ...metadata },
    spec,
  });
  const lines = (issues: readonly { readonly path: string; readonly message: string }[]): string[] =>
    issues.map(({ path, message }) => `${path}: ${message}`);
  return { errors: lines(parsed?.errors ?? []), warnings: lines(parsed?.warnings ?? []) };
}
