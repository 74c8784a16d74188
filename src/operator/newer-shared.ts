import type { UntypedObject } from "../api/index.ts";
import { customResourceDefinitionKind } from "../api/kubernetes/index.ts";
import { isNewerRelease, type RenderedComponent } from "../install/index.ts";

/** The label with the release that installed an object. */
export const versionLabel = "app.kubernetes.io/version";
export const engineName = "serin-rollout";

/** The releases of the objects that all revisions share. Absent if they are not installed, or name none. */
export interface SharedReleases {
  readonly definitions?: string;
  readonly engine?: string;
}

export interface KeptNewer {
  readonly components: readonly RenderedComponent[];
  /** What stays, or is replaced by force. */
  readonly notes: readonly string[];
}

/**
 * The components without the definitions of kinds, and without the rollout engine, if those in the cluster are of a
 * newer release. Older definitions would drop fields that objects use, and an older engine may not understand the
 * rollouts that run. A newer engine drives older control planes. With `force` they are replaced, with a note.
 */
export function keepNewer(
  components: readonly RenderedComponent[],
  installed: SharedReleases,
  force: boolean,
): KeptNewer {
  const notes: string[] = [];
  const base = components.find(({ name }) => name === "base");
  if (base === undefined) return { components, notes };
  const parts = [
    { what: "definitions of Istio's kinds", release: installed.definitions, isOf: isIstioDefinition },
    { what: `rollout engine ${engineName} with its definitions`, release: installed.engine, isOf: isOfEngine },
  ];
  let { objects } = base;
  for (const { what, release, isOf } of parts) {
    const own = objects.filter(isOf);
    const given = own.map(({ metadata }) => metadata.labels?.[versionLabel]).find((version) => version !== undefined);
    if (release === undefined || given === undefined || !isNewerRelease(release, given)) continue;
    const names = namesOf(own);
    notes.push(
      force
        ? `replaces, by --force, the ${what} of release ${release} by the older ones of ${given}: ${names}`
        : `keeps the ${what} of release ${release}, which is newer than ${given}: ${names}; to replace them: serin install --force`,
    );
    if (!force) objects = objects.filter((object) => !isOf(object));
  }
  return {
    components: components.map((component) => (component === base ? { ...base, objects } : component)),
    notes,
  };
}

function isDefinition({ kind }: UntypedObject): boolean {
  return kind === customResourceDefinitionKind.kind;
}

const engineGroup = ".rollout.serin.dev";

function isOfEngine(object: UntypedObject): boolean {
  const { labels = {}, name = "" } = object.metadata;
  return isDefinition(object) ? name.endsWith(engineGroup) : labels["app"] === engineName;
}

function isIstioDefinition(object: UntypedObject): boolean {
  return isDefinition(object) && !isOfEngine(object);
}

const maxNamed = 5;

/** The names of definitions and of the Deployment. The others, such as roles, belong to the latter. */
function namesOf(objects: readonly UntypedObject[]): string {
  const names = objects
    .filter((object) => isDefinition(object) || object.kind === "Deployment")
    .map(({ kind = "", metadata: { name = "" } }) => (kind === "Deployment" ? `Deployment ${name}` : name));
  const more = names.length > maxNamed ? ` and ${names.length - maxNamed} more` : "";
  return `${names.slice(0, maxNamed).join(", ")}${more}`;
}
