import { firstNames } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import { customResourceDefinitionKind, deploymentKind } from "../api/kubernetes/index.ts";
import {
  definitionReleaseAnnotation,
  installedKindOf,
  isNewerRelease,
  type RenderedComponent,
} from "../install/index.ts";
import type { KubeClient } from "../kube/index.ts";

/** The label with the release that installed an object. */
const versionLabel = "app.kubernetes.io/version";
/** The Istio release from which this release's CRDs of Istio's kinds come. docs/kubernetes.md names it. */
export const istioRelease = "1.31.1";
const engineName = "serin-rollout";
const engineGroup = ".rollout.serin.dev";

export interface KeptNewer {
  readonly components: readonly RenderedComponent[];
  /** Messages that say which objects are left out, or are replaced because of `force`. */
  readonly notes: readonly string[];
}

/** An object to install that a newer release has already installed in the cluster. */
interface Outdated {
  readonly object: UntypedObject;
  readonly what: string;
  readonly installed: string;
  readonly given: string;
}

/**
 * Removes from the components the CRDs and the rollout engine that a newer release has already installed in the
 * cluster. Older CRDs would drop fields that objects use, and an older engine may not understand running rollouts. A
 * newer engine can drive older control planes. Missing CRDs are still installed. With `force` nothing is removed from
 * the components, and the notes name the objects that are replaced.
 */
export async function keepNewerShared(
  client: KubeClient,
  components: readonly RenderedComponent[],
  force: boolean,
): Promise<KeptNewer> {
  const base = components.find(({ name }) => name === "base");
  if (base === undefined) return { components, notes: [] };
  const shared = await sharedObjects(client, base.objects);
  const outdated = outdatedObjects(shared);
  const leftOut = new Set(force ? [] : outdated.map(({ object }) => object));
  const notes = [...notesOf(outdated, force), ...helmNotes(shared.filter(({ object }) => !leftOut.has(object)))];
  if (force) return { components, notes };
  // The engine's other objects, such as its roles, are left out or replaced together with its Deployment.
  const leavesEngine = outdated.some(({ object }) => isEngine(object));
  const objects = base.objects.filter((object) => !leftOut.has(object) && !(leavesEngine && isPartOfEngine(object)));
  return {
    components: components.map((component) => (component === base ? { ...base, objects } : component)),
    notes,
  };
}

/** A CRD or the engine's Deployment of this installation, and the object with its name in the cluster. */
interface SharedObject {
  readonly object: UntypedObject;
  readonly live: UntypedObject | undefined;
}

async function sharedObjects(client: KubeClient, objects: readonly UntypedObject[]): Promise<SharedObject[]> {
  return await Promise.all(
    objects
      .filter((object) => isDefinition(object) || isEngine(object))
      .map(async (object) => {
        const { name = "", namespace } = object.metadata;
        return { object, live: await client.get(installedKindOf(object), name, namespace) };
      }),
  );
}

function outdatedObjects(shared: readonly SharedObject[]): Outdated[] {
  const liveEngine = shared.find(({ object }) => isEngine(object))?.live;
  return shared.flatMap(({ object, live }): Outdated[] => {
    // Charts and earlier releases did not label the engine's CRDs with the release, so use the live engine's release.
    const engineOfKind = live !== undefined && isEngineDefinition(live) ? liveEngine : undefined;
    const installed = releaseOf(live) ?? releaseOf(engineOfKind);
    const isOfIstio = isOfIstioRelease(object, live);
    const given = isOfIstio ? istioRelease : releaseOf(object);
    if (installed === undefined || given === undefined) return [];
    if (!isNewerRelease(isOfIstio ? withoutVendor(installed) : installed, given)) return [];
    return [{ object, what: describe(object), installed, given }];
  });
}

/**
 * One note for each Helm release whose CRDs this installation writes. Both installers then own the fields. Helm 4
 * writes by server-side apply, so it gets a conflict as soon as it changes such a field.
 */
function helmNotes(written: readonly SharedObject[]): string[] {
  const owned = written.filter(({ object, live }) => isDefinition(object) && helmReleaseOf(live) !== undefined);
  return [...Map.groupBy(owned, ({ live }) => helmReleaseOf(live) ?? "")].map(
    ([release, group]) =>
      `writes definitions that the Helm release ${release} owns: ${namesOf(group)}; if that release was installed by Helm 4, its next upgrade needs helm upgrade --force-conflicts`,
  );
}

/** The Helm release that owns the object, as `namespace/name`. */
function helmReleaseOf(live: UntypedObject | undefined): string | undefined {
  const { "meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace = "" } =
    live?.metadata.annotations ?? {};
  return name === undefined ? undefined : `${namespace}/${name}`;
}

function releaseOf(object: UntypedObject | undefined): string | undefined {
  return object?.metadata.labels?.[versionLabel];
}

/**
 * Whether an installer of upstream Istio wrote the CRD in the cluster. The CRD's version label then contains an Istio
 * release, which must be compared with {@link istioRelease} and not with Serin's release.
 */
function isOfIstioRelease(object: UntypedObject, live: UntypedObject | undefined): boolean {
  if (!isDefinition(object) || isEngineDefinition(object)) return false;
  return live?.metadata.annotations?.[definitionReleaseAnnotation] !== releaseOf(live);
}

/** The release without a vendor's suffix, such as `1.32.0` for `1.32.0-vendor.3`. */
function withoutVendor(release: string): string {
  return /^v?\d+\.\d+(\.\d+)?/.exec(release)?.[0] ?? release;
}

function isDefinition({ kind }: UntypedObject): boolean {
  return kind === customResourceDefinitionKind.kind;
}

function isEngineDefinition(object: UntypedObject): boolean {
  return isDefinition(object) && object.metadata.name?.endsWith(engineGroup) === true;
}

function isPartOfEngine(object: UntypedObject): boolean {
  return !isDefinition(object) && object.metadata.labels?.["app"] === engineName;
}

function isEngine(object: UntypedObject): boolean {
  return object.kind === deploymentKind.kind && isPartOfEngine(object);
}

function describe(object: UntypedObject): string {
  if (isEngine(object)) return "rollout engine";
  return isEngineDefinition(object) ? "definitions of the rollout engine's kinds" : "definitions of Istio's kinds";
}

/** Returns one note for each kind of shared object and pair of releases. */
function notesOf(outdated: readonly Outdated[], force: boolean): string[] {
  const groups = Map.groupBy(outdated, ({ what, installed, given }) =>
    force
      ? `replaces, by --force, the ${what} of release ${installed} by the older release ${given}: `
      : `keeps the ${what} of release ${installed}, which is newer than ${given}: `,
  );
  return [...groups].map(([beginning, group]) => {
    const them = group.some(({ object }) => isEngine(object)) ? "it" : "them";
    const hint = force ? "" : `; to replace ${them}: serin install --force`;
    return `${beginning}${namesOf(group)}${hint}`;
  });
}

const maxNamed = 5;

function namesOf(objects: readonly Pick<SharedObject, "object">[]): string {
  const names = objects.map(({ object }) => `${isEngine(object) ? "Deployment " : ""}${object.metadata.name ?? ""}`);
  return firstNames(names, maxNamed);
}
