import { userError } from "../../../base/index.ts";
import { formatIssues, type UntypedObject } from "../../../api/index.ts";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type * as Install from "../../../install/index.ts";

export interface EngineImage {
  readonly hub: string;
  readonly tag: string;
  /** The engine's own pod, `namespace/name`. The probes use its image and pull Secrets. Absent outside a cluster. */
  readonly pod?: string;
}

/**
 * Renders the specs of `spec.to.install`. The objects contain no CNI agent, because revisions share one. If the upgrade
 * installs an agent (`spec.to.cni`), their sidecars leave the redirect of traffic to it.
 */
export function renderInstalls(
  install: typeof Install,
  { spec: { to } }: MeshUpgrade,
  image: EngineImage,
): (readonly UntypedObject[])[] {
  return to.install.map((spec, index) => {
    const stated = to.cni === undefined ? spec : install.withRedirectByAgent(spec);
    return renderOne(install, stated, `spec.to.install[${index}]`, image);
  });
}

export function installedControlPlanes(installs: readonly (readonly UntypedObject[])[]): readonly UntypedObject[] {
  return installs.flat().filter(({ kind, metadata }) => kind === "Deployment" && metadata.labels?.["app"] === "istiod");
}

/** Renders one install spec. Throws a user error that names the field (`path`) if the spec cannot be rendered. */
export function renderOne(
  { resolveSettings, renderInstall }: typeof Install,
  spec: MeshUpgrade["spec"]["to"]["install"][number],
  path: string,
  image: EngineImage,
): readonly UntypedObject[] {
  const parsed = resolveSettings({ specs: [spec] }, image);
  if (parsed.value === undefined) throw userError("rollout-invalid", `${path}: ${formatIssues(parsed.errors)}`);
  const { components, errors } = renderInstall(
    { ...parsed.value, base: { ...parsed.value.base, enabled: false } },
    { istio: [], rollout: [] },
  );
  if (errors.length > 0) throw userError("rollout-invalid", `${path}: ${formatIssues(errors)}`);
  return components.flatMap((component) => component.objects);
}
