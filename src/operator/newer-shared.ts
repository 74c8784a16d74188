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
/** The release of Istio from which this release has the CRDs of Istio's kinds. docs/kubernetes.md names it. */
export const istioRelease = "1.31.1";
const engineName = "serin-rollout";
const engineGroup = ".rollout.serin.dev";

export interface KeptNewer {
  readonly components: readonly RenderedComponent[];
  /** Which objects stay, or are replaced because of `force`. */
  readonly notes: readonly string[];
}

/** An object to install that exists in the cluster from a newer release. */
interface Outdated {
  readonly object: UntypedObject;
  readonly what: string;
  readonly installed: string;
  readonly given: string;
}

/**
 * The components without the CRDs and the rollout engine that the cluster already has from a newer release. Older CRDs
 * would drop fields that objects use, and an older engine may not understand running rollouts. A newer engine can drive
 * older control planes. CRDs that the cluster lacks always stay in the components. With `force` nothing is left out,
 * and the notes name the replaced objects.
 */
export async function keepNewerShared(
  client: KubeClient,
  components: readonly RenderedComponent[],
  force: boolean,
): Promise<KeptNewer> {
  const base = components.find(({ name }) => name === "base");
  if (base === undefined) return { components, notes: [] };
  const outdated = await outdatedObjects(client, base.objects);
  const notes = notesOf(outdated, force);
  if (force) return { components, notes };
  const leftOut = new Set(outdated.map(({ object }) => object));
  // The engine's other objects, such as its roles, belong to its Deployment.
  const leavesEngine = outdated.some(({ object }) => isEngine(object));
  const objects = base.objects.filter((object) => !leftOut.has(object) && !(leavesEngine && isPartOfEngine(object)));
  return {
    components: components.map((component) => (component === base ? { ...base, objects } : component)),
    notes,
  };
}

async function outdatedObjects(client: KubeClient, objects: readonly UntypedObject[]): Promise<Outdated[]> {
  const read = async (object: UntypedObject): Promise<UntypedObject | undefined> =>
    await client.get(installedKindOf(object), object.metadata.name ?? "", object.metadata.namespace);
  const engine = objects.find(isEngine);
  const liveEngine = engine === undefined ? undefined : await read(engine);
  const shared = objects.filter((object) => isDefinition(object) || object === engine);
  const outdated = await Promise.all(
    shared.map(async (object): Promise<Outdated[]> => {
      const live = object === engine ? liveEngine : await read(object);
      // Charts and earlier releases did not write the release into the engine's CRDs.
      const engineOfKind = live !== undefined && isEngineDefinition(live) ? liveEngine : undefined;
      const installed = releaseOf(live) ?? releaseOf(engineOfKind);
      const isOfIstio = isOfIstioRelease(object, live);
      const given = isOfIstio ? istioRelease : releaseOf(object);
      if (installed === undefined || given === undefined) return [];
      if (!isNewerRelease(isOfIstio ? withoutVendor(installed) : installed, given)) return [];
      return [{ object, what: describe(object), installed, given }];
    }),
  );
  return outdated.flat();
}

function releaseOf(object: UntypedObject | undefined): string | undefined {
  return object?.metadata.labels?.[versionLabel];
}

/** Whether an installer of Istio wrote the CRD in the cluster. Istio's releases have other numbers than Serin's. */
function isOfIstioRelease(object: UntypedObject, live: UntypedObject | undefined): boolean {
  if (!isDefinition(object) || isEngineDefinition(object)) return false;
  return live?.metadata.annotations?.[definitionReleaseAnnotation] !== releaseOf(live);
}

/** The release without a vendor's suffix, which cannot be compared: `1.32.0` for `1.32.0-vendor.3`. */
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

/** One note for each part of the installation and each release of it that the cluster has. */
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

function namesOf(outdated: readonly Outdated[]): string {
  const names = outdated.map(({ object }) => `${isEngine(object) ? "Deployment " : ""}${object.metadata.name ?? ""}`);
  return firstNames(names, maxNamed);
}
